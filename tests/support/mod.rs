//! The harness: a real etcd, kube-apiserver and kube-controller-manager on loopback, and Demarc against them.
//! Everything lives in one temporary folder and ends with the value that started it; facts about the flags are in the comments.

// Each user of the harness takes what it needs of it.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use wait_timeout::ChildExt;

pub mod receiver;

use receiver::Receiver;

/// A running control plane.
pub struct ControlPlane {
    assets: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    etcd_port: u16,
    etcd: Option<Child>,
    api: Option<Child>,
    controllers: Option<Child>,
    told: Mutex<Vec<(String, String)>>,
    /// Where every Demarc that is started sends its traces, if anywhere.
    pub receiver: Option<Receiver>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

/// A Demarc process.
pub struct Demarc {
    child: Child,
    log: PathBuf,
    pub admin: u16,
}

/// Test users by token: real authentication and RBAC. `admin` may do everything; the others only what a test binds.
const USERS: &[(&str, &str)] = &[("admin", "system:masters"), ("alice", "teams"), ("bob", "teams")];

/// A port for a program that is started later: below those that the kernel gives to whoever asks for any, and given to nobody else by this process.
pub fn free_port() -> u16 {
    const FROM: u32 = 20_000;
    const MANY: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let port = || u16::try_from(FROM + (std::process::id().wrapping_mul(131).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % MANY).unwrap();
    (0..MANY).map(|_| port()).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Waits until `attempt` succeeds; its last word is in the panic.
pub fn eventually<T>(what: &str, within: Duration, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    // Most attempts start a kubectl: one that waits long asks less often, or the waiting costs more than the work.
    let mut pause = Duration::from_millis(50);
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) if start.elapsed() > within => panic!("{what}: not within {within:?}: {error}"),
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 3 / 2).min(Duration::from_millis(300));
    }
}

fn spawn(program: &Path, args: &[String], log: &Path) -> Child {
    // Appended: what an API server said before a restart stays readable.
    let log = File::options().create(true).append(true).open(log).unwrap();
    Command::new(program).args(args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

/// The end of a log, for a panic message.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Fails at once when a process has ended that others wait for: a taken port is not worth a minute of waiting.
fn alive(child: Option<&mut Child>, log: &Path) {
    if let Some(status) = child.and_then(|c| c.try_wait().ok().flatten()) {
        panic!("it ended early, {status}; the end of {}:\n{}", log.display(), tail(log));
    }
}

fn signal(child: &Child, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).stderr(Stdio::null()).status();
}

/// SIGTERM, then SIGKILL when that takes too long: an API server without etcd hangs and keeps its port.
fn stop(child: &mut Child, patience: Duration) -> ExitStatus {
    signal(child, "TERM");
    match child.wait_timeout(patience).unwrap() {
        Some(status) => status,
        None => {
            let _ = child.kill();
            child.wait().unwrap()
        }
    }
}

impl ControlPlane {
    /// Starts everything and waits until it answers: about five seconds.
    pub fn start() -> Self {
        let assets = std::env::var("KUBEBUILDER_ASSETS").expect("KUBEBUILDER_ASSETS is not set: run `make test`, which builds the control plane and sets it");
        let dir = tempfile::tempdir().unwrap();
        let mut plane =
            Self { assets: assets.into(), dir, port: free_port(), etcd_port: free_port(), etcd: None, api: None, controllers: None, told: Mutex::default(), receiver: None };
        plane.write_files();
        let (client, peer) = (format!("http://127.0.0.1:{}", plane.etcd_port), format!("http://127.0.0.1:{}", free_port()));
        let args = [
            "--unsafe-no-fsync".to_owned(),
            format!("--data-dir={}", plane.path("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        plane.etcd = Some(spawn(&plane.assets.join("etcd"), &args, &plane.file("etcd.log")));
        plane.start_api_server();
        let args = [
            format!("--kubeconfig={}", plane.path("kubeconfig")),
            format!("--service-account-private-key-file={}", plane.path("sa.key")),
            format!("--root-ca-file={}", plane.path("certs/apiserver.crt")),
            "--use-service-account-credentials".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        plane.controllers = Some(spawn(&plane.assets.join("kube-controller-manager"), &args, &plane.file("controllers.log")));
        let log = plane.file("controllers.log");
        eventually("the default service account", Duration::from_secs(60), || {
            alive(plane.controllers.as_mut(), &log);
            plane.kubectl(&["get", "serviceaccount", "default"], None).result()
        });
        plane
    }

    fn write_files(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(self.file("sa.key"), key.serialize_pem()).unwrap();
        // The API server's own self-made certificate is not for loopback.
        let names = ["localhost", "127.0.0.1", "kubernetes.default.svc"].map(str::to_owned);
        let serving = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::create_dir(self.file("certs")).unwrap();
        std::fs::write(self.file("certs/apiserver.crt"), serving.cert.pem()).unwrap();
        std::fs::write(self.file("certs/apiserver.key"), serving.signing_key.serialize_pem()).unwrap();
        // Apart: the API server does not read the public half out of a PKCS #8 key.
        std::fs::write(self.file("sa.pub"), key.public_key_pem()).unwrap();
        let tokens: String = USERS.iter().map(|(user, groups)| format!("{user}-token,{user},{user},\"{groups}\"\n")).collect();
        std::fs::write(self.file("tokens.csv"), tokens).unwrap();
        // Every write is logged once, when it is done: the oracle for "never persisted".
        std::fs::write(
            self.file("audit.yaml"),
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n  verbs: [create, update, patch, delete]\n- level: None\n",
        )
        .unwrap();
    }

    fn start_api_server(&mut self) {
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", self.path("certs/apiserver.crt")),
            format!("--tls-private-key-file={}", self.path("certs/apiserver.key")),
            format!("--service-account-key-file={}", self.path("sa.pub")),
            format!("--service-account-signing-key-file={}", self.path("sa.key")),
            "--service-account-issuer=https://demarc.test".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC,Node".to_owned(),
            "--allow-privileged=true".to_owned(),
            // Services are for webhooks here, and no node makes their addresses reachable: their endpoints are called.
            "--enable-aggregator-routing=true".to_owned(),
            format!("--token-auth-file={}", self.path("tokens.csv")),
            format!("--audit-policy-file={}", self.path("audit.yaml")),
            format!("--audit-log-path={}", self.path("audit.log")),
        ];
        if self.file("tracing.yaml").exists() {
            args.push(format!("--tracing-config-file={}", self.path("tracing.yaml")));
        }
        self.api = Some(spawn(&self.assets.join("kube-apiserver"), &args, &self.file("apiserver.log")));
        let users: String = USERS.iter().map(|(user, _)| format!("- {{name: {user}, user: {{token: {user}-token}}}}\n")).collect();
        let contexts: String = USERS.iter().map(|(user, _)| format!("- {{name: {user}, context: {{cluster: demarc, user: {user}}}}}\n")).collect();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: admin\nclusters:\n- name: demarc\n  cluster: {{server: 'https://localhost:{}', certificate-authority: {}}}\nusers:\n{users}contexts:\n{contexts}",
            self.port,
            self.path("certs/apiserver.crt")
        );
        std::fs::write(self.file("kubeconfig"), kubeconfig).unwrap();
        let (etcd_log, api_log) = (self.file("etcd.log"), self.file("apiserver.log"));
        eventually("the API server", Duration::from_secs(60), || {
            alive(self.etcd.as_mut(), &etcd_log);
            alive(self.api.as_mut(), &api_log);
            self.kubectl(&["get", "--raw", "/readyz"], None).result().map_err(|e| format!("{e}{}", tail(&api_log)))
        });
    }

    /// SIGTERM or SIGKILL, and a new one on the same port and data.
    pub fn restart_api_server(&mut self, patience: Duration) {
        if let Some(mut api) = self.api.take() {
            stop(&mut api, patience);
        }
        self.start_api_server();
    }

    /// An API server that traces every request, and sends it to nobody.
    pub fn trace_api_server(&mut self) {
        let tracing = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: 127.0.0.1:1\nsamplingRatePerMillion: 1000000\n";
        std::fs::write(self.file("tracing.yaml"), tracing).unwrap();
        self.restart_api_server(Duration::from_secs(10));
    }

    /// Ends kube-controller-manager: what is made stays as it was made, and no Pod is made of a Deployment.
    pub fn stop_controllers(&mut self) {
        if let Some(mut controllers) = self.controllers.take() {
            stop(&mut controllers, Duration::from_secs(10));
        }
    }

    /// Where the API server listens on loopback, and its certificate as PEM. Users' tokens are their names and `-token`.
    pub fn api(&self) -> (u16, Vec<u8>) {
        (self.port, std::fs::read(self.file("certs/apiserver.crt")).unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// For KUBECONFIG; contexts `admin`, `alice`, `bob`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// Real kubectl, as admin.
    pub fn kubectl(&self, args: &[&str], stdin: Option<&str>) -> Said {
        self.kubectl_as("admin", args, stdin)
    }

    /// Real kubectl, as one of the test users.
    pub fn kubectl_as(&self, user: &str, args: &[&str], stdin: Option<&str>) -> Said {
        self.run_kubectl(user, args, stdin, "false")
    }

    /// `kubectl edit`, by somebody whose editor is this expression of sed, without spaces.
    pub fn kubectl_edit(&self, user: &str, args: &[&str], sed: &str) -> Said {
        self.run_kubectl(user, &[&["edit"], args].concat(), None, &format!("sed -i {sed}"))
    }

    fn run_kubectl(&self, user: &str, args: &[&str], stdin: Option<&str>, editor: &str) -> Said {
        let mut child = Command::new(self.assets.join("kubectl"))
            .args(["--context", user, "--request-timeout=20s"])
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.dir.path())
            .env("KUBE_EDITOR", editor)
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            let _ = pipe.write_all(text.as_bytes());
        }
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let said = Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) };
        // kubectl repeats what it was given; what it was told comes after this, or is a warning.
        let warnings = said.err.lines().filter_map(|line| line.strip_prefix("Warning: "));
        let told = said.err.split_once("denied the request: ").map(|(_, told)| told).into_iter().chain(warnings).map(|told| (user.to_owned(), told.to_owned()));
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        said
    }

    /// What users were told with a refusal or as a warning, each with the user.
    pub fn told(&self) -> Vec<(String, String)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What every replica has logged so far.
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("demarc-") && path.extension().is_some_and(|e| e == "log"));
        logs.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    /// Every write that the API server completed.
    pub fn audit(&self) -> Vec<Value> {
        self.audit_log().lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    /// The same as text, a line a write.
    pub fn audit_log(&self) -> String {
        std::fs::read_to_string(self.file("audit.log")).unwrap_or_default()
    }

    /// A kubeconfig for one more user, known by a bearer token.
    pub fn kubeconfig_of(&self, user: &str, token: &str) -> PathBuf {
        let file = self.file(&format!("kubeconfig-{user}"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {user}\nclusters:\n- name: demarc\n  cluster: {{server: 'https://localhost:{}', certificate-authority: {}}}\nusers: [{{name: {user}, user: {{token: {token}}}}}]\ncontexts: [{{name: {user}, context: {{cluster: demarc, user: {user}}}}}]\n",
            self.port,
            self.path("certs/apiserver.crt")
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Starts `demarc controller --local` as admin; `binary` is `CARGO_BIN_EXE_demarc`.
    pub fn demarc(&self, binary: &Path, name: &str) -> Demarc {
        self.demarc_as(binary, name, &self.kubeconfig())
    }

    /// The same, as the user of a kubeconfig.
    pub fn demarc_as(&self, binary: &Path, name: &str, kubeconfig: &Path) -> Demarc {
        self.demarc_with(binary, name, kubeconfig, &[])
    }

    /// The same, with further arguments.
    pub fn demarc_with(&self, binary: &Path, name: &str, kubeconfig: &Path, further: &[&str]) -> Demarc {
        let mut demarc = self.launch(binary, name, kubeconfig, "127.0.0.1:0", &[&["--local"], further].concat());
        // Registered as well as ready: the webhook is there when this returns.
        eventually("demarc", Duration::from_secs(30), || {
            alive(Some(&mut demarc.child), &demarc.log);
            if demarc.log().contains(r#""message":"ready""#) { Ok(()) } else { Err(tail(&demarc.log)) }
        });
        demarc
    }

    /// The same as a pod of the chart would run, with its certificate from a folder: it registers nothing. Does not wait.
    pub fn demarc_in_cluster(&self, binary: &Path, name: &str, kubeconfig: &Path) -> Demarc {
        for (from, to) in [("certs/apiserver.crt", "certs/tls.crt"), ("certs/apiserver.key", "certs/tls.key")] {
            std::fs::copy(self.file(from), self.file(to)).unwrap();
        }
        self.launch(binary, name, kubeconfig, "127.0.0.1:0", &["--tls-dir", &self.path("certs")])
    }

    /// Starts `demarc controller` with a webhook there and this mode; does not wait.
    pub fn launch(&self, binary: &Path, name: &str, kubeconfig: &Path, webhook: &str, mode: &[&str]) -> Demarc {
        let (admin, log) = (free_port(), self.file(&format!("demarc-{name}.log")));
        let mut command = Command::new(binary);
        command.arg("controller").args(mode).args(["--webhook-address", webhook, "--admin-address", &format!("127.0.0.1:{admin}"), "--replica", name]);
        command.env("KUBECONFIG", kubeconfig).env("DEMARC_LOG", "demarc=debug");
        if let Some(receiver) = &self.receiver {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()).env("OTEL_BSP_SCHEDULE_DELAY", "200");
        }
        let file = File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Demarc { child, log, admin }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // The API server before etcd: without etcd it hangs.
        for child in [&mut self.controllers, &mut self.api, &mut self.etcd] {
            if let Some(mut child) = child.take() {
                stop(&mut child, Duration::from_secs(10));
            }
        }
    }
}

impl Said {
    /// Standard output, or the error.
    pub fn result(self) -> Result<String, String> {
        if self.ok { Ok(self.out) } else { Err(self.err) }
    }
}

impl Demarc {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The status code of `/readyz`; 0 while nobody listens.
    pub fn readyz(&self) -> u16 {
        Self::readyz_at(self.admin)
    }

    /// The same, of one that is no process of its own.
    pub fn readyz_at(admin: u16) -> u16 {
        Self::get_at(admin, "/readyz").split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// What the admin port says, head and all; nothing while nobody listens.
    pub fn get(&self, path: &str) -> String {
        Self::get_at(self.admin, path)
    }

    fn get_at(admin: u16, path: &str) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", admin))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().unwrap_or_default()
    }

    /// The way in which it ends by itself.
    pub fn ended(mut self, within: Duration) -> Option<ExitStatus> {
        self.child.wait_timeout(within).unwrap()
    }

    /// SIGTERM and the way it ended.
    pub fn terminate(mut self) -> ExitStatus {
        stop(&mut self.child, Duration::from_secs(20))
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Demarc {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            stop(&mut self.child, Duration::from_secs(10));
        }
    }
}
