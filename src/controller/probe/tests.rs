//! Tables of the probe: what an answer of the API server proves, and when what is told.
//! The ledger is given its clock, and never a client.

use kube::core::Status;
use serde_json::{Value, json};

use super::*;

const EVERY: Duration = Duration::from_secs(60);

fn error(code: u16, message: &str, causes: &Value) -> kube::Error {
    let status: Status = serde_json::from_value(json!({"status": "Failure", "message": message, "reason": "Forbidden", "code": code, "details": {"causes": causes}})).unwrap();
    kube::Error::Api(Box::new(status))
}

fn proven() -> Outcome {
    Outcome::Proven { replica: "one".into(), generation: 3 }
}

#[test]
fn an_answer_is_taken_for_what_it_proves() {
    let ours = json!([{"reason": "DemarcProbe", "message": "x"}, {"reason": "DemarcGeneration", "message": "3"}, {"reason": "DemarcReplica", "message": "one"}]);
    let nameless = json!([{"reason": "DemarcProbe", "message": "x"}, {"reason": "DemarcReplica", "message": "one"}]);
    let refusal = "admission webhook \"workloads.demarc.dev\" denied the request: demarc-probe: always";
    let other = "admission webhook \"policy.example.com\" denied the request: demarc-probe \"workloads\"";
    for (what, answer, wanted, expected) in [
        ("ours", error(403, refusal, &ours), 3, proven()),
        ("of an older declaration than we know", error(403, refusal, &ours), 4, Outcome::Behind { replica: "one".into() }),
        ("of a declaration that nobody can read", error(403, refusal, &nameless), 0, Outcome::Proven { replica: "one".into(), generation: 0 }),
        ("of a replica that has not heard of it", error(403, refusal, &nameless), 1, Outcome::Behind { replica: "one".into() }),
        ("our webhook's, for another reason", error(403, refusal, &json!([])), 3, Outcome::Masked(refusal.into())),
        ("another webhook's, with our causes", error(403, other, &ours), 3, Outcome::Masked(other.into())),
        ("RBAC's", error(403, "podtemplates is forbidden", &json!([])), 3, Outcome::Masked("podtemplates is forbidden".into())),
        (
            "unreachable",
            error(500, "failed calling webhook \"workloads.demarc.dev\": refused", &json!([])),
            3,
            Outcome::Unreachable("failed calling webhook \"workloads.demarc.dev\": refused".into()),
        ),
        ("another unreachable", error(500, "failed calling webhook \"a\": refused", &json!([])), 3, Outcome::Masked("failed calling webhook \"a\": refused".into())),
        ("an API server in trouble", error(500, "etcd", &json!([])), 3, Outcome::Unheard("etcd".into())),
        ("a namespace that is gone", error(404, "namespaces \"x\" not found", &json!([])), 3, Outcome::Unheard("namespaces \"x\" not found".into())),
    ] {
        assert_eq!(outcome(Err(&answer), wanted), expected, "{what}");
    }
    assert_eq!(outcome(Ok(()), 3), Outcome::FailingOpen);
}

fn reason(news: &[(String, Option<Proof>)], namespace: &str) -> String {
    news.iter().rfind(|(n, _)| n == namespace).map_or_else(
        || "-".to_owned(),
        |(_, proof)| match proof {
            None => "gone".to_owned(),
            Some(Proof::Missing(fault)) => fault.reason.to_owned(),
            Some(proof) => format!("{proof:?}"),
        },
    )
}

fn names(due: &[(String, i64)]) -> Vec<&str> {
    due.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_namespace_is_asked_about_at_once_and_the_rest_in_turn() {
    let mut ledger = Ledger::new(EVERY, Instant::now());
    let all = |new: bool| [("a", 1, true), ("b", 2, true), ("c", 3, !new)].map(|(n, g, p)| (n.to_owned(), g, p));
    ledger.enrolled(Instant::now(), all(true));
    assert_eq!(ledger.due(Instant::now()), [("a".to_owned(), 1), ("c".to_owned(), 3)], "one in turn, and the new one");
    let news = ledger.news();
    assert_eq!((reason(&news, "a"), reason(&news, "c")), ("Held".into(), "Awaited".into()));
    ledger.heard("a", &proven(), Instant::now());
    assert!(ledger.heard("c", &proven(), Instant::now()), "told");
    assert_eq!(reason(&ledger.news(), "c"), "Held");
    for next in ["b", "c", "a"] {
        assert!(ledger.due(Instant::now()).is_empty());
        tokio::time::advance(EVERY).await;
        assert_eq!(names(&ledger.due(Instant::now())), [next]);
        assert!(!ledger.heard(next, &proven(), Instant::now()));
        assert!(ledger.news().is_empty(), "a steady state tells nothing");
    }
    ledger.enrolled(Instant::now(), [("a".to_owned(), 1, true)]);
    assert_eq!(reason(&ledger.news(), "b"), "gone");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_told_when_it_is_so_three_times_and_taken_back_by_one_proof() {
    for (outcome, expected, everywhere) in [
        (Outcome::FailingOpen, "FailingOpen", "-"),
        (Outcome::Unreachable("connection refused".into()), "Unreachable", "Unreachable"),
        (Outcome::Unreachable("x509: unknown authority".into()), "CaBundleForeign", "CaBundleForeign"),
        (Outcome::Masked("another".into()), "ProbeMasked", "-"),
        (Outcome::Behind { replica: "two".into() }, "ReplicaBehind", "-"),
        (Outcome::Unheard("etcd".into()), "-", "-"),
    ] {
        let mut ledger = Ledger::new(EVERY, Instant::now());
        ledger.enrolled(Instant::now(), [("a".to_owned(), 1, false), ("b".to_owned(), 1, true)]);
        ledger.news();
        for tries in 1..=TRIES {
            assert!(names(&ledger.due(Instant::now())).contains(&"a"), "{outcome:?} {tries}");
            assert_eq!(ledger.heard("a", &outcome, Instant::now()), tries == TRIES && expected != "-", "{outcome:?}");
            tokio::time::advance(AGAIN).await;
        }
        assert_eq!(reason(&ledger.news(), "a"), expected, "{outcome:?}");
        assert_eq!(ledger.reach(Instant::now()).map_or("-", |f| f.reason), everywhere, "{outcome:?}");
        assert_eq!(names(&ledger.due(Instant::now())), ["b"], "in turn, and after failing open at once: {outcome:?}");
        // Told once, however the details differ.
        tokio::time::advance(EVERY).await;
        assert!(names(&ledger.due(Instant::now())).contains(&"a"), "asked again");
        assert!(!ledger.heard("a", &outcome, Instant::now()) && ledger.news().is_empty());
        ledger.heard("a", &proven(), Instant::now());
        assert_eq!((reason(&ledger.news(), "a").as_str(), ledger.reach(Instant::now())), ("Held", None), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_grows_old_and_nothing_enrolled_is_nothing_to_prove() {
    let mut ledger = Ledger::new(EVERY, Instant::now());
    tokio::time::advance(EVERY * 10).await;
    assert_eq!(ledger.reach(Instant::now()), None);
    ledger.enrolled(Instant::now(), [("a".to_owned(), 1, true)]);
    for _ in 0..ROUNDS {
        assert_eq!(ledger.reach(Instant::now()), None);
        tokio::time::advance(EVERY).await;
        for _ in 0..TRIES {
            for (namespace, _) in ledger.due(Instant::now()) {
                ledger.heard(&namespace, &Outcome::Masked("another".into()), Instant::now());
            }
            tokio::time::advance(AGAIN).await;
        }
    }
    assert_eq!(ledger.reach(Instant::now()).unwrap().reason, "ProofOld");
    assert_eq!(reason(&ledger.news(), "a"), "Held", "what was proven once is old, not wrong");
    ledger.heard("a", &proven(), Instant::now());
    assert_eq!(ledger.reach(Instant::now()), None);
}
