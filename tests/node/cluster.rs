//! The cluster that `make e2e` made, and the programs to talk to it.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Said, eventually};

pub const SOON: Duration = Duration::from_secs(60);
/// The image that the harness makes: it waits, serves or asks (hack/node/pod.c).
pub const POD_IMAGE: &str = "demarc.test/pod:1";

/// What `make e2e` says; a sentence when this is not `make e2e`.
pub fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: these tests need a cluster, run `make e2e`"))
}

fn run(program: &str, args: &[&str], stdin: Option<&str>) -> Said {
    let mut child = Command::new(program)
        .args(args)
        .env("KUBECONFIG", given("DEMARC_E2E_KUBECONFIG"))
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        let _ = pipe.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn kubectl(args: &[&str]) -> Said {
    run(&given("DEMARC_E2E_KUBECTL"), args, None)
}

pub fn helm(args: &[&str]) -> Said {
    run(&given("DEMARC_E2E_HELM"), args, None)
}

/// A program on the node itself, where the API server's process is.
pub fn on_the_node(args: &[&str]) -> Said {
    let command = given("DEMARC_E2E_ON_NODE");
    let mut words: Vec<&str> = command.split(' ').collect();
    let program = words.remove(0);
    words.extend(args);
    run(program, &words, None)
}

pub fn apply(namespace: &str, object: &Value) -> Said {
    run(&given("DEMARC_E2E_KUBECTL"), &["apply", "-n", namespace, "-f", "-"], Some(&object.to_string()))
}

pub fn create_raw(path: &str, object: &Value) -> Said {
    run(&given("DEMARC_E2E_KUBECTL"), &["create", "--raw", path, "-f", "-"], Some(&object.to_string()))
}

/// A namespace that pods can be made in.
pub fn namespace(name: &str) {
    kubectl(&["create", "namespace", name]).result().unwrap();
    eventually("the service account", SOON, || kubectl(&["get", "serviceaccount", "default", "-n", name]).result());
}

/// Deletes it and waits until it is gone.
pub fn delete_namespace(name: &str) {
    kubectl(&["delete", "namespace", name, "--timeout=60s"]).result().unwrap();
}

/// A pod of the harness' image; as `arguments` say it waits or serves.
pub fn pod(name: &str, arguments: &[&str], privileged: bool) -> Value {
    let container = json!({"name": "pod", "image": POD_IMAGE, "imagePullPolicy": "Never", "args": arguments, "securityContext": {"privileged": privileged}});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": {"a8r.io/owner": "shop"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}
    })
}
