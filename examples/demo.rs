//! The product's story on a real API server, played with real kubectl: `make demo`.
//! Then it stays up for exploring by hand until Ctrl-C; `--once` plays and ends, with 1 when the story did not go as told.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use support::ControlPlane;

const OWNERSHIP: &str = r"apiVersion: demarc.dev/v1alpha1
kind: Ownership
metadata: {name: default, namespace: shop}
spec:
  serviceModel: PaaS
  parties: {provider: azure, customer: acme}
  policy: {patch: {maxImageAge: P90D}}
  escalation:
    levels:
      - {party: acme, contact: '+44 20 7946 0000', coverage: 24x7}
      - {party: acme, contact: security@acme.example, coverage: business-hours}
";
const BAD: &str = r"apiVersion: apps/v1
kind: Deployment
metadata: {name: payments, namespace: shop}
spec:
  selector: {matchLabels: {app: payments}}
  template:
    metadata: {labels: {app: payments}}
    spec:
      containers: [{name: web, image: 'ghcr.io/acme/payments:1'}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";
const POLICY: &str = r"apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: payments, namespace: shop}
spec: {podSelector: {matchLabels: {app: payments}}, policyTypes: [Ingress]}
";
const CLAIM: &str = r"apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop, labels: {data-classification: internal}}
spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
";

/// All that is asked of it, whoever enforces it; `built` is when its image was.
fn good(built: jiff::Timestamp) -> String {
    let digest = "sha256:0b0f3e4e8d1c5f5b6a7989a0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e";
    format!(
        r"apiVersion: apps/v1
kind: Deployment
metadata: {{name: payments, namespace: shop, labels: {{data-classification: internal}}, annotations: {{a8r.io/owner: payments@acme.example}}}}
spec:
  selector: {{matchLabels: {{app: payments}}}}
  template:
    metadata:
      labels: {{app: payments}}
      annotations: {{demarc.dev/encryption-at-rest: application, org.opencontainers.image.created: '{built}'}}
    spec:
      automountServiceAccountToken: false
      containers: [{{name: web, image: 'ghcr.io/acme/payments@{digest}'}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
"
    )
}

fn class(encrypted: &str) -> String {
    format!("apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: fast}}\nprovisioner: driver.longhorn.io\nparameters: {{encrypted: '{encrypted}'}}\n")
}

struct Story<'p> {
    plane: &'p ControlPlane,
    stopped: Arc<AtomicBool>,
    failed: bool,
}

impl Story<'_> {
    fn tell(text: &str) {
        println!("\n# {text}");
    }

    fn shows(&mut self, stdin: Option<&str>, args: &[&str], expected: &str) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        println!("$ kubectl {}", args.join(" "));
        let said = self.plane.kubectl(args, stdin);
        print!("{}{}", said.out, said.err);
        if !said.out.contains(expected) && !said.err.contains(expected) {
            println!("!! the story should show: {expected}");
            self.failed = true;
        }
    }

    /// Waits for what follows within some seconds.
    fn waits(&mut self, what: &str, args: &[&str], expected: &str) {
        let start = Instant::now();
        while !self.stopped.load(Ordering::Relaxed) {
            if self.plane.kubectl(args, None).out.contains(expected) {
                println!("({what}: {:.1} s)", start.elapsed().as_secs_f32());
                return;
            }
            if start.elapsed() > Duration::from_secs(30) {
                println!("!! {what}: not within 30 s");
                self.failed = true;
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn main() -> ExitCode {
    let once = std::env::args().any(|a| a == "--once");
    if let Some(other) = std::env::args().skip(1).find(|a| a != "--once") {
        eprintln!("error: {other} is not an argument of the demo: --once plays the story and ends");
        return ExitCode::from(2);
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let flag = stopped.clone();
    runtime.spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            flag.store(true, Ordering::Relaxed);
        }
    });
    println!("starting etcd, kube-apiserver and kube-controller-manager (about 10 s) …");
    let plane = ControlPlane::start();
    let binary = std::env::current_exe().ok().and_then(|p| Some(p.parent()?.parent()?.join("demarc"))).expect("the demarc binary beside the examples");
    println!("starting demarc controller --local …");
    let demarc = plane.demarc(&binary, "demo");
    let mut story = Story { plane: &plane, stopped: stopped.clone(), failed: false };
    play(&mut story);
    let failed = story.failed;
    if !once && !stopped.load(Ordering::Relaxed) {
        println!(
            "\n# Explore by hand, in another terminal; Ctrl-C here ends it all:\nexport KUBECONFIG={}\n# The roles for people, such as demarc-waiver-approver, are in the chart: --local installs none, and this kubeconfig may do everything.",
            plane.kubeconfig().display()
        );
        while !stopped.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    println!("\nstopping …");
    drop(demarc);
    drop(plane);
    println!("{}", if failed { "the story did not go as told" } else { "done, nothing left behind" });
    ExitCode::from(u8::from(failed))
}

/// Asks how one control stands.
const VERDICT: &[&str] = &["get", "ownership", "default", "-n", "shop", "-o", r#"jsonpath={.status.matrix[?(@.control=="pvc-storage-encrypted")].verdict}"#];

fn play(story: &mut Story<'_>) {
    Story::tell("A namespace declares who owns which control.");
    story.shows(None, &["create", "namespace", "shop"], "created");
    story.shows(Some(&class("true")), &["apply", "-f", "-"], "created");
    story.shows(Some(OWNERSHIP), &["apply", "-f", "-"], "created");
    story.shows(None, &["wait", "ownership/default", "-n", "shop", "--for=condition=Enforcing", "--timeout=30s"], "condition met");

    Story::tell("A Deployment without an owner and without an encryption annotation is refused.");
    story.shows(Some(BAD), &["apply", "-f", "-"], "lacks 2 controls that acme (customer) owes");

    Story::tell("With both, it is admitted.");
    story.shows(Some(CLAIM), &["apply", "-f", "-"], "created");
    story.shows(Some(POLICY), &["apply", "-f", "-"], "created");
    story.shows(Some(&good(jiff::Timestamp::now())), &["apply", "-f", "-"], "created");
    story.waits("judged", VERDICT, "Satisfied");
    Story::tell("Nothing is violated. What nobody has recorded evidence for, and no cluster can show, stays unknown.");
    story.shows(None, &["get", "ownerships", "-A"], "Unknown");

    Story::tell("Somebody replaces the StorageClass by one without encryption: drift.");
    story.shows(None, &["delete", "storageclass", "fast"], "deleted");
    story.shows(Some(&class("false")), &["apply", "-f", "-"], "created");
    story.waits("drift appears", VERDICT, "Violated");
    story.shows(None, &["get", "ownerships", "-A"], "False");
    story.shows(None, &["describe", "ownership", "default", "-n", "shop"], "persistentvolumeclaim/data");

    Story::tell("It is repaired, and the drift clears.");
    story.shows(None, &["delete", "storageclass", "fast"], "deleted");
    story.shows(Some(&class("true")), &["apply", "-f", "-"], "created");
    story.waits("drift clears", VERDICT, "Satisfied");
    story.shows(None, &["get", "ownerships", "-A"], "Unknown");
}
