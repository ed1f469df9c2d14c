//! What keeps the API server from asking Demarc shows, within a minute and each with a reason of its own; what is well is proven and not assumed.
//! Everything here tampers with a real API server, by the means that an administrator has.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, binary, spec, workload},
};

pub fn start() -> World {
    World::started(&["--probe-every", "1"])
}

pub fn says(world: &World, namespace: &str, expected: &str) {
    eventually(expected, SOON, || match world.field(namespace, "ownership/default", ".status.conditions[?(@.type==\"Enforcing\")]") {
        said if said.contains(expected) => Ok(()),
        said => Err(said),
    });
}

fn get(world: &World, object: &str) -> Value {
    let mut stored: Value = serde_json::from_str(&world.plane.kubectl(&["get", object, "-o", "json"], None).result().unwrap()).unwrap();
    for field in ["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"] {
        stored["metadata"].as_object_mut().unwrap().remove(field);
    }
    stored
}

fn put(world: &World, object: &Value) {
    let text = object.to_string();
    let replace = || world.plane.kubectl(&["replace", "-f", "-"], Some(&text));
    if !replace().ok {
        world.plane.kubectl(&["create", "-f", "-"], Some(&text)).result().unwrap();
    }
}

fn events(world: &World) -> String {
    world.plane.kubectl(&["get", "events.events.k8s.io", "-n", "shop", "-o", "jsonpath={.items[*].reason}"], None).result().unwrap()
}

#[test]
fn each_way_of_tampering_is_told_and_none_is_fought() {
    let world = start();
    world.declare("shop", &json!({}));
    let webhook = "validatingwebhookconfiguration/demarc";
    let (policy, binding) = ("validatingadmissionpolicy/demarc-enrolment", "validatingadmissionpolicybinding/demarc-enrolment");
    let mine = json!({"key": "team", "operator": "NotIn", "values": ["shop"]});
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let stranger = serde_json::to_value(k8s_openapi::ByteString(stranger.into_bytes())).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let ended = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let ended = serde_json::to_value(k8s_openapi::ByteString(ended.into_bytes())).unwrap();
    for (object, path, value, reason) in [
        (webhook, "/webhooks/0/failurePolicy", json!("Ignore"), "FailurePolicyChanged"),
        (webhook, "/webhooks/0/namespaceSelector", json!({}), "SelectorWidened"),
        (webhook, "/webhooks/0/namespaceSelector/matchExpressions/-", mine, "SelectorChanged"),
        (webhook, "/webhooks/0/objectSelector", json!({"matchLabels": {"asked": "yes"}}), "ObjectSelectorAdded"),
        (webhook, "/webhooks/0/rules/0/resources", json!(["configmaps"]), "RulesChanged"),
        (webhook, "/webhooks/0/matchConditions/-", json!({"name": "never", "expression": "false"}), "ConditionsChanged"),
        (webhook, "/webhooks/0/timeoutSeconds", json!(30), "TimeoutChanged"),
        (webhook, "/webhooks/0/matchPolicy", json!("Exact"), "MatchPolicyChanged"),
        (webhook, "/webhooks/0/sideEffects", json!("NoneOnDryRun"), "SideEffectsChanged"),
        (webhook, "/webhooks/0/clientConfig/caBundle", stranger, "CaBundleForeign"),
        (webhook, "/webhooks/0/clientConfig/caBundle", ended, "CAExpired"),
        (webhook, "/webhooks/0/clientConfig/url", json!("https://127.0.0.1:1/workloads"), "UrlChanged"),
        (webhook, "/webhooks/1/failurePolicy", json!("Ignore"), "DeclarationsUnguarded"),
        (policy, "/spec/failurePolicy", json!("Ignore"), "PolicyChanged"),
        (policy, "/spec/validations/0/expression", json!("true"), "PolicyChanged"),
        (binding, "/spec/validationActions", json!(["Warn"]), "BindingChanged"),
    ] {
        let whole = get(&world, object);
        let patch = json!([{"op": "add", "path": path, "value": value}]).to_string();
        world.plane.kubectl(&["patch", object, "--type=json", "-p", &patch], None).result().unwrap();
        says(&world, "shop", reason);
        if reason == "FailurePolicyChanged" {
            // At most one a minute for each condition: it is waited for once.
            eventually("an Event", Duration::from_secs(90), || if events(&world).contains(reason) { Ok(()) } else { Err(events(&world)) });
        }
        if reason == "CAExpired" {
            // Told in one place, and not namespace by namespace.
            let told = || {
                world.plane.kubectl(&["get", "events.events.k8s.io", "-n", "kube-system", "-o", "jsonpath={.items[*]['reason','regarding.name','note']}"], None).result().unwrap()
            };
            eventually("an Event at the Lease", SOON, || if told().contains("CAExpired") { Ok(()) } else { Err(told()) });
            assert!(told().contains("ended on 2001-01-01"), "{}", told());
        }
        let stored = get(&world, object);
        assert_ne!(stored, whole, "{reason}: it is not fought over");
        put(&world, &whole);
        says(&world, "shop", "\"True\"");
    }
    for (object, reason) in [(webhook, "WebhookMissing"), (policy, "PolicyMissing"), (binding, "BindingMissing")] {
        let whole = get(&world, object);
        world.plane.kubectl(&["delete", object], None).result().unwrap();
        says(&world, "shop", reason);
        if reason == "WebhookMissing" {
            // Tried as well as looked at.
            let log = || world.demarc.as_ref().unwrap().log();
            let demarc = world.demarc.as_ref().unwrap();
            eventually("an alert has what it needs", SOON, || match demarc.get("/metrics") {
                said if said.contains("demarc_enforcement_fault{reason=\"WebhookMissing\"} 1") => Ok(()),
                said => Err(said),
            });
            eventually("the probe says so too", SOON, || if log().contains("failing open") { Ok(()) } else { Err(log()) });
        }
        put(&world, &whole);
        says(&world, "shop", "\"True\"");
    }
    // Left over from another release.
    let mut second = get(&world, webhook);
    second["metadata"]["name"] = json!("demarc-old");
    put(&world, &second);
    says(&world, "shop", "SecondConfiguration");
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc-old"], None).result().unwrap();
    says(&world, "shop", "\"True\"");
    // A provider's enforcer adds exclusions: tolerated and told, and not where it leaves out an enrolled namespace.
    let aks = json!([{"op": "add", "path": "/webhooks/0/namespaceSelector/matchExpressions/-", "value": {"key": "control-plane", "operator": "DoesNotExist"}}]);
    world.plane.kubectl(&["patch", webhook, "--type=json", "-p", &aks.to_string()], None).result().unwrap();
    says(&world, "shop", "has excluded namespaces of its own, by label control-plane");
    says(&world, "shop", "\"True\"");
    world.plane.kubectl(&["label", "namespace", "shop", "control-plane=true"], None).result().unwrap();
    says(&world, "shop", "NamespaceExcluded");
}

#[test]
fn enforcement_is_proven_by_a_dry_run_and_an_old_proof_is_none() {
    let mut world = start();
    let began = jiff::Timestamp::now();
    world.declare("shop", &json!({}));
    let lease = |path: &str| world.field("kube-system", "lease/demarc-proof", path);
    eventually("the proof", SOON, || if lease(".spec.holderIdentity") == "one" { Ok(()) } else { Err(lease("")) });
    assert_eq!(lease(".metadata.annotations.demarc\\.dev/namespace"), "shop");
    assert_eq!(lease(".metadata.annotations.demarc\\.dev/generation"), "1");
    let at = || lease(".spec.renewTime").parse::<jiff::Timestamp>().unwrap();
    let first = at();
    assert!(first > began);
    let version = world.field("shop", "ownership/default", ".metadata.resourceVersion");
    eventually("the next proof", SOON, || if at() > first { Ok(()) } else { Err(lease("")) });
    assert_eq!(world.field("shop", "ownership/default", ".metadata.resourceVersion"), version, "no status is written for it");
    let made = world.plane.kubectl(&["get", "podtemplates", "-A", "-o", "name"], None).result().unwrap();
    assert_eq!(made, "", "nothing was stored");
    // Counted, and never by the name of an object.
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    let metrics = || world.demarc.as_ref().unwrap().get("/metrics");
    for line in [
        "demarc_admission_decisions_total{control=\"pod-security-standard\",owner=\"Customer\",verdict=\"Violated\",enforcement=\"Deny\",consequence=\"Denied\"} 1",
        "demarc_admission_reviews_total{route=\"Workloads\",answer=\"Denied\"} 1",
        "demarc_admission_duration_seconds_bucket{le=\"0.00005\"}",
        "demarc_probe_results_total{result=\"Proven\"}",
        "demarc_probe_last_proof_timestamp_seconds 1",
        "demarc_certificate_not_after_timestamp_seconds ",
        "demarc_lease_held 1",
        "demarc_ready 1",
        "demarc_namespaces_enrolled 1",
        "demarc_watch_age_seconds{resource=\"deployments.apps\"}",
        "demarc_findings{control=\"",
        "demarc_enforcing{kind=\"Namespace\",status=\"True\",reason=\"Proven\"} 1",
        "# EOF",
    ] {
        eventually(line, SOON, || if metrics().contains(line) { Ok(()) } else { Err(metrics()) });
    }
    assert!(metrics().contains("application/openmetrics-text") && !metrics().contains("shop") && !metrics().contains("violator"), "{}", metrics());
    // Nobody gains by the name.
    let said = world.apply("shop", &workload("PodTemplate", "demarc-probe", &spec("nginx", false)));
    assert!(!said.ok && said.err.contains("always refused"), "{said:?}");

    // Another is asked first: that proves nothing, and where nothing was proven it is not green.
    let policy = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "no-templates"}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["podtemplates"]}]},
            "validations": [{"expression": "object.metadata.namespace != 'masked'", "message": "no templates here"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "no-templates"},
            "spec": {"policyName": "no-templates", "validationActions": ["Deny"]}}]});
    world.plane.kubectl(&["apply", "-f", "-"], Some(&policy.to_string())).result().unwrap();
    world.plane.kubectl(&["create", "namespace", "masked"], None).result().unwrap();
    eventually("the policy", SOON, || {
        let said = world.plane.kubectl(&["create", "-n", "masked", "--dry-run=server", "-f", "-"], Some(&workload("PodTemplate", "x", &spec("nginx", false)).to_string()));
        if said.err.contains("no templates here") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    world.accepts("masked", &json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": {"serviceModel": "PaaS"}}));
    says(&world, "masked", "ProbeMasked");
    says(&world, "masked", "\"Unknown\"");
    says(&world, "shop", "Proven");
    // Masked everywhere, the last proof grows old.
    let everywhere = json!([{"op": "replace", "path": "/spec/validations/0/expression", "value": "false"}]).to_string();
    world.plane.kubectl(&["patch", "validatingadmissionpolicy", "no-templates", "--type=json", "-p", &everywhere], None).result().unwrap();
    says(&world, "shop", "ProofOld");
    world.plane.kubectl(&["delete", "validatingadmissionpolicybinding", "no-templates"], None).result().unwrap();
    for namespace in ["shop", "masked"] {
        says(&world, namespace, "Proven");
    }

    // Whoever comes next need not prove everything anew, and a dead leader proves nothing.
    let version = world.field("shop", "ownership/default", ".metadata.resourceVersion");
    world.demarc.take().unwrap().kill();
    let last = world.field("kube-system", "lease/demarc-proof", ".spec.renewTime");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(world.field("kube-system", "lease/demarc-proof", ".spec.renewTime"), last);
    let again = Instant::now();
    world.demarc = Some(world.plane.demarc_with(binary(), "two", &world.plane.kubeconfig(), &["--probe-every", "1"]));
    let lease = |path: &str| world.field("kube-system", "lease/demarc-proof", path);
    eventually("the proof by another", SOON, || if lease(".spec.holderIdentity") == "two" { Ok(()) } else { Err(lease("")) });
    assert!(again.elapsed() < SOON);
    assert_eq!(world.field("shop", "ownership/default", ".metadata.resourceVersion"), version, "nothing changed, nothing is written");
}
