//! New workloads: every kind, every list of containers, every way to change an object, and what is never asked about.
//! Whatever a person or a robot sends, the API server's answer is the test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use demarc::model::subject::Kind;
use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, claim, class, in_the_next_second, named, nothing_slipped_in, only, rejected, spec, workload},
};

#[test]
fn people_show_a_second_factor_where_the_ownership_says_how() {
    let world = World::start();
    let mut controls = only(&["pod-security-standard"]);
    controls.as_array_mut().unwrap().retain(|c| c["control"] != "mfa-enforced");
    controls.as_array_mut().unwrap().push(json!({"control": "mfa-enforced", "enforcement": "Deny"}));
    let policy = json!({"mfa": {"extra": "example.com/amr", "values": ["mfa"], "machines": ["ci"]}});
    world.declare("shop", &json!({"controls": controls, "policy": policy}));
    let web = workload("Deployment", "web", &spec("nginx", false));
    let by = |who: &[&str], object: &Value| world.plane.kubectl(&[who, &["apply", "-n", "shop", "-f", "-"]].concat(), Some(&object.to_string()));
    let jo = ["--as=jo", "--as-group=system:masters"];
    rejected(&by(&jo, &web), "mfa-enforced (high) at request.userInfo.extra[example.com/amr]: the request does not show how whoever asks signed in");
    rejected(&by(&[&jo[..], &["--as-user-extra=example.com/amr=pwd"]].concat(), &web), "signed in without a second factor");
    let said = by(&[&jo[..], &["--as-user-extra=example.com/amr=pwd", "--as-user-extra=example.com/amr=mfa"]].concat(), &web);
    assert!(said.ok, "{said:?}");
    // What controllers make of it is theirs, and a machine's word is its own.
    eventually("its pod", SOON, || {
        let pods = world.plane.kubectl(&["get", "pods", "-n", "shop", "-o", "name"], None).result()?;
        if pods.contains("pod/web-") { Ok(()) } else { Err(pods) }
    });
    for who in [["--as=ci", "--as-group=system:masters"], ["--as=system:serviceaccount:shop:default", "--as-group=system:masters"]] {
        let said = by(&who, &workload("Deployment", "api", &spec("nginx", false)));
        assert!(said.ok, "{said:?}");
    }
    // An update and a role are asked about as well; scaling by its own subresource and a deletion are not.
    let mut touched = web.clone();
    touched["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    rejected(&by(&jo, &touched), "mfa-enforced");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "violator"}, "rules": []});
    rejected(&by(&jo, &role), "mfa-enforced");
    for free in [&["scale", "deployment/web", "--replicas=0"][..], &["delete", "deployment/web"]] {
        let said = world.plane.kubectl(&[&jo[..], free, &["-n", "shop"]].concat(), None);
        assert!(said.ok, "{said:?}");
    }
    nothing_slipped_in(&world);
    // Of the namespace nothing is concluded from that.
    let verdict = world.field("shop", "ownership/default", ".status.matrix[?(@.control==\"mfa-enforced\")].verdict");
    assert_eq!(verdict, "Unknown");
}

#[test]
fn new_workloads_are_held_to_what_the_customer_owes() {
    let world = World::start();
    world.declare("shop", &json!({}));

    // Every kind, at its own path.
    for kind in Kind::ALL.iter().filter(|k| k.template_path().is_some()) {
        let template = match kind.template_path() {
            Some("") | None => String::new(),
            Some(path) => format!("{path}."),
        };
        world.rejects("shop", &workload(kind.name(), "violator", &spec("nginx", true)), &format!(" {template}spec.containers[web].securityContext.privileged"));
    }
    // One that its maker leaves the API server to name.
    let mut unnamed = workload("Pod", "violator", &spec("nginx", true));
    unnamed["metadata"] = json!({"generateName": "violator-", "annotations": {"a8r.io/owner": "shop"}});
    let said = world.plane.kubectl(&["create", "-n", "shop", "-f", "-"], Some(&unnamed.to_string()));
    rejected(&said, "pod shop/violator-");
    rejected(&said, "pod-security-standard");
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

    // Every list of containers; this one is a native sidecar.
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

/// How often the API server has asked about a workload, by its own count.
fn asked(world: &World, operation: &str) -> u64 {
    let metrics = world.plane.kubectl(&["get", "--raw", "/metrics"], None).result().unwrap();
    let ours = |l: &&str| l.starts_with("apiserver_admission_webhook_request_total{") && l.contains("name=\"workloads.demarc.dev\"") && l.contains(operation);
    metrics.lines().filter(ours).filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn what_cannot_change_a_pod_is_never_asked_about_and_what_can_always_is() {
    let world = World::start();
    every_resource_that_reaches_a_pod_spec_is_in_the_rules(&world);
    world.declare("shop", &json!({"mode": "Audit"}));
    let zero = |kind: &str, name: &str| {
        let mut object = workload(kind, name, &spec("nginx", true));
        object["spec"]["replicas"] = json!(0);
        object
    };
    world.accepts("shop", &workload("Pod", "bound", &spec("nginx", true)));
    world.accepts("shop", &workload("Pod", "evicted", &spec("nginx", true)));
    for kind in ["ReplicaSet", "ReplicationController", "StatefulSet", "Deployment"] {
        world.accepts("shop", &zero(kind, "sized"));
    }
    let sizes = ["replicaset/sized", "replicationcontroller/sized", "statefulset/sized", "deployment/sized"];
    in_the_next_second();
    world.redeclare("shop", &json!({}));

    let before = asked(&world, "");
    world.accepts("shop", &workload("Pod", "counted", &spec("nginx", false)));
    assert_eq!(asked(&world, ""), before + 1, "the count counts");
    let raw =
        |path: &str, body: &Value| world.plane.kubectl(&["create", "--raw", &format!("/api/v1/namespaces/shop/{path}"), "-f", "-"], Some(&body.to_string())).result().unwrap();
    raw("pods/bound/binding", &json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "bound"}, "target": {"kind": "Node", "name": "nowhere"}}));
    raw("pods/evicted/eviction", &json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted"}}));
    let condition = json!({"status": {"conditions": [{"type": "Seen", "status": "True"}]}}).to_string();
    world.plane.kubectl(&["patch", "pod", "counted", "-n", "shop", "--subresource=status", "-p", &condition], None).result().unwrap();
    for target in sizes {
        let said = world.plane.kubectl(&["scale", target, "-n", "shop", "--replicas=0", "--current-replicas=0"], None);
        assert!(said.ok, "{said:?}");
    }
    assert_eq!(asked(&world, ""), before + 1, "binding, eviction, status and scale");
    // One that grows makes pods, which are asked about; but it is not.
    let (updates, creates) = (asked(&world, "UPDATE"), asked(&world, "CREATE"));
    world.plane.kubectl(&["scale", "replicaset/sized", "-n", "shop", "--replicas=1"], None).result().unwrap();
    eventually("its pod is asked about", SOON, || if asked(&world, "CREATE") > creates { Ok(()) } else { Err(creates.to_string()) });
    assert_eq!(asked(&world, "UPDATE"), updates);

    what_is_only_tried_is_judged_and_not_written(&world);

    // Everything can go, violators and all, many at once.
    for i in 0..5 {
        let zeros = ["Deployment", "StatefulSet"].map(|kind| {
            let mut object = zero(kind, &format!("many-{i}"));
            object["spec"]["template"]["spec"] = spec("nginx", false);
            object
        });
        for object in [&workload("Pod", &format!("many-{i}"), &spec("nginx", false)), &claim(&format!("many-{i}"), "nowhere"), &zeros[0], &zeros[1]] {
            world.accepts("shop", object);
        }
    }
    for path in [
        "apis/apps/v1/namespaces/shop/deployments",
        "apis/apps/v1/namespaces/shop/statefulsets",
        "apis/apps/v1/namespaces/shop/replicasets",
        "api/v1/namespaces/shop/replicationcontrollers",
        "api/v1/namespaces/shop/pods",
        "api/v1/namespaces/shop/persistentvolumeclaims",
    ] {
        world.plane.kubectl(&["delete", "--raw", &format!("/{path}")], None).result().unwrap();
    }
    eventually("nothing is left", SOON, || {
        match world
            .plane
            .kubectl(&["get", "deployments,statefulsets,replicasets,replicationcontrollers,pods,persistentvolumeclaims", "-n", "shop", "-o", "name"], None)
            .result()?
            .as_str()
        {
            "" => Ok(()),
            left => Err(left.to_owned()),
        }
    });
    nothing_slipped_in(&world);
}

/// Writes that were done and were not dry runs, by a person or by Demarc; a Lease that is renewed says nothing.
fn written(world: &World) -> Vec<String> {
    let done = |e: &&Value| e["responseStatus"]["code"].as_u64().is_some_and(|c| c < 300) && e["user"]["username"] == "admin" && e["objectRef"]["resource"] != "leases";
    let real = |e: &&Value| !e["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All"));
    world.plane.audit().iter().filter(done).filter(real).map(|e| format!("{} {}", e["verb"], e["requestURI"])).collect()
}

fn what_is_only_tried_is_judged_and_not_written(world: &World) {
    let settled = |before: usize| {
        std::thread::sleep(Duration::from_millis(1500));
        let now = written(world);
        if now.len() == before { Ok(now) } else { Err(now.len()) }
    };
    let mut count = written(world).len();
    let before = eventually("no more is written", SOON, || settled(count).map_err(|now| std::mem::replace(&mut count, now).to_string()));
    let dry = |object: &Value| world.plane.kubectl(&["create", "-n", "shop", "--dry-run=server", "-f", "-"], Some(&object.to_string()));
    rejected(&dry(&workload("Pod", "violator", &spec("nginx", true))), "pod-security-standard");
    dry(&workload("Pod", "tried", &spec("nginx", false))).result().unwrap();
    let unknown = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": {"serviceModel": "PaaS", "controls": [{"control": "none-such"}]}});
    let elsewhere = |object: &Value| world.plane.kubectl(&["create", "-n", "default", "--dry-run=server", "-f", "-"], Some(&object.to_string()));
    rejected(&elsewhere(&unknown), "nobody knows");
    let mut known = unknown;
    known["spec"]["controls"] = json!([]);
    elsewhere(&known).result().unwrap();
    // As long as a pass of the leader takes, and more.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(written(world), before);
}

/// Served beside the resources in the rules, with a PodSpec in the body, and yet not asked about.
const NEVER_ASKED: &[(&str, &str)] = &[
    // The API server takes nothing but `status` (and some metadata) from these bodies.
    ("", "pods/status"),
    ("", "replicationcontrollers/status"),
    ("apps", "daemonsets/status"),
    ("apps", "deployments/status"),
    ("apps", "replicasets/status"),
    ("apps", "statefulsets/status"),
    ("batch", "cronjobs/status"),
    ("batch", "jobs/status"),
];

/// Groups in the rules that Kubernetes does not serve itself: a cluster has them once their CRDs are installed.
const CUSTOM: &[&str] = &["gateway.networking.k8s.io"];

/// H18 and H19: a release of Kubernetes that adds a way to a PodSpec fails here, and so does a rule for something that is not there.
fn every_resource_that_reaches_a_pod_spec_is_in_the_rules(world: &World) {
    let get = |path: &str| -> Value { serde_json::from_str(&world.plane.kubectl(&["get", "--raw", path], None).result().unwrap()).unwrap() };
    let rules = get("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/demarc")["webhooks"][0]["rules"].clone();
    let words = |v: &Value| -> Vec<String> { v.as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect() };
    let mut asked_about = BTreeSet::new();
    for rule in rules.as_array().unwrap() {
        for (group, version) in words(&rule["apiGroups"]).iter().flat_map(|g| words(&rule["apiVersions"]).into_iter().map(move |v| (g.clone(), v))) {
            for (resource, operation) in words(&rule["resources"]).iter().flat_map(|r| words(&rule["operations"]).into_iter().map(move |o| (r.clone(), o))) {
                asked_about.insert((group.clone(), version.clone(), resource, operation));
            }
        }
    }
    let mut excused = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (place, document) in get("/openapi/v3")["paths"].as_object().unwrap() {
        let (group, version) = match place.split('/').collect::<Vec<_>>()[..] {
            ["api", version] => ("", version),
            ["apis", group, version] => (group, version),
            _ => continue,
        };
        let document = get(document["serverRelativeURL"].as_str().unwrap());
        let reaching = reaching(&document["components"]["schemas"], "io.k8s.api.core.v1.PodSpec");
        for (path, operations) in document["paths"].as_object().unwrap() {
            // /api/v1/namespaces/{namespace}/pods/{name}/resize
            let resource: Vec<&str> =
                path.trim_start_matches(&format!("/{place}/")).trim_start_matches("namespaces/{namespace}/").split('/').filter(|p| !p.starts_with('{')).collect();
            let resource = resource.join("/");
            for (verb, operation) in [("post", "CREATE"), ("put", "UPDATE")] {
                let mut names = BTreeSet::new();
                references(&operations[verb]["requestBody"], &mut names);
                if names.is_disjoint(&reaching) {
                    continue;
                }
                seen.insert(resource.clone());
                if NEVER_ASKED.contains(&(group, &resource)) {
                    assert!(
                        !asked_about.iter().any(|(g, _, r, _)| g == group && *r == resource),
                        "{path} cannot change a pod, and each heartbeat of a kubelet would be asked about"
                    );
                    excused.insert((group.to_owned(), resource.clone()));
                    continue;
                }
                let wanted = (group.to_owned(), version.to_owned(), resource.clone(), operation.to_owned());
                assert!(asked_about.contains(&wanted), "{verb} {path} carries a PodSpec and is not asked about; add it to the rules, or to the exceptions with the reason");
            }
        }
    }
    for resource in ["pods", "pods/ephemeralcontainers", "pods/resize", "cronjobs", "podtemplates"] {
        assert!(seen.contains(resource), "the search finds {resource}: {seen:?}");
    }
    assert_eq!(excused.len(), NEVER_ASKED.len(), "an exception that is no more: {excused:?}");

    let groups = get("/apis")["groups"].clone();
    let mut served: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (group, version, resource, _) in asked_about {
        if CUSTOM.contains(&group.as_str()) {
            assert!(groups.as_array().unwrap().iter().all(|g| g["name"] != group.as_str()), "{group} is served here, so it is no exception");
            continue;
        }
        let names = served.entry((group.clone(), version.clone())).or_insert_with(|| {
            let list = get(&if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") });
            list["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect()
        });
        assert!(names.contains(&resource), "the rules name {resource} of {group}/{version}, which nobody serves");
    }
}

/// The names of schemas in the `$ref`s below `value`.
fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next()).map(str::to_owned));
            fields.values().for_each(|v| references(v, into));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, into)),
        _ => {}
    }
}

/// The schemas from which `target` can be reached, itself included.
fn reaching(schemas: &Value, target: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([target.to_owned()]);
    loop {
        let before = found.len();
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            let mut names = BTreeSet::new();
            references(schema, &mut names);
            if !names.is_disjoint(&found) {
                found.insert(name.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
