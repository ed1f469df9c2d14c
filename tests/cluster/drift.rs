//! Drift appears and clears; outages of the API server and of Demarc leave nothing stuck.
//! Faults are real: processes are killed, ports go away and come back.

use std::time::Duration;

use serde_json::json;

use crate::{
    support::eventually,
    world::{SOON, World, nothing_slipped_in, only, spec, workload},
};

#[test]
fn drift_appears_and_clears_and_outages_leave_nothing_stuck() {
    let mut world = World::start();
    world.declare("shop", &json!({"mode": "Audit", "controls": only(&["pod-security-standard"])}));
    world.accepts("shop", &workload("Deployment", "web", &spec("nginx", false)));
    let status = |path: &str| world.field("shop", "ownership/default", path);
    eventually("a clean report", SOON, || if status(".status.counts.satisfied") != "0" && status(".status.counts.violated") == "0" { Ok(()) } else { Err(status(".status")) });
    world.accepts("shop", &workload("Deployment", "bad", &spec("nginx", true)));
    eventually("drift within 30 s", SOON, || if status(".status.findings[*].object").contains("deployment/bad") { Ok(()) } else { Err(status(".status")) });
    let table = world.plane.kubectl(&["get", "ownerships", "-A"], None).result().unwrap();
    assert!(table.contains("VIOLATED") && table.contains("False"), "{table}");
    world.writes_nothing();
    world.plane.kubectl(&["delete", "deployment", "bad", "-n", "shop"], None).result().unwrap();
    eventually("cleared within 30 s", SOON, || if status(".status.findingsTotal") == "0" { Ok(()) } else { Err(status(".status")) });

    // The API server goes and comes back, twice.
    for patience in [Duration::from_secs(10), Duration::ZERO] {
        world.plane.restart_api_server(patience);
    }
    world.redeclare("shop", &json!({}));
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    world.declare("late", &json!({}));
    world.rejects("late", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    // It leaves in order, and with nobody there a violator is refused all the same, and a namespace can go.
    world.accepts("late", &workload("Job", "task", &spec("nginx", false)));
    eventually("the job's pod", SOON, || if world.field("late", "job/task", ".status.active") == "1" { Ok(()) } else { Err("none".to_owned()) });
    assert!(world.demarc.take().unwrap().terminate().success(), "SIGTERM ends it in order");
    let down = world.apply("late", &workload("Pod", "violator", &spec("nginx", true)));
    assert!(!down.ok && down.err.contains("failed calling webhook"), "{down:?}");
    world.plane.kubectl(&["delete", "namespace", "late", "--timeout=60s"], None).result().unwrap();
    nothing_slipped_in(&world);
}

#[test]
fn a_date_that_falls_due_turns_the_verdict_by_itself() {
    let world = World::start();
    let due = |seconds: i64| jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let reviews = json!({"riskAssessment": {"lastCompleted": due(40 - 86_400), "period": "P1D"}});
    let evidence = json!({"control": "etcd-encryption-attested", "owner": "Provider", "evidence": [{"type": "soc2-report", "ref": "R-1", "validUntil": due(40)}]});
    let mut controls = only(&["risk-assessment-current", "etcd-encryption-attested"]);
    controls.as_array_mut().unwrap().push(evidence);
    world.declare("shop", &json!({"mode": "Audit", "controls": controls, "reviews": reviews}));
    let verdicts = || {
        let of = |control: &str| world.field("shop", "ownership/default", &format!(".status.matrix[?(@.control==\"{control}\")].verdict"));
        (of("risk-assessment-current"), of("etcd-encryption-attested"))
    };
    let told = |what: &str| world.field("shop", "ownership/default", &format!(".status.conditions[?(@.type==\"ReviewDue\")].{what}"));
    let expect = |what: &str, wanted: (&str, &str), reason: &str| {
        eventually(what, Duration::from_secs(90), || {
            let ((risk, etcd), said) = (verdicts(), told("reason"));
            if (risk.as_str(), etcd.as_str()) == wanted && said == reason { Ok(()) } else { Err(format!("{risk} {etcd} {said}")) }
        });
    };
    let counted = |reason: &str| world.demarc.as_ref().unwrap().get("/metrics").contains(&format!("\ndemarc_reviews_due{{kind=\"Namespace\",reason=\"{reason}\"}} 1\n"));
    expect("both hold", ("Satisfied", "Inherited"), "DueSoon");
    assert!(counted("DueSoon") && !counted("Overdue"));
    let before = world.field("shop", "ownership/default", ".metadata.resourceVersion");
    expect("both have lapsed", ("Violated", "Violated"), "Overdue");
    assert_ne!(before, world.field("shop", "ownership/default", ".metadata.resourceVersion"));
    let owed = world.field("shop", "ownership/default", ".status.findings[?(@.control==\"etcd-encryption-attested\")].owedBy");
    assert_eq!(owed, "azure (provider)");
    assert!(counted("Overdue") && !counted("DueSoon"));
    // Once that it is due soon, and once that it is overdue; a minute lies between two Events about one condition.
    let events = || world.plane.kubectl(&["get", "events", "-n", "shop", "-o", "jsonpath={range .items[*]}{.reason} {.message}{\"\\n\"}{end}"], None).result().unwrap();
    let said = |reason: &str| events().lines().filter(|line| line.starts_with(&format!("{reason} ReviewDue: "))).count();
    eventually("it is told", Duration::from_secs(90), || if said("Overdue") == 1 { Ok(()) } else { Err(events()) });
    assert_eq!((said("DueSoon"), events().matches(" ReviewDue: ").count()), (1, 2), "{}", events());
    let wide = world.plane.kubectl(&["get", "ownerships", "-A", "-o", "wide"], None).result().unwrap();
    assert!(wide.lines().next().unwrap().contains("REVIEW DUE"), "{wide}");
}
