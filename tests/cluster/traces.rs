//! Spans of what happens on a real API server, which traces itself: its reviews, what the leader writes, and the proofs of enforcement.

use serde_json::json;

use crate::{
    support::{
        ControlPlane,
        receiver::{Receiver, told},
    },
    world::{World, only, spec, workload},
};

#[test]
fn reviews_writes_and_proofs_are_told_and_reviews_in_the_api_servers_own_trace() {
    let mut plane = ControlPlane::start();
    plane.trace_api_server();
    let world = World::on(plane, &["--probe-every", "1"]);
    world.declare("shop", &json!({"controls": only(&["pod-security-standard"])}));
    let good = json!({"containers": [{"name": "web", "image": "r.example/web:1", "securityContext": {
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]});
    world.accepts("shop", &workload("Deployment", "fine", &good));
    world.rejects("shop", &workload("Deployment", "violator", &spec("r.example/web:1", true)), "pod-security-standard");

    let receiver: &Receiver = world.plane.receiver.as_ref().unwrap();
    let review = |decision: &str| {
        receiver.until(decision, |span| {
            let told = told(span);
            told[0] == "admission review" && told.contains(&format!("demarc.decision={decision}")) && told.contains(&"demarc.kind=Deployment".to_owned())
        })
    };
    for decision in ["Allowed", "Denied"] {
        let span = review(decision);
        println!("{:#?}", told(&span));
        assert_eq!((span.trace_id.len(), span.parent_span_id.len()), (16, 8), "the API server says by which trace it asks: {span:?}");
        for attribute in ["k8s.namespace.name=shop", "demarc.operation=CREATE", "demarc.generation=1", "http.route=/workloads"] {
            assert!(told(&span).contains(&attribute.to_owned()), "{attribute} in {:?}", told(&span));
        }
    }
    assert!(told(&review("Denied")).iter().any(|a| a.starts_with("demarc.violations.pod-security-standard=")), "{:?}", told(&review("Denied")));
    // What nobody asked for is a trace of its own.
    for (what, attribute) in [("prove enforcement", "demarc.result=Proven"), ("judge namespace", "demarc.writes=1")] {
        let span = receiver.until(what, |span| span.name == what && told(span).contains(&attribute.to_owned()));
        assert!(span.parent_span_id.is_empty() && told(&span).contains(&"k8s.namespace.name=shop".to_owned()), "{span:?}");
    }
    let metrics = world.demarc.as_ref().unwrap().get("/metrics");
    assert!(metrics.contains("demarc_spans_total{outcome=\"Lost\"} 0"), "{metrics}");
}
