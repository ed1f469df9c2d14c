//! The chart's life on a real API server with the real controllers, by both Helms and by kubectl alone.
//! There is no node, so no pod runs; that the pods are made, in a namespace that holds them to the restricted standard, is seen.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    helm::{FILES, HELM3, HELM4, Helm, NAMESPACE, copy, rendered},
    support::{ControlPlane, eventually},
};

const SOON: Duration = Duration::from_secs(30);
const CRD: &str = "ownerships.demarc.dev";
const CONFIGURATION: &str = "validatingwebhookconfiguration";

pub fn plane() -> ControlPlane {
    let plane = ControlPlane::start();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}});
    plane.kubectl(&["apply", "-f", "-"], Some(&namespace.to_string())).result().unwrap();
    eventually("the default service account", SOON, || plane.kubectl(&["get", "serviceaccount", "default", "-n", NAMESPACE], None).result());
    plane
}

/// Another project's kind, as a name: here it is only seen that the API server finds it.
fn foreign(group: &str, kind: &str, plural: &str) -> String {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.{group}")}, "spec": {
        "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
    .to_string()
}

#[test]
fn the_api_server_takes_every_object_as_it_is() {
    let plane = plane();
    let (certificates, monitoring) = ("cert-manager.io", "monitoring.coreos.com");
    for (group, kind, plural) in [
        (certificates, "Certificate", "certificates"),
        (certificates, "Issuer", "issuers"),
        (monitoring, "ServiceMonitor", "servicemonitors"),
        (monitoring, "PrometheusRule", "prometheusrules"),
    ] {
        plane.kubectl(&["apply", "-f", "-"], Some(&foreign(group, kind, plural))).result().unwrap();
        plane.kubectl(&["wait", "--for=condition=Established", &format!("crd/{plural}.{group}"), "--timeout=30s"], None).result().unwrap();
    }
    for values in FILES {
        for object in rendered(values) {
            let said = plane.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", "-"], Some(&object.to_string()));
            // Neither an error nor a warning: unknown fields, the restricted standard, an expression that has no type.
            assert!(said.ok && said.err.is_empty(), "{values:?}: {said:?}\n{object}");
        }
    }
}

#[test]
fn applied_twice_by_kubectl_nothing_changes() {
    let plane = plane();
    let manifests = HELM4.render(&[]);
    let apply = || plane.kubectl(&["apply", "--server-side", "-f", "-"], Some(&manifests)).result().unwrap();
    let diff = || plane.kubectl(&["diff", "--server-side", "-f", "-"], Some(&manifests));
    assert!(!diff().ok, "nothing is there yet");
    apply();
    let said = diff();
    assert!(said.ok && said.out.is_empty(), "{said:?}");
    // What the leader fills in is nobody's difference either, and stays.
    fill_in(&plane);
    apply();
    let said = diff();
    assert!(said.ok && said.out.is_empty(), "{said:?}");
    assert_eq!(bundles(&plane), FILLED);
    // The oracle can see: a rule taken away is a difference.
    let shorter = json!([{"op": "remove", "path": "/webhooks/0/rules/0"}]).to_string();
    plane.kubectl(&["patch", CONFIGURATION, "demarc", "--type=json", "-p", &shorter], None).result().unwrap();
    assert!(!diff().ok);
}

/// The leader's part, by whoever holds the right: one CA for both entries.
pub fn fill_in(plane: &ControlPlane) {
    let ca = rcgen::generate_simple_self_signed(["demarc".to_owned()]).unwrap().cert.pem();
    let ca = serde_json::to_value(k8s_openapi::ByteString(ca.into_bytes())).unwrap();
    let patch: Vec<Value> = (0..2).map(|i| json!({"op": "add", "path": format!("/webhooks/{i}/clientConfig/caBundle"), "value": ca})).collect();
    let account = format!("system:serviceaccount:{NAMESPACE}:demarc");
    plane.kubectl(&["patch", CONFIGURATION, "demarc", "--type=json", "-p", &json!(patch).to_string(), "--as", &account], None).result().unwrap();
}

const FILLED: [bool; 2] = [true, true];

/// Whether each entry has a CA.
pub fn bundles(plane: &ControlPlane) -> [bool; 2] {
    let said = plane.kubectl(&["get", CONFIGURATION, "demarc", "-o", "json"], None).result().unwrap();
    let configuration: Value = serde_json::from_str(&said).unwrap();
    [0, 1].map(|i| configuration["webhooks"][i]["clientConfig"]["caBundle"].as_str().is_some_and(|ca| ca.len() > 100))
}

/// Everything that a chart can leave behind, but Events.
pub fn live(plane: &ControlPlane) -> Result<Vec<Value>, String> {
    let list = |scope: &str| plane.kubectl(&["api-resources", "--verbs=list", &format!("--namespaced={scope}"), "-o", "name"], None).result();
    let mut kinds: Vec<String> = [list("true")?, list("false")?].iter().flat_map(|l| l.lines()).map(str::to_owned).collect();
    // Kept by the cluster for its own: usage of addresses, leases of API servers, components that are gone.
    kinds.retain(|k| !k.starts_with("events") && !k.starts_with("componentstatuses") && !k.starts_with("ipaddresses") && !k.starts_with("apiservices"));
    let said = plane.kubectl(&["get", &kinds.join(","), "-A", "-o", "json"], None).result()?;
    let list: Value = serde_json::from_str(&said).map_err(|e| e.to_string())?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Kind, namespace and name.
pub fn place(object: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    format!("{} {} {}", text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

/// A kind may go between being listed and being asked for.
fn everything(plane: &ControlPlane) -> BTreeSet<String> {
    eventually("a list of everything", SOON, || live(plane)).iter().map(place).collect()
}

fn older_chart() -> tempfile::TempDir {
    let dir = copy();
    let file = dir.path().join("files/crds/demarc.dev_ownerships.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let older = text.replace("    shortNames:\n    - own\n", "");
    assert_ne!(text, older);
    std::fs::write(&file, older).unwrap();
    dir
}

fn life(helm: Helm) {
    let plane = plane();
    let kubeconfig = plane.kubeconfig();
    let run = |args: &[&str]| helm.with(Some(&kubeconfig), args).result().unwrap_or_else(|error| panic!("{helm:?} {args:?}: {error}"));
    let field = |path: &str| plane.kubectl(&["get", "deployment", "demarc", "-n", NAMESPACE, "-o", &format!("jsonpath={{{path}}}")], None).result().unwrap();
    let before = everything(&plane);

    // From an older chart, whose definition lacks what this one has.
    let (older, short_names) = (older_chart(), || plane.kubectl(&["get", "crd", CRD, "-o", "jsonpath={.spec.names.shortNames[*]}"], None).result().unwrap());
    run(&["install", "demarc", &older.path().display().to_string()]);
    assert_eq!(short_names(), "");
    // As many pods as there should be: the restricted standard refuses none of them.
    eventually("the pods", SOON, || {
        let pods = plane.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "name"], None).result()?;
        if pods.lines().count() == 2 { Ok(()) } else { Err(format!("{pods}{}", field(".status"))) }
    });
    assert_eq!(bundles(&plane), [false, false]);
    fill_in(&plane);
    assert_eq!(bundles(&plane), FILLED);

    run(&["upgrade", "demarc", "charts/demarc", "-f", "charts/demarc/values-ha.yaml", "--set", "webhook.kinds={ConfigMap}"]);
    assert_eq!((field(".spec.replicas").as_str(), bundles(&plane), short_names().as_str()), ("3", FILLED, "own"));
    run(&["upgrade", "demarc", "charts/demarc", "--reset-values"]);
    assert_eq!((field(".spec.replicas").as_str(), bundles(&plane)), ("2", FILLED));
    // With nothing changed, nothing is written: the pods stay.
    let generation = field(".metadata.generation");
    run(&["upgrade", "demarc", "charts/demarc", "--reset-values"]);
    assert_eq!(field(".metadata.generation"), generation);
    run(&["rollback", "demarc", "2"]);
    assert_eq!((field(".spec.replicas").as_str(), bundles(&plane)), ("3", FILLED));
    run(&["rollback", "demarc", "1"]);
    assert_eq!((field(".spec.replicas").as_str(), bundles(&plane)), ("2", FILLED));

    let left = |before: &BTreeSet<String>| -> Vec<String> { everything(&plane).difference(before).cloned().collect() };
    // No pod runs here, so neither does the hook.
    let hooks = run(&["get", "hooks", "demarc", "-n", NAMESPACE]);
    assert!(hooks.contains("name: demarc-cleanup") && hooks.contains("- --tls-secret=demarc-tls"), "{hooks}");
    assert!(hooks.contains("name: demarc-test") && hooks.contains("helm.sh/hook: test") && hooks.contains("args: [doctor]"), "{hooks}");
    run(&["uninstall", "demarc", "--no-hooks"]);
    let kept: Vec<String> = demarc::api::Declaration::ALL.iter().map(|d| format!("CustomResourceDefinition  {}.demarc.dev", d.plural())).collect();
    eventually("nothing but the definition", SOON, || if left(&before) == kept { Ok(()) } else { Err(format!("{:?}", left(&before))) });
    // Installed again over the definition that was kept, and this time all of it goes.
    run(&["install", "demarc", "charts/demarc", "--set", "crds.keep=false", "--set", "cleanup.enabled=false"]);
    run(&["uninstall", "demarc"]);
    eventually("nothing", SOON, || if left(&before).is_empty() { Ok(()) } else { Err(format!("{:?}", left(&before))) });
    assert!(before.difference(&everything(&plane)).next().is_none(), "what was there before is still there");
}

#[test]
fn installed_upgraded_rolled_back_and_gone_by_helm_3() {
    life(HELM3);
}

#[test]
fn installed_upgraded_rolled_back_and_gone_by_helm_4() {
    life(HELM4);
}

/// A command of the README's, as written there.
fn readme(plane: &ControlPlane, command: &str) {
    let readme = std::fs::read_to_string("README.md").unwrap();
    assert!(readme.contains(command), "the README says otherwise: {command}");
    let words: Vec<&str> = command.strip_prefix("kubectl ").unwrap().split(' ').collect();
    plane.kubectl(&words, None).result().unwrap();
}

#[test]
fn a_namespace_that_goes_before_its_release_leaves_what_one_command_removes() {
    let plane = plane();
    let kubeconfig = plane.kubeconfig();
    // kubectl reads before it labels, which Demarc itself does not.
    let account = format!("system:serviceaccount:{NAMESPACE}:demarc");
    plane.kubectl(&["create", "clusterrole", "reads", "--verb=get", "--resource=namespaces"], None).result().unwrap();
    plane.kubectl(&["create", "clusterrolebinding", "reads", "--clusterrole=reads", &format!("--user={account}")], None).result().unwrap();
    let before = everything(&plane);
    HELM4.with(Some(&kubeconfig), &["install", "demarc", "charts/demarc"]).result().unwrap();
    // Nobody serves: an enrolled namespace is held up, and nothing else is.
    plane.kubectl(&["create", "namespace", "shop"], None).result().unwrap();
    plane.kubectl(&["label", "namespace", "shop", "demarc.dev/admission=enabled", "--as", &account], None).result().unwrap();
    let pod = |namespace: &str| plane.kubectl(&["run", "web", "--image=web", "-n", namespace, "--dry-run=server"], None);
    eventually("held up", SOON, || if pod("shop").err.contains("failed calling webhook") { Ok(()) } else { Err(format!("{:?}", pod("shop"))) });
    assert!(pod("default").ok);
    plane.kubectl(&["delete", "namespace", NAMESPACE, "--timeout=60s"], None).result().unwrap();

    // The namespace alone, while nobody serves; then the whole.
    readme(&plane, "kubectl label namespace shop demarc.dev/admission-");
    assert!(pod("shop").ok, "{:?}", pod("shop"));
    readme(
        &plane,
        "kubectl delete validatingwebhookconfiguration,validatingadmissionpolicybinding,validatingadmissionpolicy,clusterrolebinding,clusterrole -l app.kubernetes.io/part-of=demarc",
    );
    plane.kubectl(&["delete", "namespace", "shop", "--timeout=60s"], None).result().unwrap();
    let left: Vec<String> = everything(&plane).difference(&before).filter(|object| !object.starts_with("CustomResourceDefinition ")).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn interrupted(helm: Helm) {
    let plane = plane();
    let kubeconfig = plane.kubeconfig();
    let run = |args: &[&str]| helm.with(Some(&kubeconfig), args);
    run(&["install", "demarc", "charts/demarc"]).result().unwrap();
    fill_in(&plane);
    let state = || run(&["status", "demarc", "-o", "json"]).result().map(|json| serde_json::from_str::<Value>(&json).unwrap()["info"]["status"].as_str().unwrap().to_owned());
    // It waits for pods that never come, and is killed.
    let mut upgrade = helm.spawn(&kubeconfig, &["upgrade", "demarc", "charts/demarc", "--set", "replicaCount=3", "--wait", "--timeout=2m"]);
    eventually("half way", SOON, || match state()?.as_str() {
        "pending-upgrade" => Ok(()),
        other => Err(other.to_owned()),
    });
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    let said = run(&["upgrade", "demarc", "charts/demarc"]);
    assert!(!said.ok && said.err.contains("in progress"), "{said:?}");
    run(&["rollback", "demarc"]).result().unwrap();
    run(&["upgrade", "demarc", "charts/demarc", "--set", "replicaCount=3"]).result().unwrap();
    assert_eq!((state().unwrap().as_str(), bundles(&plane)), ("deployed", FILLED));
    let replicas = plane.kubectl(&["get", "deployment", "demarc", "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}"], None).result().unwrap();
    assert_eq!(replicas, "3");
}

#[test]
fn an_upgrade_that_was_killed_is_rolled_back_and_done_again() {
    interrupted(HELM3);
    interrupted(HELM4);
}
