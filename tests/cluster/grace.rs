//! What stood before enforcement keeps running, and gets no worse.
//! Real controllers make the children; what they may make follows from the root above them.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, binary, class, in_the_next_second, nothing_slipped_in, only, rejected, spec, workload},
};

#[test]
fn what_stood_before_keeps_running_and_gets_no_worse() {
    let mut world = World::start();
    let policy = json!({"images": {"allowedPrefixes": ["ghcr.io/acme"]}});
    world.declare("old", &json!({"mode": "Audit", "policy": policy}));
    let mut set = workload("StatefulSet", "db", &spec("evil.example/db:1", false));
    set["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "plain", "resources": {"requests": {"storage": "1Gi"}}}}]);
    world.accepts("old", &class("plain"));
    let mut web = workload("Deployment", "web", &spec("evil.example/web:1", true));
    web["metadata"]["annotations"] = json!({});
    world.accepts("old", &web);
    world.accepts("old", &set);
    world.accepts("old", &workload("Job", "task", &spec("evil.example/task:1", false)));
    world.accepts("old", &workload("DaemonSet", "agent", &spec("evil.example/agent:1", false)));
    let pods = |selector: &str| world.plane.kubectl(&["get", "pods", "-n", "old", "-l", selector, "-o", "name"], None).result().unwrap_or_default();
    let count = |selector: &str, n: usize| eventually(&format!("{n} pods of {selector}"), SOON, || if pods(selector).lines().count() == n { Ok(()) } else { Err(pods(selector)) });
    count("app=web", 1);
    count("app=db", 1);
    in_the_next_second();
    world.redeclare("old", &json!({"policy": policy}));

    // Delete, scale, restart: everything comes back.
    for (selector, replicas) in [("app=web", "2"), ("app=db", "2")] {
        let before = pods(selector);
        world.plane.kubectl(&["delete", "pods", "-n", "old", "-l", selector, "--wait=false"], None).result().unwrap();
        eventually("a new pod in its place", SOON, || {
            let now = pods(selector);
            let uid = world.plane.kubectl(&["get", "pods", "-n", "old", "-l", selector, "-o", "jsonpath={.items[*].metadata.uid}"], None).result()?;
            if !now.is_empty() && (now != before || selector == "app=db" && !uid.is_empty()) { Ok(()) } else { Err(now) }
        });
        let target = if selector == "app=web" { "deployment/web" } else { "statefulset/db" };
        world.plane.kubectl(&["scale", target, "-n", "old", "--replicas", replicas], None).result().unwrap();
        if selector == "app=web" {
            count(selector, 2);
        }
    }
    world.plane.kubectl(&["rollout", "restart", "deployment/web", "-n", "old"], None).result().unwrap();
    eventually("the restarted set of pods", SOON, || {
        let sets = world.plane.kubectl(&["get", "replicasets", "-n", "old", "-l", "app=web", "-o", "jsonpath={.items[*].status.replicas}"], None).result()?;
        if sets.split(' ').count() == 2 { Ok(()) } else { Err(sets) }
    });

    // A release passes; another forbidden registry, a renamed container or a new violation does not.
    let release = world.plane.kubectl(&["set", "image", "deployment/web", "-n", "old", "web=evil.example/web:2"], None);
    assert!(release.ok && release.err.contains("still violated, stood before enforcement"), "{release:?}");
    rejected(&world.plane.kubectl(&["set", "image", "deployment/web", "-n", "old", "web=worse.example/web:2"], None), "image-registry-allowed");
    let rename = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/name", "value": "renamed"}]"#;
    rejected(&world.plane.kubectl(&["patch", "deployment", "web", "-n", "old", "--type=json", "-p", rename], None), "image-registry-allowed");
    rejected(&world.plane.kubectl(&["patch", "statefulset", "db", "-n", "old", "-p", r#"{"spec":{"template":{"spec":{"hostNetwork":true}}}}"#], None), "pod-security-standard");

    // What slipped in during an outage is not spared: scaling it passes, its pods do not come.
    world.demarc.take().unwrap().kill();
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    world.accepts_by_now("old", &workload("Deployment", "slipped", &spec("evil.example/slipped:1", false)));
    count("app=slipped", 1);
    world.demarc = Some(world.plane.demarc(binary(), "two"));
    world.rejects_by_now("old", &workload("Pod", "violator", &spec("evil.example/web:1", false)), "image-registry-allowed");
    rejected(&world.plane.kubectl(&["set", "image", "deployment/slipped", "-n", "old", "web=evil.example/slipped:2"], None), "image-registry-allowed");
    world.plane.kubectl(&["scale", "deployment/slipped", "-n", "old", "--replicas=3"], None).result().unwrap();
    eventually("the controller's word that its pods are refused", SOON, || {
        let said = world.field("old", "replicasets", ".items[*].status.conditions[?(@.type==\"ReplicaFailure\")].message");
        if said.contains("image-registry-allowed") { Ok(()) } else { Err(said) }
    });

    // Nor is what a moment of Audit let in.
    let mode = |mode: &str, enforcing: &str| {
        let patch = json!({"spec": {"mode": mode}}).to_string();
        world.plane.kubectl(&["patch", "ownership", "default", "-n", "old", "--type=merge", "-p", &patch], None).result().unwrap();
        let condition = format!("--for=condition=Enforcing={enforcing}");
        world.plane.kubectl(&["wait", "ownership/default", "-n", "old", &condition, "--timeout=30s"], None).result().unwrap();
    };
    mode("Audit", "False");
    world.accepts("old", &workload("Deployment", "moment", &spec("evil.example/moment:1", false)));
    count("app=moment", 1);
    in_the_next_second();
    mode("Enforce", "True");
    world.plane.kubectl(&["delete", "pods", "-n", "old", "-l", "app=moment", "--wait=false"], None).result().unwrap();
    eventually("the controller's word that its pods are refused as well", SOON, || {
        let selector = ["get", "replicasets", "-n", "old", "-l", "app=moment", "-o", "jsonpath={.items[*].status.conditions[?(@.type==\"ReplicaFailure\")].message}"];
        let said = world.plane.kubectl(&selector, None).result()?;
        if said.contains("image-registry-allowed") { Ok(()) } else { Err(said) }
    });
}

/// Every way in which Kubernetes' own controllers make a child of something that stood before.
#[test]
fn every_built_in_controller_makes_children_of_what_stood_before() {
    let world = World::start();
    world.declare("old", &json!({"mode": "Audit"}));
    world.accepts("old", &class("plain"));
    // DaemonSet pods are made for nodes; nobody has to run them.
    world.accepts("old", &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}}));
    let bad = spec("nginx", true);
    let mut set = workload("StatefulSet", "db", &bad);
    // Parallel, for no pod ever gets ready here.
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "plain", "resources": {"requests": {"storage": "1Gi"}}}}]);
    world.accepts("old", &set);
    let mut scratch = bad.clone();
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "plain", "resources": {"requests": {"storage": "1Gi"}}}});
    scratch["volumes"] = json!([{"name": "tmp", "ephemeral": {"volumeClaimTemplate": template}}]);
    world.accepts("old", &workload("Deployment", "scratch", &scratch));
    let others = ["ReplicaSet", "ReplicationController", "Job", "DaemonSet"];
    for kind in others {
        world.accepts("old", &workload(kind, &kind.to_lowercase(), &bad));
    }
    let mut cron = workload("CronJob", "cron", &bad);
    cron["spec"]["schedule"] = json!("0 * * * *");
    world.accepts("old", &cron);
    // Kind and name of the owner, and the uid of each child that is there to stay.
    let children = |what: &str| -> Vec<(String, String)> {
        let listed = world.plane.kubectl(&["get", what, "-n", "old", "-o", "json"], None).result().unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let there = listed["items"].as_array().unwrap().iter().filter(|o| o["metadata"]["deletionTimestamp"].is_null());
        there.map(|o| (text(&o["metadata"]["ownerReferences"][0]["kind"]) + "/" + &text(&o["metadata"]["ownerReferences"][0]["name"]), text(&o["metadata"]["uid"]))).collect()
    };
    let owners = ["StatefulSet/db", "ReplicaSet/scratch-", "ReplicaSet/replicaset", "ReplicationController/replicationcontroller", "Job/job", "DaemonSet/daemonset"];
    let made_beside = |before: &[(String, String)]| {
        let now = children("pods");
        let missing: Vec<&str> = owners.iter().copied().filter(|owner| !now.iter().any(|(of, uid)| of.starts_with(owner) && !before.iter().any(|(_, old)| old == uid))).collect();
        if missing.is_empty() { Ok(now) } else { Err(format!("no new pod of {missing:?}")) }
    };
    let before = eventually("a pod of each", SOON, || made_beside(&[]));
    let claims = || children("persistentvolumeclaims").len();
    eventually("the claims", SOON, || if claims() == 2 { Ok(()) } else { Err(claims().to_string()) });
    in_the_next_second();
    world.redeclare("old", &json!({}));

    // All pods go, the set grows, and the clock strikes for the CronJob: it has missed an hour.
    world.plane.kubectl(&["delete", "pods", "--all", "-n", "old", "--wait=false"], None).result().unwrap();
    world.plane.kubectl(&["scale", "statefulset/db", "-n", "old", "--replicas=2"], None).result().unwrap();
    let missed = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    let missed = json!({"status": {"lastScheduleTime": format!("{missed:.0}")}}).to_string();
    world.plane.kubectl(&["patch", "cronjob", "cron", "-n", "old", "--subresource=status", "--type=merge", "-p", &missed], None).result().unwrap();

    eventually("a new pod of each", SOON, || made_beside(&before));
    eventually("the second claim of the set", SOON, || world.plane.kubectl(&["get", "persistentvolumeclaim", "data-db-1", "-n", "old"], None).result());
    eventually("the claim of the new pod's own volume", SOON, || {
        let pods: Vec<String> = children("pods").into_iter().filter(|(of, _)| of.starts_with("ReplicaSet/scratch-")).map(|(_, uid)| uid).collect();
        let owned = world.field("old", "persistentvolumeclaims", ".items[*].metadata.ownerReferences[0].uid");
        if pods.iter().any(|uid| owned.contains(uid.as_str())) { Ok(()) } else { Err(format!("{owned}, pods {pods:?}")) }
    });
    eventually("the CronJob's job and its pod", SOON, || {
        let pods = children("pods");
        if children("jobs").iter().any(|(of, _)| of == "CronJob/cron") && pods.iter().any(|(of, _)| of.starts_with("Job/cron-")) { Ok(()) } else { Err(format!("{pods:?}")) }
    });
    // A person who makes a job of the same template is no controller: nothing is inherited.
    rejected(&world.plane.kubectl(&["create", "job", "violator", "--from=cronjob/cron", "-n", "old"], None), "pod-security-standard");
}

#[test]
fn what_is_forbidden_later_keeps_running_too_and_nobody_makes_up_a_parent() {
    let world = World::start();
    world.accepts("default", &class("plain"));
    world.declare("live", &json!({"mode": "Audit"}));
    let mut set = workload("StatefulSet", "db", &spec("ghcr.io/acme/db:1", false));
    set["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "plain", "resources": {"requests": {"storage": "1Gi"}}}}]);
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set["spec"]["template"]["metadata"]["annotations"] = json!({"demarc.dev/encryption-at-rest": "application"});
    world.accepts("live", &set);
    let exists = |what: &str| eventually(what, SOON, || world.plane.kubectl(&["get", what, "-n", "live"], None).result());
    exists("pod/db-0");
    in_the_next_second();
    world.redeclare("live", &json!({"policy": {"images": {"allowedPrefixes": ["ghcr.io/acme"]}}}));

    // The volume binder finishes what the set's controller began.
    for name in ["pv-0", "pv-1"] {
        let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "plain", "csi": {"driver": "driver.longhorn.io", "volumeHandle": name}}});
        world.accepts("default", &volume);
    }
    world.plane.kubectl(&["scale", "statefulset/db", "-n", "live", "--replicas=2"], None).result().unwrap();
    eventually("the second claim is bound", SOON, || match world.field("live", "persistentvolumeclaim/data-db-1", ".status.phase").as_str() {
        "Bound" => Ok(()),
        other => Err(other.to_owned()),
    });

    // Settings that grow tighter spare what ran under the looser ones, and nothing new.
    world.accepts("live", &workload("Deployment", "web", &spec("ghcr.io/acme/web:1", false)));
    let pods = || world.plane.kubectl(&["get", "pods", "-n", "live", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}"], None).result().unwrap_or_default();
    let first = eventually("the pod", SOON, || if pods().is_empty() { Err(String::new()) } else { Ok(pods()) });
    in_the_next_second();
    world
        .plane
        .kubectl(&["patch", "ownership", "default", "-n", "live", "--type=merge", "-p", r#"{"spec":{"policy":{"podSecurity":{"level":"Restricted"}}}}"#], None)
        .result()
        .unwrap();
    world.rejects_by_now("live", &workload("Deployment", "violator", &spec("ghcr.io/acme/web:1", false)), "pod-security-standard");
    world.plane.kubectl(&["delete", "pods", "-n", "live", "-l", "app=web", "--wait=false"], None).result().unwrap();
    eventually("a pod in its place", SOON, || match pods() {
        now if !now.is_empty() && now != first => Ok(()),
        now => Err(now),
    });

    // An owner reference is anybody's to write.
    let uid = world.field("live", "persistentvolumeclaim/data-db-0", ".metadata.uid");
    let forged = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data-db-0", "uid": uid, "controller": true}]}});
    world.plane.kubectl(&["patch", "deployment", "web", "-n", "live", "--type=merge", "-p", &forged.to_string()], None).result().unwrap();
    rejected(&world.plane.kubectl(&["annotate", "deployment", "web", "-n", "live", "a8r.io/owner-"], None), "workload-named-owner");
    nothing_slipped_in(&world);
}

#[test]
fn where_nothing_is_declared_what_stood_before_the_baseline_keeps_running_and_what_slipped_in_is_not_spared() {
    let mut world = World::start();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare", "labels": {"tier": "gold"}}});
    world.plane.kubectl(&["create", "-f", "-"], Some(&namespace.to_string())).result().unwrap();
    eventually("the service account", SOON, || world.plane.kubectl(&["get", "serviceaccount", "default", "-n", "bare"], None).result());
    let pods = |world: &World, app: &str| {
        let listed = world.plane.kubectl(&["get", "pods", "-n", "bare", "-l", &format!("app={app}"), "-o", "json"], None).result().unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let there = listed["items"].as_array().unwrap().iter().filter(|o| o["metadata"]["deletionTimestamp"].is_null());
        there.map(|o| o["metadata"]["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let comes_back = |world: &World, app: &str| {
        let before = eventually("a pod", SOON, || Some(pods(world, app)).filter(|p| p.len() == 1).ok_or_else(String::new));
        world.plane.kubectl(&["delete", "pods", "-n", "bare", "-l", &format!("app={app}"), "--wait=false"], None).result().unwrap();
        eventually("another in its place", SOON, || Some(()).filter(|()| pods(world, app).iter().any(|p| !before.contains(p))).ok_or_else(String::new));
    };
    let refused = |world: &World, app: &str| {
        let before = eventually("a pod", SOON, || Some(pods(world, app)).filter(|p| p.len() == 1).ok_or_else(String::new));
        world.plane.kubectl(&["delete", "pods", "-n", "bare", "-l", &format!("app={app}"), "--wait=false"], None).result().unwrap();
        let said = || {
            let sets = world.plane.kubectl(&["get", "replicasets", "-n", "bare", "-l", &format!("app={app}"), "-o", "json"], None).result().unwrap();
            sets.lines().filter(|l| l.contains("\"message\"")).map(str::to_owned).collect::<String>()
        };
        eventually("the controller's word that its pod is refused", SOON, || if said().contains("pod-security-standard") { Ok(()) } else { Err(said()) });
        assert!(pods(world, app).iter().all(|p| before.contains(p)));
    };
    world.accepts("bare", &workload("Deployment", "old", &spec("nginx", true)));
    let volume = json!({"containers": [{"name": "web", "image": "nginx"}], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    eventually("its pod", SOON, || if pods(&world, "old").len() == 1 { Ok(()) } else { Err(String::new()) });
    in_the_next_second();

    let gold = |asked: &[&str]| {
        let mut controls = only(asked);
        controls.as_array_mut().unwrap().extend(asked.iter().map(|control| json!({"control": control, "enforcement": "Deny"})));
        json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"},
            "spec": {"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Deny", "controls": controls}})
    };
    let mark = |world: &World| world.field("bare", "namespace/bare", ".metadata.labels.baseline\\.demarc\\.dev/gold");
    let apply = |world: &World, asked: &[&str]| {
        let before = mark(world);
        world.plane.kubectl(&["apply", "-f", "-"], Some(&gold(asked).to_string())).result().unwrap();
        eventually("the mark tells since when", SOON, || match mark(world) {
            now if now.starts_with("member.") && now != before => Ok(()),
            now => Err(format!("{now} {}", world.demarc.as_ref().unwrap().log())),
        });
    };
    apply(&world, &["pod-security-standard"]);
    world.rejects("bare", &workload("Deployment", "violator", &spec("nginx", true)), "pod-security-standard");
    comes_back(&world, "old");
    world.accepts("bare", &workload("Deployment", "later", &volume));

    // What slipped in while nobody was asked is not spared: not by the next replica either.
    let since = mark(&world);
    world.demarc.take().unwrap().kill();
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    in_the_next_second();
    world.accepts_by_now("bare", &workload("Deployment", "slipped", &spec("nginx", true)));
    eventually("its pod", SOON, || if pods(&world, "slipped").len() == 1 { Ok(()) } else { Err(String::new()) });
    world.demarc = Some(world.plane.demarc(binary(), "two"));
    world.rejects_by_now("bare", &workload("Deployment", "violator", &spec("nginx", true)), "pod-security-standard");
    assert_eq!(mark(&world), since, "the next leader has nothing to say of it");
    refused(&world, "slipped");
    comes_back(&world, "old");

    // A control more is forbidden from then on: what ran without it goes on.
    apply(&world, &["pod-security-standard", "encryption-declared"]);
    world.rejects("bare", &workload("Deployment", "violator", &volume), "encryption-declared");
    comes_back(&world, "later");
    comes_back(&world, "old");
    world.writes_nothing();
    // A declaration that denies as much takes over the line, and moves it neither when it comes, nor when it goes and comes again.
    let since = mark(&world);
    let line = || world.field("bare", "ownership/default", ".status.matrix[?(@.control==\"pod-security-standard\")].forbiddenSince");
    world.declare("bare", &json!({"mode": "Enforce"}));
    let first = eventually("the first line", SOON, || Some(line()).filter(|l| !l.is_empty()).ok_or_else(String::new));
    assert_eq!(since.split('.').nth(1).unwrap(), first.parse::<jiff::Timestamp>().unwrap().as_second().to_string());
    world.accepts("bare", &workload("Deployment", "since", &spec("nginx", false)));
    in_the_next_second();
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "bare"], None).result().unwrap();
    world.declare("bare", &json!({"mode": "Enforce", "policy": {"images": {"allowedPrefixes": ["ghcr.io/acme"]}}}));
    let images = || world.field("bare", "ownership/default", ".status.matrix[?(@.control==\"image-registry-allowed\")].forbiddenSince");
    eventually("the line of what is new", SOON, || Some(images()).filter(|l| *l > first).ok_or_else(images));
    assert_eq!(line(), first, "what was forbidden before stays so");
    comes_back(&world, "since");
    comes_back(&world, "old");
    // One that asks for something else ends it.
    world
        .plane
        .kubectl(&["patch", "ownership", "default", "-n", "bare", "--type=merge", "-p", r#"{"spec":{"policy":{"podSecurity":{"level":"Restricted"}}}}"#], None)
        .result()
        .unwrap();
    eventually("a mark like any other", SOON, || if mark(&world) == "member" { Ok(()) } else { Err(mark(&world)) });
    nothing_slipped_in(&world);
}
