//! A decision asks nobody: every watch is fed by a scripted API server, and while reviews are decided it hears not a word.
//! The reviews are those of `tests/data/admission`, so every path of a decision is among them.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use demarc::{
    admission::server::{Edge, routes},
    controller::{
        index::Index,
        watch::{Health, follow},
    },
    run::watched,
};
use futures::stream;
use kube::{Api, api::DynamicObject};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::api::{client, page, watch};

/// What each list has: the declarations of a case, and nothing else.
fn items(path: &str, declarations: &[Value]) -> Vec<Value> {
    let plural = path.rsplit('/').next().unwrap_or_default();
    declarations.iter().filter(|d| format!("{}s", d["kind"].as_str().unwrap_or_default().to_lowercase()).replace("sss", "sses") == plural).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn while_a_review_is_decided_the_api_server_is_not_asked() {
    let (mut decided, mut refused) = (0, 0);
    for case in std::fs::read_dir(Path::new("tests/data/admission")).unwrap() {
        let case = case.unwrap().path();
        let mut declarations: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(case.join("declarations.yaml")).unwrap()).unwrap();
        for (i, declaration) in declarations.iter_mut().enumerate() {
            declaration["metadata"]["uid"] = json!(i.to_string());
        }
        let (client, calls) = client(move |call| if call.is_watch() { watch(&[], stream::pending()) } else { page(&items(&call.path, &declarations), None) });
        let index = Arc::new(Index::default());
        for (source, resource) in watched() {
            let (api, sink) = (Api::<DynamicObject>::all_with(client.clone(), &resource), index.clone());
            tokio::spawn(async move { follow(api, &resource.plural, Arc::<Health>::default(), move |change| sink.take(source, &change)).await });
        }
        // Listed, and every watch is open.
        tokio::time::sleep(Duration::from_secs(5)).await;
        index.settle();
        index.shared.set_ready(true);
        let before = calls.lock().unwrap().len();
        assert_eq!(before, 2 * watched().len(), "a list and a watch each");

        let router = routes(Edge {
            shared: index.shared.clone(),
            trusted: Arc::new(Vec::new()),
            replica: "one".into(),
            assigns: demarc::admission::assign::nobody(),
            traces: demarc::traces::Traces::default(),
            now: || "2026-04-01T00:00:00Z".parse().unwrap(),
        });
        let body = std::fs::read_to_string(case.join("request.json")).unwrap();
        let request = Request::post("/workloads").header("content-type", "application/json").body(Body::from(body)).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{}", case.display());
        let answer: Value = serde_json::from_slice(&http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes()).unwrap();
        decided += 1;
        refused += u32::from(answer["response"]["allowed"] == json!(false));
        assert_eq!(calls.lock().unwrap().len(), before, "{}", case.display());
    }
    assert!(decided > 30 && refused > 10 && refused < decided, "{decided} decided, {refused} refused");
}
