//! Certificates of Demarc's own making, on a real API server that verifies them: made at the start, renewed and replaced under load, put right.
//! The webhook is a Service, as in an installation; without a node the API server calls its endpoints, which are the replicas.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use demarc::{
    controller::{authority::Lifetimes, install},
    run,
};
use kube::{
    Api, Client, Config,
    api::{DynamicObject, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    access::{RIGHTS, token},
    support::{ControlPlane, Demarc, eventually, free_port},
    world::{SOON, World, binary, nothing_slipped_in, spec, workload},
};

const HOST: &str = "demarc.demarc-system.svc";
pub const SECRET: &str = "demarc-webhook";

/// What a chart installs: the CRD, the Service, the policies and the webhook configuration, without a caBundle.
pub fn installed() -> ControlPlane {
    let plane = ControlPlane::start();
    plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    plane
        .kubectl(&["apply", "--server-side", "-f", "-"], Some(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": install::crds().unwrap()}).to_string()))
        .result()
        .unwrap();
    plane.kubectl(&["wait", "--for=condition=Established", "crd/ownerships.demarc.dev", "--timeout=30s"], None).result().unwrap();
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demarc", "namespace": "demarc-system"}, "spec": {"ports": [{"name": "webhook", "port": 443}]}});
    plane.kubectl(&["apply", "-f", "-"], Some(&service.to_string())).result().unwrap();
    let mut configuration = install::webhook_configuration("", "");
    for webhook in configuration["webhooks"].as_array_mut().unwrap() {
        let path = webhook["clientConfig"]["url"].clone();
        webhook["clientConfig"] = json!({"service": {"namespace": "demarc-system", "name": "demarc", "path": path, "port": 443}});
    }
    for object in [vec![configuration], install::policies("system:serviceaccount:demarc-system:demarc")].concat() {
        plane.kubectl(&["apply", "--server-side", "-f", "-"], Some(&object.to_string())).result().unwrap();
    }
    plane
}

/// An address of this machine that is not loopback, which no endpoint may have: the API server found one for itself.
fn address(plane: &ControlPlane) -> String {
    eventually("the API server's own endpoint", SOON, || {
        let address = plane.kubectl(&["get", "endpointslice", "kubernetes", "-o", "jsonpath={.endpoints[0].addresses[0]}"], None).result()?;
        if address.is_empty() { Err("none".to_owned()) } else { Ok(address) }
    })
}

/// Makes ready replicas the Service's endpoints, as a kubelet's word would.
pub fn endpoints(plane: &ControlPlane, ports: &[u16]) {
    let address = address(plane);
    for port in ports {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("demarc-{port}"), "namespace": "demarc-system", "labels": {"kubernetes.io/service-name": "demarc"}},
            "ports": [{"name": "webhook", "port": port}], "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        });
        plane.kubectl(&["apply", "-f", "-"], Some(&slice.to_string())).result().unwrap();
    }
}

fn bundles(plane: &ControlPlane) -> Vec<String> {
    let configuration: Value = serde_json::from_str(&plane.kubectl(&["get", "validatingwebhookconfiguration", "demarc", "-o", "json"], None).result().unwrap()).unwrap();
    configuration["webhooks"].as_array().unwrap().iter().map(|w| w["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned()).collect()
}

fn secret(plane: &ControlPlane) -> Value {
    serde_json::from_str(&plane.kubectl(&["get", "secret", SECRET, "-n", "demarc-system", "-o", "json"], None).result().unwrap()).unwrap()
}

fn empty_the_bundles(plane: &ControlPlane) {
    let patch = r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}, {"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]"#;
    plane.kubectl(&["patch", "validatingwebhookconfiguration", "demarc", "--type=json", "-p", patch], None).result().unwrap();
}

#[test]
fn the_leader_makes_the_certificate_and_fills_in_the_bundle_and_does_not_fight_over_it() {
    let plane = installed();
    let ports = [free_port(), free_port()];
    let start = |name: &str, port: u16| {
        let kubeconfig = plane.kubeconfig_of(name, &token(&plane, "demarc"));
        plane.launch(binary(), name, &kubeconfig, &format!("0.0.0.0:{port}"), &["--tls-secret", SECRET, "--namespace", "demarc-system"])
    };
    // Both at once, and nothing there.
    let replicas = [start("one", ports[0]), start("two", ports[1])];
    for replica in &replicas {
        eventually("ready", SOON, || if replica.readyz() == 200 { Ok(()) } else { Err(replica.log()) });
    }
    let made = secret(&plane);
    assert_eq!(made["metadata"]["labels"]["app.kubernetes.io/managed-by"], "demarc");
    let keys: Vec<&String> = made["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    eventually("the bundle in each webhook", SOON, || {
        let bundles = bundles(&plane);
        if bundles.len() == 2 && bundles.iter().all(|b| *b == made["data"]["ca.crt"]) { Ok(()) } else { Err(format!("{bundles:?}")) }
    });
    endpoints(&plane, &ports);
    let mut world = World { demarc: None, plane };
    eventually("admission by the Service", SOON, || {
        let said = world.plane.kubectl(
            &["create", "-f", "-"],
            Some(r#"{"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "second", "namespace": "default"}, "spec": {"serviceModel": "PaaS"}}"#),
        );
        if said.err.contains("named default") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    world.declare("shop", &json!({}));
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    world.accepts("shop", &workload("Pod", "good", &spec("nginx", false)));
    let audited = |verb: &str, resource: &str| {
        let done = |e: &&Value| e["responseStatus"]["code"].as_u64().is_some_and(|c| c < 300) && e["user"]["username"] == "system:serviceaccount:demarc-system:demarc";
        world.plane.audit().iter().filter(done).filter(|e| e["verb"] == verb && e["objectRef"]["resource"] == resource).count()
    };
    assert_eq!((audited("create", "secrets"), audited("update", "secrets"), audited("patch", "validatingwebhookconfigurations")), (1, 0, 1), "one made it, once");

    // H123: a chart upgrade that resets the field.
    empty_the_bundles(&world.plane);
    let emptied = Instant::now();
    eventually("the bundle again", SOON, || if bundles(&world.plane).iter().all(|b| *b == made["data"]["ca.crt"]) { Ok(()) } else { Err("not yet".to_owned()) });
    println!("H123: put right after {:?}", emptied.elapsed());
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    // H124: whoever empties it again and again meets ever rarer repairs, and the log says so.
    let (start_of_fight, mut repaired) = (Instant::now(), 0);
    empty_the_bundles(&world.plane);
    while start_of_fight.elapsed() < Duration::from_secs(15) {
        if bundles(&world.plane).iter().all(|b| !b.is_empty()) {
            repaired += 1;
            empty_the_bundles(&world.plane);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(repaired, 1, "10 s after the last, and the next 20 s later");
    assert!(replicas.iter().any(|r| r.log().contains("somebody else keeps on changing it")), "{}", replicas[0].log());
    eventually("in the end", Duration::from_secs(30), || if bundles(&world.plane).iter().all(|b| *b == made["data"]["ca.crt"]) { Ok(()) } else { Err("not yet".to_owned()) });

    // A leaf that somebody damages is made again, and no replica serves the damaged one.
    let patch = r#"{"data": {"tls.crt": "bm9uc2Vuc2U="}}"#;
    world.plane.kubectl(&["patch", "secret", SECRET, "-n", "demarc-system", "-p", patch], None).result().unwrap();
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    eventually("another leaf", SOON, || if secret(&world.plane)["data"]["tls.crt"].as_str().unwrap().len() > 100 { Ok(()) } else { Err("not yet".to_owned()) });
    assert_eq!(secret(&world.plane)["data"]["ca.key"], made["data"]["ca.key"], "of the same authority");
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    a_strangers_secret_is_left_alone(&world.plane);
    for replica in &replicas {
        let log = replica.log();
        for name in ["ca.key", "tls.key"] {
            assert!(!log.contains("PRIVATE") && !log.contains(&made["data"][name].as_str().unwrap()[60..100]), "a key in the log");
        }
    }
    nothing_slipped_in(&world);
    let [one, two] = replicas;
    two.kill();
    world.demarc = Some(one);
}

fn a_strangers_secret_is_left_alone(plane: &ControlPlane) {
    plane.kubectl(&["create", "secret", "generic", "strangers", "-n", "demarc-system", "--from-literal=password=hunter2"], None).result().unwrap();
    let before = plane.kubectl(&["get", "secret", "strangers", "-n", "demarc-system", "-o", "json"], None).result().unwrap();
    let refused = plane.launch(binary(), "refused", &plane.kubeconfig(), "127.0.0.1:0", &["--tls-secret", "strangers", "--namespace", "demarc-system"]);
    eventually("the reason", SOON, || {
        let log = refused.log();
        if log.contains("error: certificate failed: Secret demarc-system/strangers is not Demarc's") && !log.contains("hunter2") { Ok(()) } else { Err(log) }
    });
    assert_eq!(refused.ended(Duration::from_secs(5)).and_then(|s| s.code()), Some(2));
    assert_eq!(plane.kubectl(&["get", "secret", "strangers", "-n", "demarc-system", "-o", "json"], None).result().unwrap(), before);
}

async fn client(kubeconfig: &Path) -> Client {
    let mut config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig).unwrap(), &KubeConfigOptions::default()).await.unwrap();
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config).unwrap()
}

/// A leaf of the replica at this port, verified by this bundle as an API server would that connects anew.
async fn leaf(port: u16, bundle: &[u8]) -> Result<Vec<u8>, String> {
    let mut roots = rustls::RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(bundle) {
        roots.add(der.unwrap()).unwrap();
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| e.to_string())?;
    let stream = connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.map_err(|e| e.to_string())?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

/// Shortened to a minute in all; what is left of a leaf after two thirds is still thrice what a replica takes to follow.
const LIFETIMES: Lifetimes = Lifetimes { authority: Duration::from_secs(66), leaf: Duration::from_secs(21), known: Duration::from_secs(4), served: Duration::from_secs(8) };
/// More at once than the connections that an API server keeps (25 a host): the others shake hands anew, with the certificate of the moment.
const BURST: usize = 40;

#[test]
fn no_admission_fails_while_leaf_and_authority_are_replaced_under_load() {
    let plane = installed();
    let ports = [free_port(), free_port()];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (kubeconfig, own) = (plane.kubeconfig(), plane.kubeconfig_of("demarc", &token(&plane, "demarc")));
    let started = Instant::now();
    let mut admins = Vec::new();
    for (name, port) in [("one", ports[0]), ("two", ports[1])] {
        let admin = free_port();
        let args = run::Args {
            probe_every: 60,
            local: false,
            webhook_address: Some(([0, 0, 0, 0], port).into()),
            admin_address: ([127, 0, 0, 1], admin).into(),
            tls_dir: None,
            tls_secret: Some(SECRET.to_owned()),
            webhook_service: "demarc".to_owned(),
            webhook_configuration: "demarc".to_owned(),
            namespace: "demarc-system".to_owned(),
            replica: name.to_owned(),
            trusted_controller: Vec::new(),
            lifetimes: LIFETIMES,
            traces: demarc::traces::Args::default(),
            incarnation: "1".to_owned(),
        };
        let client = runtime.block_on(client(&own));
        runtime.spawn(async move {
            let ended = run::controller(args, client, std::future::pending()).await;
            panic!("a replica ended: {ended:?}");
        });
        admins.push(admin);
    }
    for admin in admins {
        eventually("ready", SOON, || if Demarc::readyz_at(admin) == 200 { Ok(()) } else { Err("not ready".to_owned()) });
    }
    endpoints(&plane, &ports);
    eventually("the bundle", SOON, || if bundles(&plane).iter().all(|b| !b.is_empty()) { Ok(()) } else { Err("none".to_owned()) });
    let world = World { demarc: None, plane };
    world.declare("shop", &json!({}));
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    let seen = runtime.block_on(watch_under_load(&kubeconfig, ports));
    println!("{} admissions in bursts of {BURST}, {} leaves by replica, {} bundles, {:?}", seen.admissions, seen.leaves.len(), seen.bundles.len(), started.elapsed());
    assert!(seen.failures.is_empty(), "{} of {} failed: {:#?}", seen.failures.len(), seen.admissions, &seen.failures[..seen.failures.len().min(10)]);
    assert!(seen.admissions > 1000, "that was no load: {}", seen.admissions);
    let counts: Vec<usize> = seen.bundles.iter().map(|b| b.matches("BEGIN").count()).collect();
    assert_eq!(counts, [1, 2, 1], "old, both, new");
    assert!(seen.bundles[1].contains(seen.bundles[0].trim()) && seen.bundles[1].contains(seen.bundles[2].trim()) && seen.bundles[0] != seen.bundles[2]);
    let of = |port: u16| seen.leaves.iter().filter(|(p, _)| *p == port).map(|(_, leaf)| leaf).collect::<BTreeSet<_>>();
    assert!(of(ports[0]).len() >= 4, "leaves and a new authority's: {}", of(ports[0]).len());
    let apart = of(ports[0]).symmetric_difference(&of(ports[1])).count();
    assert!(apart <= 1, "each replica served them all, but for one that the other had not taken yet when the watch ended: {apart}");
    nothing_slipped_in(&world);
    runtime.shutdown_background();
}

#[derive(Default)]
struct Seen {
    admissions: u32,
    failures: Vec<String>,
    bundles: Vec<String>,
    leaves: BTreeSet<(u16, Vec<u8>)>,
}

/// Until the new authority stands alone.
async fn watch_under_load(kubeconfig: &Path, ports: [u16; 2]) -> Seen {
    let over = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU32::new(0));
    let load = tokio::spawn(bursts(client(kubeconfig).await, over.clone(), count.clone()));
    let configurations: Api<DynamicObject> =
        Api::all_with(client(kubeconfig).await, &ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration")));
    let mut seen = Seen::default();
    let (start, mut alone) = (Instant::now(), None::<Instant>);
    let mut last: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    // The new leaf has been served for a while by the new authority alone.
    while alone.is_none_or(|since| since.elapsed() < Duration::from_secs(2)) {
        assert!(start.elapsed() < Duration::from_secs(150), "{:?}", seen.bundles);
        let object = configurations.get("demarc").await.unwrap();
        let bundle: k8s_openapi::ByteString = serde_json::from_value(object.data["webhooks"][0]["clientConfig"]["caBundle"].clone()).unwrap();
        let text = String::from_utf8(bundle.0.clone()).unwrap();
        if seen.bundles.last() != Some(&text) {
            println!("{:?}: a bundle of {}", start.elapsed(), text.matches("BEGIN").count());
            seen.bundles.push(text);
        }
        for port in ports {
            match leaf(port, &bundle.0).await {
                Ok(der) => {
                    if last.insert(port, der.clone()).as_ref() != Some(&der) {
                        println!("{:?}: {port} serves another leaf", start.elapsed());
                    }
                    seen.leaves.insert((port, der));
                }
                Err(error) => seen.failures.push(format!("{:?}: the replica at {port}: {error}", start.elapsed())),
            }
        }
        if seen.bundles.len() >= 3 {
            alone.get_or_insert_with(Instant::now);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    over.store(true, Ordering::Relaxed);
    seen.failures.extend(load.await.unwrap());
    seen.admissions = count.load(Ordering::Relaxed);
    seen
}

/// Dry runs by the API server: compliant ones that must pass, and in each burst a violator that must not. What went otherwise.
async fn bursts(client: Client, over: Arc<AtomicBool>, count: Arc<AtomicU32>) -> Vec<String> {
    let api: Api<DynamicObject> = Api::namespaced_with(client, "shop", &ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment")));
    let params = PostParams { dry_run: true, field_manager: None };
    let good: DynamicObject = serde_json::from_value(workload("Deployment", "good", &spec("nginx", false))).unwrap();
    let bad: DynamicObject = serde_json::from_value(workload("Deployment", "violator", &spec("nginx", true))).unwrap();
    let (start, mut wrong) = (Instant::now(), Vec::new());
    while !over.load(Ordering::Relaxed) {
        let calls = (0..BURST).map(|i| {
            let (api, params, object) = (&api, &params, if i == 0 { &bad } else { &good });
            async move {
                match api.create(params, object).await {
                    Ok(_) if i > 0 => None,
                    Err(kube::Error::Api(status)) if i == 0 && status.message.contains("pod-security-standard") => None,
                    other => Some(format!("{:?}: {:?}", start.elapsed(), other.map(|_| "admitted"))),
                }
            }
        });
        let answers = futures::future::join_all(calls).await;
        count.fetch_add(u32::try_from(answers.len()).unwrap(), Ordering::Relaxed);
        wrong.extend(answers.into_iter().flatten());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    wrong
}
