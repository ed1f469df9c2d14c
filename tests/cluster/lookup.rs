//! `demarc check --context`: files judged by what a real cluster declares and has, with the rights of whoever asks.
//! It lists and never writes; the audit log says so.

use std::{path::Path, process::Command};

use serde_json::json;

use crate::world::{World, binary, claim, class, nothing_slipped_in, only};

fn check(kubeconfig: &Path, args: &[&str]) -> (i32, String, String) {
    let said = Command::new(binary()).arg("check").args(args).env("KUBECONFIG", kubeconfig).output().unwrap();
    (said.status.code().unwrap(), String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap())
}

#[test]
fn files_are_judged_by_what_the_cluster_has() {
    let world = World::start();
    world.declare("shop", &json!({"controls": only(&["pvc-storage-encrypted"])}));
    world.accepts("shop", &class("plain"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claim.json");
    std::fs::write(&file, claim("kept", "plain").to_string()).unwrap();
    let file = file.to_str().unwrap();
    let kubeconfig = world.plane.kubeconfig();

    let (code, out, err) = check(&kubeconfig, &["-f", file, "-n", "shop"]);
    assert!(code == 0 && out.contains("no Ownership among the files"), "{out}{err}");
    let (code, out, err) = check(&kubeconfig, &["-f", file, "-n", "shop", "--context"]);
    assert!(code == 1 && out.contains("error[pvc-storage-encrypted]"), "{out}{err}");
    // A namespace that is not there declares nothing.
    let (code, out, err) = check(&kubeconfig, &["-f", file, "-n", "nowhere", "--context"]);
    assert!(code == 0 && out.contains("no Ownership"), "{out}{err}");

    let (code, out, err) = check(&kubeconfig, &["-f", file, "--context", "no-such"]);
    assert!((code, out.as_str()) == (2, "") && err.starts_with("error: context no-such: --context no-such: kubectl config get-contexts lists them"), "{err}");
    // What stands around the workloads, and what the cluster does not serve.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "old"}, "status": {"nodeInfo": {
        "kubeletVersion": "v1.19.1", "operatingSystem": "linux", "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
        "kubeProxyVersion": "", "machineID": "", "osImage": "", "systemUUID": ""}}});
    world.plane.kubectl(&["create", "-f", "-"], Some(&node.to_string())).result().unwrap();
    world.accepts("shop", &claim("data", "elsewhere"));
    let policy = json!({"platform": {"minKubelet": "1.20"}, "tooling": {"runtimeDetection": "shop/watcher"}});
    let own = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"serviceModel": "PaaS", "policy": policy, "reviews": {"restoreTest": {"lastCompleted": jiff::Timestamp::now()}}}});
    let declared = folder.path().join("own.json");
    std::fs::write(&declared, own.to_string()).unwrap();
    let (_, out, err) = check(&kubeconfig, &["-f", declared.to_str().unwrap(), "--context", "--show-unknown"]);
    for said in ["older than 1.20: old", "too far from the API server's version", "there is no DaemonSet shop/watcher", "backups are not seen: the cluster does not serve them"] {
        assert!(out.contains(said), "{said}: {out}{err}");
    }

    let stranger = world.plane.kubeconfig_of("stranger", "no-token");
    let (code, out, err) = check(&stranger, &["-f", file, "-n", "shop", "--context"]);
    assert!((code, out.as_str()) == (2, "") && err.contains("s cannot be listed: Unauthorized") && err.contains("auth can-i"), "{err}");
    nothing_slipped_in(&world);
}
