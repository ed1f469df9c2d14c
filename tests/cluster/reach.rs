//! What stands between the API server and Demarc: a webhook of somebody else's that refuses first, and a port that nobody listens at.
//! Both show in the condition that the leader writes, and neither is green.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::header::CONTENT_TYPE, routing::post};
use demarc::admission::{
    server::serve,
    tls::{Pair, self_made},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use crate::{
    access::token,
    certificates::{SECRET, endpoints, installed},
    proof::{says, start},
    support::{eventually, free_port},
    world::{SOON, World, binary, spec, workload},
};

/// Refuses whatever it is asked about, as an admission webhook does; its port and its certificate.
fn refuser(runtime: &Runtime) -> (u16, k8s_openapi::ByteString) {
    let (certificate, key) = self_made(&["127.0.0.1"]).unwrap();
    let pair = Arc::new(Pair::from_pem(certificate.clone(), key).unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(pair.server_config().unwrap()));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let no = |review: String| async move {
        let review: Value = serde_json::from_str(&review).unwrap();
        let response = json!({"uid": review["request"]["uid"], "allowed": false, "status": {"code": 403, "message": "somebody says no"}});
        ([(CONTENT_TYPE, "application/json")], json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string())
    };
    let routes = Router::new().route("/", post(no));
    runtime.spawn(serve(listener, acceptor, routes, std::future::pending(), Duration::ZERO));
    (port, k8s_openapi::ByteString(certificate))
}

#[test]
fn a_webhook_that_refuses_first_masks_the_probe_in_its_namespace_and_no_other() {
    let runtime = Runtime::new().unwrap();
    let world = start();
    world.declare("shop", &json!({}));
    let (port, bundle) = refuser(&runtime);
    // A mutating one is asked before any validating one; beside another of those, which of two refusals is told would be a race.
    let webhook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "somebodys"}, "webhooks": [{
        "name": "no.somebody.example", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": format!("https://127.0.0.1:{port}/"), "caBundle": bundle},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods", "podtemplates"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "masked"}}}]});
    world.plane.kubectl(&["apply", "-f", "-"], Some(&webhook.to_string())).result().unwrap();
    world.plane.kubectl(&["create", "namespace", "masked"], None).result().unwrap();
    let template = workload("PodTemplate", "x", &spec("nginx", false)).to_string();
    eventually("somebody's webhook", SOON, || {
        let said = world.plane.kubectl(&["create", "-n", "masked", "--dry-run=server", "-f", "-"], Some(&template));
        if said.err.contains("somebody says no") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    world.accepts("masked", &json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": {"serviceModel": "PaaS"}}));
    for expected in ["ProbeMasked", "\"Unknown\"", "no.somebody.example"] {
        says(&world, "masked", expected);
    }
    says(&world, "shop", "Proven");
    world.plane.kubectl(&["delete", "mutatingwebhookconfiguration", "somebodys"], None).result().unwrap();
    says(&world, "masked", "Proven");
}

/// Hands on from one port to another, until its runtime ends, which closes the port and every connection.
fn relay(from: u16, to: u16) -> Runtime {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind(("0.0.0.0", from))).unwrap();
    runtime.spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    runtime
}

#[test]
fn a_port_that_nobody_listens_at_shows_in_the_leaders_own_condition() {
    let plane = installed();
    let (port, relayed) = (free_port(), free_port());
    let kubeconfig = plane.kubeconfig_of("one", &token(&plane, "demarc"));
    let further = ["--tls-secret", SECRET, "--namespace", "demarc-system", "--probe-every", "1"];
    let demarc = Some(plane.launch(binary(), "one", &kubeconfig, &format!("127.0.0.1:{port}"), &further));
    let world = World { demarc, plane };
    let log = || world.demarc.as_ref().unwrap().log();
    eventually("ready", SOON, || if world.demarc.as_ref().unwrap().readyz() == 200 { Ok(()) } else { Err(log()) });
    let open = relay(relayed, port);
    endpoints(&world.plane, &[relayed]);
    world.plane.kubectl(&["create", "namespace", "shop"], None).result().unwrap();
    let ownership = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": {"serviceModel": "PaaS"}});
    // The API server may not have heard of the endpoint or of the CA yet.
    eventually("the declaration", SOON, || world.apply("shop", &ownership).result());
    says(&world, "shop", "Proven");

    open.shutdown_background();
    for expected in ["Unreachable", "\"Unknown\"", "closed"] {
        says(&world, "shop", expected);
    }
    eventually("the log", SOON, || if log().contains("the API server cannot ask: nothing new is admitted") { Ok(()) } else { Err(log()) });
    eventually("the service account", SOON, || world.plane.kubectl(&["get", "serviceaccount", "default", "-n", "shop"], None).result());
    let said = world.apply("shop", &workload("Pod", "good", &spec("nginx", false)));
    assert!(!said.ok && said.err.contains("failed calling webhook"), "{said:?}");

    let open = relay(relayed, port);
    says(&world, "shop", "Proven");
    world.accepts("shop", &workload("Pod", "good", &spec("nginx", false)));
    open.shutdown_background();
}
