//! What keeps Demarc from its work, where somebody who looks finds it: in the pod's termination message, and in what doctor says.

use std::time::Duration;

use crate::{
    cluster::{SOON, delete_namespace, helm, kubectl, namespace},
    installed::{NAMESPACE, RELEASE, declare, install, inventory, settled, uninstall},
    support::eventually,
};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn without_its_rights_the_pods_termination_message_says_which() {
    let before = inventory();
    namespace(NAMESPACE);
    helm(&["install", RELEASE, "charts/demarc", "-n", NAMESPACE, "--set", "crds.keep=false,rbac.create=false"]).result().unwrap();
    let message = "jsonpath={.items[0].status.containerStatuses[0]['state','lastState'].terminated.message}";
    let told = eventually("a pod that ended", Duration::from_secs(90), || {
        let told = kubectl(&["get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=demarc", "-o", message]).result()?;
        if told.trim().is_empty() { Err("none has".to_owned()) } else { Ok(told) }
    });
    println!("{told}");
    assert!(told.contains("RBAC forbids system:serviceaccount:demarc-system:demarc to list ") && told.trim().lines().count() == 1, "{told}");
    // Its hook has no rights either.
    helm(&["uninstall", RELEASE, "-n", NAMESPACE, "--no-hooks", "--wait", "--timeout=2m"]).result().unwrap();
    delete_namespace(NAMESPACE);
    eventually("nothing is left", SOON, || {
        let left: Vec<String> = inventory().into_iter().filter(|object| !before.contains(object)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_port_that_the_api_server_does_not_reach_is_told_by_doctor() {
    let before = inventory();
    namespace(NAMESPACE);
    install(&[]);
    namespace("shop");
    declare("shop");
    let port = |port: &str| {
        let patch = format!(r#"[{{"op": "replace", "path": "/spec/ports/0/targetPort", "value": {port}}}]"#);
        kubectl(&["patch", "service", "demarc", "-n", NAMESPACE, "--type=json", "-p", &patch]).result().unwrap();
    };
    // As a firewall does it, which no cluster has that tests are run on; to new connections, so the old ones must go.
    port("9");
    kubectl(&["rollout", "restart", "deployment/demarc", "-n", NAMESPACE]).result().unwrap();
    settled();
    eventually("doctor says so", SOON, || {
        let said = helm(&["test", RELEASE, "-n", NAMESPACE, "--timeout=1m"]);
        let told = kubectl(&["logs", "demarc-test", "-n", NAMESPACE]).out;
        if !said.ok && told.contains("FAIL  dry run: the API server cannot ask Demarc") { Ok(()) } else { Err(format!("{said:?}{told}")) }
    });
    port(r#""webhook""#);
    uninstall(&before);
}
