//! New workloads: every kind, every list of containers, every way to change an object, and what is never asked about.
//! Whatever a person or a robot sends, the API server's answer is the test.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, claim, class, named, nothing_slipped_in, rejected, spec, workload},
};

#[test]
fn new_workloads_are_held_to_what_the_customer_owes() {
    let world = World::start();
    world.declare("shop", &json!({}));

    // Every kind, at its own path.
    for kind in ["Pod", "PodTemplate", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"] {
        world.rejects("shop", &workload(kind, "violator", &spec("nginx", true)), "pod-security-standard");
    }
    let cron = world.apply("shop", &workload("CronJob", "violator", &spec("nginx", true)));
    rejected(&cron, "spec.jobTemplate.spec.template.spec.containers[web].securityContext.privileged");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "violator"}, "spec": {"ports": [{"port": 80}]}});
    world.rejects("shop", &service, "workload-named-owner");
    let ingress = named("Ingress", "networking.k8s.io/v1", "violator", json!({"rules": [{"host": "a.example"}]}));
    world.rejects("shop", &ingress, "ingress-tls-required");
    world.accepts("shop", &class("plain"));
    eventually("a claim of a class that is not encrypted is rejected", SOON, || {
        let dry = world.plane.kubectl(&["apply", "-n", "shop", "--dry-run=server", "-f", "-"], Some(&claim("violator", "plain").to_string()));
        if dry.err.contains("pvc-storage-encrypted") { Ok(()) } else { Err(format!("{dry:?}")) }
    });
    world.rejects("shop", &claim("violator", "plain"), "pvc-storage-encrypted");
    world.accepts("shop", &claim("unknown", "elsewhere"));

    // Every list of containers.
    let mut pod = spec("nginx", false);
    pod["initContainers"] = json!([{"name": "i", "image": "nginx", "restartPolicy": "Always", "securityContext": {"privileged": true}}]);
    world.rejects("shop", &workload("Pod", "violator", &pod), "spec.initContainers[i]");
    let mut burstable = spec("nginx", false);
    burstable["containers"][0]["resources"] = json!({"requests": {"cpu": "20m"}});
    world.accepts("shop", &workload("Pod", "debugged", &burstable));
    let mut debugged: Value = serde_json::from_str(&world.plane.kubectl(&["get", "pod", "debugged", "-n", "shop", "-o", "json"], None).result().unwrap()).unwrap();
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "e", "image": "nginx", "securityContext": {"privileged": true}, "terminationMessagePolicy": "File"}]);
    let said = world.plane.kubectl(&["replace", "--raw", "/api/v1/namespaces/shop/pods/debugged/ephemeralcontainers", "-f", "-"], Some(&debugged.to_string()));
    rejected(&said, "spec.ephemeralContainers[e]");
    let resize = r#"{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"10m"}}}]}}"#;
    world.plane.kubectl(&["patch", "pod", "debugged", "-n", "shop", "--subresource=resize", "-p", resize], None).result().unwrap();

    // Every way to change an object that was compliant.
    world.accepts("shop", &workload("Deployment", "good", &spec("nginx", false)));
    let json_patch = r#"[{"op": "remove", "path": "/metadata/annotations/a8r.io~1owner"}]"#;
    let merge_patch = r#"{"metadata": {"annotations": {"a8r.io/owner": null}}}"#;
    for (kind, patch) in [("json", json_patch), ("merge", merge_patch), ("strategic", merge_patch)] {
        rejected(&world.plane.kubectl(&["patch", "deployment", "good", "-n", "shop", "--type", kind, "-p", patch], None), "workload-named-owner");
    }
    let mut applied = workload("Deployment", "good", &spec("nginx", true));
    let said = world.plane.kubectl(&["apply", "-n", "shop", "--server-side", "--force-conflicts", "-f", "-"], Some(&applied.to_string()));
    rejected(&said, "pod-security-standard");
    applied["spec"]["template"]["spec"] = spec("nginx", false);
    rejected(&world.plane.kubectl(&["annotate", "deployment", "good", "-n", "shop", "a8r.io/owner=todo", "--overwrite"], None), "workload-named-owner");
    rejected(
        &world.plane.kubectl(&["apply", "-n", "shop", "--dry-run=server", "-f", "-"], Some(&workload("Pod", "violator", &spec("nginx", true)).to_string())),
        "pod-security-standard",
    );

    // Elsewhere nobody is asked.
    world.plane.kubectl(&["create", "namespace", "elsewhere"], None).result().unwrap();
    eventually("a pod where nothing is declared", SOON, || world.apply("elsewhere", &workload("Pod", "free", &spec("nginx", true))).result());

    // The children of what was accepted come.
    eventually("the deployment's pod", SOON, || match world.field("shop", "deployment/good", ".status.replicas").as_str() {
        "1" => Ok(()),
        other => Err(format!("{other} replicas")),
    });
    nothing_slipped_in(&world);
}
