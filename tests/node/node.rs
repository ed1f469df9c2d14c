//! What a node owes to the tests that stand on it.

use serde_json::json;

use crate::{
    cluster::{SOON, apply, delete_namespace, kubectl, namespace, on_the_node, pod},
    support::eventually,
};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn pods_run_and_a_service_is_reached_from_a_pod_and_from_the_node() {
    namespace("node");
    apply("node", &pod("web", &["serve", "8080", "hello"], false)).result().unwrap();
    apply("node", &pod("asker", &[], false)).result().unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    apply("node", &service).result().unwrap();
    kubectl(&["wait", "-n", "node", "pod", "--all", "--for=condition=Ready", "--timeout=60s"]).result().unwrap();
    assert_eq!(kubectl(&["logs", "-n", "node", "web"]).result().unwrap(), "serving\n");

    let address = kubectl(&["get", "service", "-n", "node", "web", "-o", "jsonpath={.spec.clusterIP}"]).result().unwrap();
    // The server itself too: its own Service brings it back to itself.
    for from in ["asker", "web"] {
        eventually("the Service, from a pod", SOON, || {
            let answer = kubectl(&["exec", "-n", "node", from, "--", "/pod", "get", &address, "80"]).result()?;
            if answer.ends_with("hello") { Ok(()) } else { Err(answer) }
        });
    }
    let ask = format!("exec 3<>/dev/tcp/{address}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3");
    let answer = on_the_node(&["bash", "-c", &ask]).result().unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
    delete_namespace("node");
}
