//! Installed, used, restarted and uninstalled as the README says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, Config, api::PostParams, config::Kubeconfig};
use serde_json::{Value, json};

use crate::{
    cluster::{SOON, apply, create_raw, delete_namespace, given, helm, kubectl, namespace, pod},
    support::eventually,
};

pub const RELEASE: &str = "demarc";
pub const NAMESPACE: &str = "demarc-system";

/// Everything that a chart could leave behind outside its namespace.
pub fn inventory() -> Vec<String> {
    let kinds = "crd,clusterrole,clusterrolebinding,validatingwebhookconfiguration,mutatingwebhookconfiguration,\
                 validatingadmissionpolicy,validatingadmissionpolicybinding,priorityclass,namespace";
    let objects = kubectl(&["get", kinds, "-o", "name"]).result().unwrap();
    let bindings = kubectl(&["get", "role,rolebinding,lease", "-n", "kube-system", "-o", "name"]).result().unwrap();
    objects.lines().chain(bindings.lines()).map(str::to_owned).collect()
}

/// As the README has it, with these values beside.
pub fn install(values: &[&str]) {
    let said = helm(&[&["install", RELEASE, "charts/demarc", "-n", NAMESPACE, "--wait", "--timeout=2m", "--set", "crds.keep=false"], values].concat());
    assert!(said.ok, "{said:?}\n{}", kubectl(&["get", "pods,events", "-n", NAMESPACE, "-o", "wide"]).out);
}

/// With further values, and everything else as it was.
pub fn upgrade(values: &[&str]) {
    let said = helm(&[&["upgrade", RELEASE, "charts/demarc", "-n", NAMESPACE, "--reuse-values", "--wait", "--timeout=2m"], values].concat());
    assert!(said.ok, "{said:?}");
}

/// It needs every right that it is given, and sees everything. Without --logs: Helm 3 looks for them when the pod of a test that passed is gone.
pub fn doctor_is_content() {
    let said = helm(&["test", RELEASE, "-n", NAMESPACE, "--timeout=2m"]);
    assert!(said.ok, "{said:?}\n{}", kubectl(&["logs", "demarc-test", "-n", NAMESPACE]).out);
}

/// A violator is admitted again, and nothing is there that was not before.
pub fn uninstall(before: &[String]) {
    let said = helm(&["uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout=2m"]);
    assert!(said.ok, "{said:?}");
    // The hook has taken its label off, and no replica has put it back.
    assert_eq!(kubectl(&["get", "namespace", "shop", "-o", r"jsonpath={.metadata.labels.demarc\.dev/admission}"]).result().unwrap(), "");
    let secrets = kubectl(&["get", "secrets", "-n", NAMESPACE, "-l", "app.kubernetes.io/managed-by=demarc", "-o", "name"]).result().unwrap();
    assert_eq!(secrets, "", "the authority is left behind");
    apply("shop", &pod("afterwards", &[], true)).result().unwrap();
    delete_namespace("shop");
    delete_namespace(NAMESPACE);
    eventually("nothing is left", SOON, || {
        let left: Vec<String> = inventory().into_iter().filter(|object| !before.contains(object)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

pub fn denied() {
    let said = apply("shop", &pod("violator", &[], true));
    assert!(!said.ok && said.err.contains("denied the request"), "{said:?}");
}

/// The names of the release's pods, the leaving ones included.
pub fn replicas() -> Vec<String> {
    let names = kubectl(&["get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=demarc", "-o", "jsonpath={.items[*].metadata.name}"]).result().unwrap();
    names.split_whitespace().map(str::to_owned).collect()
}

/// Until the new ones are ready and the old ones gone: those answer until then.
pub fn settled() {
    kubectl(&["rollout", "status", "deployment/demarc", "-n", NAMESPACE, "--timeout=120s"]).result().unwrap();
    eventually("two pods and no more", SOON, || if replicas().len() == 2 { Ok(()) } else { Err(replicas().join(" ")) });
}

pub fn available(name: &str) {
    kubectl(&["rollout", "status", "-n", "shop", &format!("deployment/{name}"), "--timeout=60s"]).result().unwrap();
}

pub fn deployment(name: &str, privileged: bool) -> Value {
    let pod = pod(name, &[], privileged);
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod["spec"]});
    let metadata = json!({"name": name, "annotations": pod["metadata"]["annotations"]});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}})
}

pub fn declare(namespace: &str) {
    let spec = json!({"serviceModel": "PaaS", "mode": "Enforce", "parties": {"customer": "acme", "provider": "azure"}});
    let ownership = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": spec});
    // Ready pods are behind the Service some moments before kube-proxy sends anybody there.
    eventually("it is declared", SOON, || apply(namespace, &ownership).result());
    kubectl(&["wait", "ownership/default", "-n", namespace, "--for=condition=Enforcing=True", "--timeout=60s"]).result().unwrap();
}

/// What became of a stream of dry-run requests.
#[derive(Debug, Default)]
struct Stream {
    admitted: usize,
    denied: usize,
    wrong: Vec<String>,
}

/// Asks without a pause, a violator and a compliant pod by turns, until it is told to stop.
async fn ask(pods: Api<Pod>, bad: Value, good: Value, stop: Arc<AtomicBool>) -> Stream {
    let mut seen = Stream::default();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    while !stop.load(Ordering::Relaxed) {
        for object in [&bad, &good] {
            let forbidden = std::ptr::eq(object, &raw const bad);
            match pods.create(&dry, &serde_json::from_value(object.clone()).unwrap()).await {
                Ok(_) if !forbidden => seen.admitted += 1,
                Err(kube::Error::Api(e)) if forbidden && e.message.contains("denied the request") => seen.denied += 1,
                other => seen.wrong.push(format!("{forbidden}: {other:?}")),
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    seen
}

/// Four of them for as long as `meanwhile` takes: none is answered otherwise than it should be.
pub fn under_requests(namespace: &str, what: &str, meanwhile: impl FnOnce()) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let kubeconfig = Kubeconfig::read_from(given("DEMARC_E2E_KUBECONFIG")).unwrap();
    let config = runtime.block_on(Config::from_custom_kubeconfig(kubeconfig, &Default::default())).unwrap();
    let pods: Api<Pod> = runtime.block_on(async { Api::namespaced(Client::try_from(config).unwrap(), namespace) });
    let stop = Arc::new(AtomicBool::new(false));
    let streams: Vec<_> =
        (0..4).map(|i| runtime.spawn(ask(pods.clone(), pod(&format!("violator-{i}"), &[], true), pod(&format!("good-{i}"), &[], false), Arc::clone(&stop)))).collect();
    meanwhile();
    stop.store(true, Ordering::Relaxed);
    let streams: Vec<Stream> = streams.into_iter().map(|stream| runtime.block_on(stream).unwrap()).collect();
    let (admitted, denied) = streams.iter().fold((0, 0), |(a, d), s| (a + s.admitted, d + s.denied));
    let wrong: Vec<&String> = streams.iter().flat_map(|s| &s.wrong).collect();
    println!("{what}: {admitted} admitted, {denied} denied, {} otherwise", wrong.len());
    assert!(wrong.is_empty(), "{} of {}: {:?}", wrong.len(), admitted + denied + wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(admitted > 20 && denied > 20, "{admitted} {denied}");
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn helm_installs_it_and_it_decides_through_every_change_of_pods_and_leaves_nothing() {
    let before = inventory();
    namespace(NAMESPACE);
    install(&[]);
    assert_eq!(replicas().len(), 2);

    namespace("shop");
    apply("shop", &deployment("before", true)).result().unwrap();
    available("before");
    declare("shop");
    denied();
    doctor_is_content();
    apply("shop", &pod("good", &[], false)).result().unwrap();
    kubectl(&["wait", "-n", "shop", "pod", "--all", "--for=condition=Ready", "--timeout=60s"]).result().unwrap();

    // What ran before runs on, also when its pods go.
    kubectl(&["delete", "pods", "-n", "shop", "-l", "app=before"]).result().unwrap();
    available("before");

    under_requests("shop", "restart", || {
        kubectl(&["rollout", "restart", "deployment/demarc", "-n", NAMESPACE]).result().unwrap();
        settled();
    });
    under_requests("shop", "upgrade", || {
        upgrade(&["--set", "logLevel=debug"]);
        settled();
    });
    under_requests("shop", "evictions", || {
        // As a drain does it, one after the other.
        for pod in replicas() {
            let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}});
            eventually("the eviction", SOON, || create_raw(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"), &eviction).result());
            settled();
        }
    });

    uninstall(&before);
}
