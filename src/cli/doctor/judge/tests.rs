//! Illnesses that are not to be had on a real API server, or not soon: a cluster that is too old, a Lease that has not moved, nothing to be seen.
//! What a real one is told stands in tests/cluster/doctor.rs.

use super::*;

fn found() -> Found {
    let definitions = Declaration::ALL.iter().map(|d| (d.kind(), Ok(serde_json::to_value(d.crd()).ok()))).collect();
    let none = || Ok(BTreeMap::new());
    Found {
        version: ("v1.37.2".into(), 37),
        user: "sam".into(),
        definitions,
        webhooks: Ok(Vec::new()),
        policies: none(),
        bindings: none(),
        ownerships: Ok(Vec::new()),
        baselines: Ok(Vec::new()),
        enrolled: Ok(Vec::new()),
        lead: Ok(None),
        proof: Ok(None),
        tried: None,
    }
}

#[test]
fn an_old_cluster_and_a_cluster_without_a_webhook_are_ill() {
    let now = "2026-04-01T00:00:00Z".parse().unwrap();
    let told = |found: &Found, about: &str| lines(found, now).into_iter().find(|l| l.about == about).map(|l| (l.level, l.message));
    let old = Found { version: ("v1.29.3".into(), 29), ..found() };
    assert!(matches!(told(&old, "api-server"), Some((Level::Fail, message)) if message.contains("older than 1.30")));
    assert_eq!(told(&found(), "api-server").unwrap(), (Level::Ok, "API server v1.37.2, as sam".to_owned()));
    assert_eq!(told(&found(), "definitions").unwrap().0, Level::Ok);
    assert_eq!(told(&found(), "webhook").unwrap().0, Level::Fail);
    let blind = Found { webhooks: Err("forbidden".into()), ..found() };
    assert_eq!(told(&blind, "webhook").unwrap().0, Level::Unseen, "not seen is not missing");
    let hostile = Found { user: "\u{1b}[31mroot".into(), ..found() };
    assert!(!told(&hostile, "api-server").unwrap().1.contains('\u{1b}'));
}

#[test]
fn a_baseline_is_told_that_is_not_enforced_everywhere() {
    let now = "2026-04-01T00:10:00Z".parse().unwrap();
    let baseline = |status: &str, reason: &str| {
        let conditions =
            serde_json::json!([{"type": "Enforcing", "status": status, "reason": reason, "message": "1 of 2 namespaces: x", "lastTransitionTime": "2026-04-01T00:00:00Z"}]);
        let object = serde_json::json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold", "creationTimestamp": "2026-04-01T00:05:00Z"},
            "spec": {"namespaceSelector": {}}, "status": if status.is_empty() { serde_json::json!(null) } else { serde_json::json!({"conditions": conditions}) }});
        serde_json::from_value::<DynamicObject>(object).unwrap()
    };
    for (status, reason, expected) in [
        ("True", "Proven", None),
        ("False", "NothingAsked", None),
        ("False", "NotEnrolled", Some("baseline gold: 1 of 2 namespaces: x (for 10 min)")),
        ("Unknown", "ProofOld", Some("baseline gold: 1 of 2 namespaces: x (for 10 min)")),
        ("", "", Some("nobody has written the status of baseline gold for 5 min")),
    ] {
        let told = super::baselines(&Found { baselines: Ok(vec![baseline(status, reason)]), ..found() }, now);
        assert_eq!(told.first().map(|l| l.message.as_str()), expected, "{status} {reason}");
        assert!(told.iter().all(|l| l.level == Level::Fail));
    }
    assert_eq!(super::baselines(&Found { baselines: Err("forbidden".into()), ..found() }, now)[0].level, Level::Unseen);
}

#[test]
fn a_span_is_read_at_a_glance() {
    assert_eq!([0, 119, 120, 7_200, 200_000].map(span), ["0 s", "119 s", "2 min", "2 h", "2 d"]);
}

#[test]
fn who_leads_renews_its_lease_or_nobody_does() {
    let now: Timestamp = "2026-04-01T00:10:00Z".parse().unwrap();
    let lease = |holder: &str, renewed: &str| {
        let spec = serde_json::json!({"holderIdentity": holder, "leaseDurationSeconds": 10, "renewTime": (!renewed.is_empty()).then_some(renewed)});
        Ok(Some(serde_json::from_value(serde_json::json!({"metadata": {"name": "demarc"}, "spec": spec})).unwrap()))
    };
    let service = serde_json::json!({"metadata": {"name": "demarc"}, "webhooks": [{"name": WEBHOOK, "clientConfig": {"service": {"namespace": "sec", "name": "demarc"}}}]});
    let nobody = "nobody leads, so no namespace is enrolled and nothing is told of any: lease demarc in namespace sec";
    for (lead, level, expected) in [
        (lease("demarc-1", "2026-04-01T00:09:58.000000Z"), Level::Ok, "leader: replica demarc-1, as of 2 s ago".to_owned()),
        // By the clock of this machine: one that goes wrong a little makes nobody ill.
        (lease("demarc-1", "2026-04-01T00:09:00.000000Z"), Level::Ok, "leader: replica demarc-1, as of 60 s ago".to_owned()),
        (lease("demarc-1", "2026-04-01T00:10:30.000000Z"), Level::Ok, "leader: replica demarc-1, as of 0 s ago".to_owned()),
        (lease("demarc-1", "2026-04-01T00:08:59.000000Z"), Level::Fail, format!("{nobody} was last renewed 61 s ago")),
        (lease("demarc-1", "2026-03-01T00:00:00.000000Z"), Level::Fail, format!("{nobody} was last renewed 31 d ago")),
        (lease("demarc-1", ""), Level::Fail, format!("{nobody} does not say when it was renewed")),
        (lease("", "2026-04-01T00:09:58.000000Z"), Level::Fail, format!("{nobody} names no replica")),
        (lease("\u{1b}[31m", "2026-04-01T00:09:58.000000Z"), Level::Ok, "leader: replica \\u{1b}[31m, as of 2 s ago".to_owned()),
        (Ok(None), Level::Fail, format!("{nobody} is not there")),
        (Err("forbidden".into()), Level::Unseen, "lease demarc cannot be seen: forbidden".to_owned()),
    ] {
        let line = leader(&Found { lead, webhooks: Ok(vec![service.clone()]), ..found() }, now);
        assert_eq!((line.level, line.message.as_str()), (level, expected.as_str()));
        assert!(level != Level::Fail || line.action.is_some_and(|action| action.contains("kubectl -n sec get pods")), "{expected}");
    }
    // Without the webhook configuration nobody knows where to look.
    for webhooks in [Ok(Vec::new()), Err("forbidden".to_owned())] {
        assert_eq!(leader(&Found { webhooks, ..found() }, now).level, Level::Unseen);
    }
}
