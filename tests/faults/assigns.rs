//! Asking whether somebody may assign, of an API server that does not say: the weakening is refused within two seconds, and the refusal tells why.
//! The question is the real client's, with its habit of repeating what was refused for a while.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request},
};
use demarc::{
    admission::{
        assign::{self, Assigns},
        guard::Appeal,
        server::{Edge, routes},
    },
    api::Declaration,
    controller::{
        index::{Index, Source},
        watch::Change,
    },
};
use http_body_util::BodyExt;
use k8s_openapi::api::authentication::v1::UserInfo;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use super::api::{Reply, Way, answer, client, error, object, throttled};

fn appeal() -> Appeal {
    let user = UserInfo { username: Some("system:serviceaccount:gitops:flux".to_owned()), groups: Some(vec!["system:serviceaccounts".to_owned()]), ..UserInfo::default() };
    Appeal { user, resource: "ownerships", namespace: "shop".to_owned(), name: "default".to_owned() }
}

fn said(allowed: bool) -> Reply {
    object(&json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {}, "status": {"allowed": allowed}}))
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_answer_within_two_seconds_may_not() {
    let silent = Err("the API server did not say within 2 s");
    let unasked = Err("the API server could not be asked");
    let ways: [(Way, Result<bool, &str>); 11] = [
        (("yes", || said(true)), Ok(true)),
        (("no", || said(false)), Ok(false)),
        (("no answer", || Reply::Never), silent),
        (("come back in a minute", || throttled(60)), silent),
        (("no rights", || error(403)), Err("Demarc may not create subjectaccessreviews.authorization.k8s.io")),
        (("500", || error(500)), unasked),
        (("404", || error(404)), unasked),
        (("not JSON", || answer(200, "<html>")), unasked),
        (("an empty body", || answer(200, "")), unasked),
        (("no status", || object(&json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}}))), Ok(false)),
        (
            ("no word of it", || {
                object(&json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": {"denied": true, "allowed": false}}))
            }),
            Ok(false),
        ),
    ];
    for ((what, way), held) in ways {
        let (client, calls) = client(move |_| way());
        let began = Instant::now();
        assert_eq!(assign::by(client)(appeal()).await, held, "{what}");
        assert!(began.elapsed() <= Duration::from_millis(2001), "{what}: {:?}", began.elapsed());
        let first = calls.lock().unwrap()[0].clone();
        assert_eq!((first.method, first.path.as_str()), (Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews"));
        let asked = json!({"group": "demarc.dev", "resource": "ownerships", "verb": "assign", "namespace": "shop", "name": "default"});
        assert_eq!((&first.body["spec"]["resourceAttributes"], &first.body["spec"]["user"]), (&asked, &json!("system:serviceaccount:gitops:flux")), "{what}");
    }
}

/// The answer to a weakening, of a webhook that asks in this way.
async fn review(assigns: Assigns) -> Value {
    let index = Arc::<Index>::default();
    let spec = |mode: &str| json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop", "uid": "o"}, "spec": {"serviceModel": "PaaS", "mode": mode}});
    index.take(Source::Declared(Declaration::Ownership), &Change::Applied(Box::new(serde_json::from_value(spec("Enforce")).unwrap())));
    index.settle();
    index.shared.set_ready(true);
    let edge = Edge { shared: index.shared.clone(), trusted: Arc::default(), replica: "one".into(), assigns, traces: demarc::traces::Traces::default(), now: jiff::Timestamp::now };
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "kind": {"group": "demarc.dev", "version": "v1alpha1", "kind": "Ownership"},
        "name": "default", "namespace": "shop", "operation": "UPDATE", "userInfo": {"username": "flux"}, "object": spec("Audit"), "oldObject": spec("Enforce")}});
    let request = Request::builder().method(Method::POST).uri("/declarations").header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
    let response = routes(edge).oneshot(request).await.unwrap();
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_weakening_that_nobody_vouches_for_is_refused_and_says_so_in_time() {
    for (way, why) in [(Reply::Never, " (whether you hold it is not known: the API server did not say within 2 s)"), (said(false), "or")] {
        let mut way = Some(way);
        let (client, calls) = client(move |_| way.take().unwrap_or(Reply::Never));
        let began = Instant::now();
        let answer = review(assign::by(client)).await;
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["allowed"], &response["status"]["code"]), (&json!("u-1"), &json!(false), &json!(403)), "{answer}");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.starts_with("spec.mode: enforcement Audit after Deny of") && message.contains(why), "{message}");
        assert!(!message.contains("flux") && began.elapsed() < Duration::from_secs(5), "the API server waits 5 s: {:?}", began.elapsed());
        assert_eq!(calls.lock().unwrap().len(), 1);
    }
    let (client, _) = client(|_| said(true));
    assert_eq!(review(assign::by(client)).await["response"]["allowed"], true);
}
