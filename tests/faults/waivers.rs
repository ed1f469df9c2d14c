//! `demarc waiver approve` against a scripted API server: what was not seen is never approved.
//! The API server's own part, that it takes a patch for one version alone, is in tests/cluster.

use axum::http::Method;
use clap::Parser;
use demarc::cli::waiver::approve::{Approve, Person, approve};
use serde_json::{Value, json};

use crate::api::{Call, client, object};

fn stored(control: &str, expires: &str) -> Value {
    json!({
        "apiVersion": "demarc.dev/v1alpha1",
        "kind": "Waiver",
        "metadata": {"name": "w", "namespace": "shop", "resourceVersion": "7", "generation": 1, "creationTimestamp": "2026-03-20T00:00:00Z"},
        "spec": {"control": control, "target": {"selector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db", "mq"]}]}},
            "reason": "vendor\u{1b}[2J", "ticket": "T-1", "requestedBy": "alice", "expires": expires},
        "status": {"latest": "2026-04-30T00:00:00Z", "conditions": []},
    })
}

/// How it ends, what was shown before anybody was asked, and what was patched. `says` is what somebody at a terminal says.
async fn approved(args: &[&str], waiver: Value, says: Option<bool>) -> (Result<String, String>, String, Vec<Value>) {
    let (client, calls) = client(move |call: &Call| match call.method {
        Method::GET | Method::PATCH => object(&waiver),
        _ => object(&json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}, "status": {"userInfo": {"username": "bob"}}})),
    });
    let args = Approve::parse_from(["approve", "w"].iter().chain(args));
    let (mut out, mut seen, asked) = (Vec::new(), Vec::new(), calls.clone());
    let mut answers = |_: &str| {
        assert!(asked.lock().unwrap().iter().all(|call| call.method != Method::PATCH), "asked afterwards");
        Ok(says)
    };
    let said = approve(&args, &client, "shop", &mut out, Person { sees: &mut seen, answers: &mut answers }, "2026-04-01T00:00:00Z".parse().unwrap()).await;
    let patches = calls.lock().unwrap().iter().filter(|call| call.method == Method::PATCH).map(|call| call.body.clone()).collect();
    (said.map(|()| String::from_utf8(out).unwrap()).map_err(|e| e.to_string()), String::from_utf8(seen).unwrap(), patches)
}

#[tokio::test]
async fn what_is_approved_is_the_version_that_was_shown() {
    let known = ["--resource-version", "7"];
    let (control, lasting) = ("encryption-declared", "2026-05-31T00:00:00Z");
    for (what, args, control, expires, says, said) in [
        ("yes", &[][..], control, lasting, Some(true), Ok("waiver shop/w approved: encryption-declared for */(app=web,tier NotIn (db,mq)), until 2026-04-29 at the longest\n")),
        ("no", &[], control, lasting, Some(false), Err("waiver shop/w is not approved")),
        ("nobody there", &[], control, lasting, None, Err("there is no terminal to ask at: --resource-version 7 approves what is shown here")),
        ("seen before", &known, control, lasting, None, Ok("waiver shop/w approved: ")),
        ("seen before, by somebody at a terminal", &known, control, lasting, Some(false), Ok("waiver shop/w approved: ")),
        ("only tried", &["--dry-run"], control, lasting, None, Ok("waiver shop/w approved (dry run): ")),
        ("changed since", &["--resource-version", "6"], control, lasting, None, Err("waiver shop/w has changed since version 6: look at it again")),
        ("changed since, whatever is said", &["--resource-version", "6"], control, lasting, Some(true), Err("has changed since version 6")),
        ("no version", &["--resource-version", ""], control, lasting, Some(true), Err("has changed since version : look at it again")),
        ("over", &known, control, "2026-04-01T00:00:00Z", Some(true), Err("waiver shop/w is over, its last day was 2026-03-31: a new one has to be asked for")),
        ("for nothing", &known, "penetration-test-current", lasting, Some(true), Err("waiver shop/w can never count: its control judges no object")),
    ] {
        let (ended, seen, patches) = approved(args, stored(control, expires), says).await;
        match (&ended, said) {
            (Ok(got), Ok(wanted)) => assert!(got.starts_with(wanted), "{what}: {got}"),
            (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{what}: {got}"),
            _ => panic!("{what}: {ended:?}"),
        }
        let versions: Vec<&Value> = patches.iter().map(|patch| &patch["metadata"]["resourceVersion"]).collect();
        assert_eq!(versions, if said.is_ok() { vec!["7"] } else { vec![] }, "{what}");
        if what != "over" && what != "for nothing" {
            let all = "waiver shop/w, version 7\n  control:      encryption-declared\n  for:          */(app=web,tier NotIn (db,mq))\n  requested by: alice\n  \
                       reason:       vendor\\u{1b}[2J\n  ticket:       T-1\n  until:        2026-04-29\n";
            assert_eq!(seen, all, "{what}");
        }
    }
}

#[tokio::test]
async fn whoever_asked_for_it_is_not_asked() {
    let mut own = stored("encryption-declared", "2026-05-31T00:00:00Z");
    own["spec"]["requestedBy"] = json!("bob");
    let (ended, seen, patches) = approved(&[], own, Some(true)).await;
    assert!(ended.unwrap_err().contains("somebody else has to approve it") && seen.is_empty() && patches.is_empty());
}
