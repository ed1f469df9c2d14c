//! The binary, started wrongly: one sentence that says what to do, and exit 2. And told to stop: it serves on for a while, unless it is told twice.
//! Its cluster is an API server that knows enough for the start; nothing of it is real.

use std::{
    io::{BufRead, BufReader, Lines, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use wait_timeout::ChildExt;

use super::{
    receiver::{Mood, Receiver},
    tls::{LONG, ask, connect, connector, read, request},
};

fn demarc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demarc"));
    command.args(args).env_remove("DEMARC_LOG").env_remove("KUBERNETES_SERVICE_HOST").stdin(Stdio::null());
    command
}

/// The one sentence with which it ends.
fn refusal(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let code = child.wait_timeout(LONG).unwrap().and_then(|s| s.code());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("error: ") && said.ends_with('\n'), "{said}");
    said
}

/// A kubeconfig for this address.
fn kubeconfig(dir: &Path, server: &str) -> String {
    let path = dir.join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: '{server}'}}}}], users: [{{name: c, user: {{}}}}], contexts: [{{name: c, context: {{cluster: c, user: c}}}}]}}\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The same, and an authority: for a system as in the image, where nobody is trusted by itself.
fn kubeconfig_with_authority(dir: &Path, server: &str, authority: &[u8]) -> String {
    let (path, file) = (kubeconfig(dir, server), dir.join("authority.crt"));
    std::fs::write(&file, authority).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("cluster: {server", &format!("cluster: {{certificate-authority: '{}', server", file.display()))).unwrap();
    path
}

/// Puts a certificate of its own making and its key into a folder, as `--tls-dir` wants them.
fn keyed(dir: &Path) -> Vec<u8> {
    let (certificate, key) = demarc::admission::tls::self_made(&["localhost"]).unwrap();
    std::fs::write(dir.join("tls.crt"), &certificate).unwrap();
    std::fs::write(dir.join("tls.key"), key).unwrap();
    certificate
}

/// A review of what is admitted, as the API server would send it.
fn admitted() -> String {
    let review = std::fs::read_to_string("tests/data/admission/a compliant deployment is admitted/request.json").unwrap();
    request("POST", "/workloads", "application/json", &review)
}

const LOCAL: &[&str] = &["controller", "--local", "--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"];

#[test]
fn without_a_cluster_one_sentence_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let malformed = dir.path().join("malformed");
    std::fs::write(&malformed, "clusters: [\n- {").unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let missing = dir.path().join("missing");
    // Bound, and dropped: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = kubeconfig(dir.path(), &format!("http://{closed}"));
    for (path, cause, advice) in [
        (closed, "Connection refused", "check KUBECONFIG and the network"),
        (missing.display().to_string(), "No such file", "set KUBECONFIG"),
        (malformed.display().to_string(), "YAML", "set KUBECONFIG"),
        (empty.display().to_string(), "determine current context", "set KUBECONFIG"),
    ] {
        let manifest = "tests/data/check/a control of one's own is denied and leads to itself/input.yaml";
        for args in [LOCAL, &["doctor"], &["waiver", "list"], &["cleanup"], &["check", "-f", manifest, "--context"]] {
            let said = refusal(demarc(args).env("KUBECONFIG", &path));
            println!("{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains(cause) && said.contains(advice) && !said.contains("Lease") && !said.contains("installed"), "{said}");
            assert!(said.len() < 300 && said.matches(cause).count() == 1 && said.matches("the network").count() < 2, "said once, and short: {said}");
        }
    }
}

#[test]
fn nothing_that_teaches_scrolls_sideways() {
    let commands = ["", "controller", "check", "crds", "waiver", "waiver request", "waiver approve", "waiver list", "cleanup", "doctor", "explain", "completions", "man"];
    let helps = commands.iter().flat_map(|command| ["-h", "--help"].map(|flag| format!("{command} {flag}")));
    let pages = demarc::controls::CATALOG.iter().map(|control| format!("explain {}", control.id));
    for said in helps.chain(pages).chain(["explain".to_owned()]) {
        let output = demarc(&said.split_whitespace().collect::<Vec<_>>()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !text.is_empty(), "demarc {said}: {text}");
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 120).collect();
        assert!(wide.is_empty(), "demarc {said}: {wide:#?}");
        // An example is there to be pasted: whatever is broken goes on after a backslash.
        let broken =
            text.lines().zip(text.lines().skip(1)).find(|(line, next)| line.starts_with("  demarc ") && !line.ends_with('\\') && !next.is_empty() && !next.starts_with("  "));
        assert!(broken.is_none(), "demarc {said}: {broken:?}");
    }
}

#[test]
fn what_is_to_be_logged_is_a_filter_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let closed = kubeconfig(dir.path(), "http://127.0.0.1:1");
    let said = |log: &str| refusal(demarc(LOCAL).env("KUBECONFIG", &closed).env("DEMARC_LOG", log));
    for bad in ["verbose", "inof", "info,loud", "demarc=loud", "demarc=debug=info", "info;warn", "\u{1b}[2J"] {
        let said = said(bad);
        assert!(said.starts_with("error: DEMARC_LOG \"") && said.contains("write off, error, warn"), "{bad}: {said}");
        assert!(said.lines().count() == 1 && !said.contains('\u{1b}'), "{bad}: {said}");
    }
    for good in ["", "off", "WARN,kube_client=OFF", "demarc=debug,hyper=INFO", "info,kube_client::client::builder=off"] {
        let said = said(good);
        assert!(said.contains("the network") && !said.contains("DEMARC_LOG"), "{good}: {said}");
    }
}

#[test]
fn arguments_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = kubeconfig(dir.path(), "http://127.0.0.1:1");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let folder = dir.path().display().to_string();
    std::fs::write(dir.path().join("tls.crt"), "nonsense").unwrap();
    let empty = tempfile::tempdir().unwrap().path().display().to_string();
    for (args, names, also) in [
        (&["controller", "--local", "--webhook-address", "nonsense"][..], "--webhook-address", "nonsense"),
        (&["controller"], "--tls-dir", "required"),
        (&["controller", "--local", "--tls-dir", &folder], "--tls-dir", "--local"),
        (&["controller", "--local", "--tls-secret", "x"], "--tls-secret", "--local"),
        (&["controller", "--tls-secret", "x", "--tls-dir", &folder], "--tls-secret", "--tls-dir"),
        (&["controller", "--local", "--webhook-address", &taken], "--webhook-address", "choose one that is free"),
        (&["controller", "--local", "--webhook-address", "127.0.0.1:0", "--admin-address", &taken], "--admin-address", "choose one that is free"),
        (&["controller", "--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--tls-dir", &empty], "--tls-dir", "tls.crt"),
        (&["controller", "--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--tls-dir", &folder], "--tls-dir", "tls.key"),
        (&["controller", "--local", "--otlp-endpoint", "collector:4318"], "--otlp-endpoint", "http://HOST:PORT"),
        (&["controller", "--local", "--otlp-endpoint", "http://a:4318", "--traces-sampler", "some"], "--traces-sampler", "traceidratio"),
        (&["controller", "--local", "--otlp-endpoint", "http://a:4318", "--traces-sampler", "traceidratio", "--traces-sampler-arg", "2"], "--traces-sampler-arg", "0 to 1"),
        (&["controller", "--local", "--otlp-endpoint", "https://a:4318", "--otlp-certificate", &folder], "--otlp-certificate", "PEM"),
        (&["cleanup", "-n", "Bad NS"], "'Bad NS'", "names no namespace"),
        (&["waiver", "list", "-n", "Bad NS"], "'Bad NS'", "names no namespace"),
        (&["explain", "--nonsense"], "--nonsense", "unexpected"),
        (&["waiver", "approve", ""], "<NAME>", "no object can have that name"),
        (&["waiver", "approve", "a/b"], "'a/b'", "no object can have that name"),
        (&["waiver", "approve", "w", "-n", ""], "--namespace", "names no namespace"),
        (&["waiver", "list", "-n", "../b"], "--namespace", "names no namespace"),
        (&["waiver", "request", "encryption-declared", "--for", "pod/a", "--reason", "a", "--name", "A"], "--name", "no object can have that name"),
        (&["waiver", "request", "é", "--for", "pod/é", "--reason", "a"], "--name", "no name can be made"),
        (&["nonsense"], "nonsense", "unrecognized"),
    ] {
        let said = refusal(demarc(args).env("KUBECONFIG", &nowhere));
        println!("{said}");
        assert!(said.contains(names) && said.contains(also), "{args:?}: {said}");
        assert!(said.starts_with("error: ") && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_reader_that_hangs_up_is_no_error_and_no_verdict() {
    let (dir, denied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifests = "{apiVersion: demarc.dev/v1alpha1, kind: Ownership, metadata: {name: default, namespace: shop}, spec: {serviceModel: PaaS}}\n---\n\
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {spec: {containers: [{name: c}]}}}}\n";
    std::fs::write(denied.path().join("n.yaml"), manifests).unwrap();
    let denied = denied.path().display().to_string();
    std::fs::write(dir.path().join("n.yaml"), "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n").unwrap();
    let folder = dir.path().display().to_string();
    for (args, code) in [
        (&["explain"][..], 0),
        (&["explain", "-o", "json"], 0),
        (&["explain", "ingress-tls-required"], 0),
        (&["crds"], 0),
        (&["check", "-f", &folder], 0),
        (&["check", "-o", "json", "-f", &folder], 0),
        (&["check", "-f", &denied], 1),
        (&["check", "-o", "json", "-f", &denied], 1),
        (&["check", "-o", "sarif", "-f", &denied], 1),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = demarc(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(code), ""), "{args:?}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = demarc(&["explain"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "what was lost in another way is an error");
}

/// Enough of an API server for a controller without `--local` to be ready: no object exists, and no watch ever says a word.
async fn api_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(api)).await });
    address
}

async fn api(request: Request) -> Response {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    // What is wrong with it stands in front of the path.
    let refused = |code: StatusCode, reason: &str| {
        let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": "not here", "code": code.as_u16()});
        (code, status.to_string()).into_response()
    };
    let known = if path.ends_with("/version") {
        json!({"major": "1", "minor": if path.starts_with("/old/") { "29+" } else { "37" }, "gitVersion": if path.starts_with("/old/") { "v1.29.9-x" } else { "v1.37.2" },
            "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
    } else if path.starts_with("/forbidden/") && path.ends_with('s') && !path.contains("selfsubject") {
        return refused(StatusCode::FORBIDDEN, "Forbidden");
    } else if path.starts_with("/bare/apis/demarc.dev/") {
        return refused(StatusCode::NOT_FOUND, "NotFound");
    } else if path.ends_with("/selfsubjectreviews") {
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "status": {"userInfo": {"username": "tester"}}})
    } else if query.contains("watch=true") {
        return Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::convert::Infallible>>()).into_response();
    } else if request.method() == Method::GET && !path.contains("/leases/") {
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": []})
    } else {
        return refused(StatusCode::NOT_FOUND, "NotFound");
    };
    known.to_string().into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_that_it_can_never_be_ready_in_ends_it_with_one_sentence() {
    let address = api_server().await;
    let cases = [
        ("old", "API server v1.29.9-x is older than 1.30", "upgrade the cluster"),
        ("forbidden", "RBAC forbids tester to list baselines.demarc.dev, ", "bind it to the chart's ClusterRole"),
        ("bare", "the API server does not serve baselines.demarc.dev, ", "install the custom resource definitions"),
    ];
    // All at once: two of them wait for what may yet come.
    let said = cases.map(|(wrong, ..)| {
        tokio::task::spawn_blocking(move || {
            let dir = tempfile::tempdir().unwrap();
            let cluster = kubeconfig(dir.path(), &format!("http://{address}/{wrong}"));
            let args = ["controller", "--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0", "--tls-secret", "x"];
            refusal(demarc(&args).env("KUBECONFIG", cluster).env("DEMARC_LOG", "off"))
        })
    });
    for (said, (_, names, advice)) in said.into_iter().zip(cases) {
        let said = said.await.unwrap();
        println!("{said}");
        assert!(said.contains(names) && said.contains(advice), "{said}");
        assert!(said.lines().count() == 1 && said.len() < 300, "{said}");
    }
}

/// Two that register themselves would take the webhook from each other. What has ended, and what else listens there by now, is taken over from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_of_a_laptop_does_not_start_while_the_first_answers() {
    let certificate = || demarc::admission::tls::self_made(&["127.0.0.1"]).unwrap();
    let (ours, key) = certificate();
    let pair = std::sync::Arc::new(demarc::admission::tls::Pair::from_pem(ours.clone(), key).unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(pair.server_config().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let first = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (what, address, certificate, refused) in
        [("the first", first, ours.clone(), true), ("a stranger where it was", first, certificate().0, false), ("nobody", closed, ours, false)]
    {
        let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "demarc"}, "webhooks": [{
            "name": "workloads.demarc.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": format!("https://{address}/workloads"), "caBundle": k8s_openapi::ByteString(certificate)}}]})
        .to_string();
        let registered = axum::routing::get(move || std::future::ready(configuration.clone()));
        let server = Router::new().route("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/demarc", registered).fallback(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, server).await });
        let said = tokio::task::spawn_blocking(move || {
            let dir = tempfile::tempdir().unwrap();
            refusal(demarc(LOCAL).env("KUBECONFIG", kubeconfig(dir.path(), &format!("http://{cluster}"))))
        });
        let said = said.await.unwrap();
        println!("{what}: {said}");
        let other = format!("another demarc controller --local serves this cluster at {address}: stop that one first");
        assert!(said.contains(if refused { &other } else { "cannot install the CRDs" }), "{what}: {said}");
    }
}

/// A running controller; it ends with this value.
struct Running {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Reads the log until it says this.
    fn until(&mut self, message: &str) -> Value {
        for line in self.log.by_ref() {
            let line = line.unwrap();
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if line["fields"]["message"].as_str().is_some_and(|m| m.starts_with(message)) {
                return line["fields"].clone();
            }
        }
        panic!("it ended before it said {message}");
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success());
    }
}

#[test]
fn a_receiver_whose_authority_nobody_knows_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = kubeconfig_with_authority(dir.path(), "http://127.0.0.1:1", &demarc::admission::tls::self_made(&["localhost"]).unwrap().0);
    let mut command = demarc(&[LOCAL, &["--otlp-endpoint", "https://ann.example:4318/secret"]].concat());
    let said = refusal(command.env("KUBECONFIG", cluster).env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere").env("DEMARC_LOG", "off"));
    println!("{said}");
    assert!(said.contains("--otlp-certificate") && !said.contains("secret") && said.lines().count() == 1 && said.len() < 300, "{said}");
}

/// Receivers of traces that are absent, wrong, or silent: reviews are answered, the log tells it once, a metric counts, and the end comes in time.
// More threads than logs that are read, for that blocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn traces_that_cannot_be_sent_cost_nothing_but_themselves() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cluster = api_server().await;
    // All at once: each takes its time to leave.
    let tried = [None, Some(Mood::Says(500)), Some(Mood::Hangs), Some(Mood::Well)].map(|mood| {
        tokio::spawn(async move {
            let receiver = mood.map(Receiver::start);
            let endpoint = receiver.as_ref().map_or_else(|| format!("http://{closed}"), Receiver::endpoint);
            let dir = tempfile::tempdir().unwrap();
            let certificate = keyed(dir.path());
            let cluster = kubeconfig_with_authority(dir.path(), &format!("http://{cluster}"), &certificate);
            let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
            let args = ["controller", "--webhook-address", "127.0.0.1:0", "--admin-address", &admin, "--tls-dir", dir.path().to_str().unwrap()];
            // By the variables that every cluster knows.
            let mut command = demarc(&args);
            command
                .env("KUBECONFIG", cluster)
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
                .env("OTEL_BSP_SCHEDULE_DELAY", "100")
                .env("OTEL_SERVICE_NAME", "guard")
                .env("SSL_CERT_FILE", "/nowhere")
                .env("SSL_CERT_DIR", "/nowhere");
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let log = BufReader::new(child.stderr.take().unwrap()).lines();
            let mut running = Running { child, log };
            let webhook: SocketAddr = running.until("ready")["webhook"].as_str().unwrap().parse().unwrap();

            let review = admitted();
            let mut kept = connect(&connector(&certificate), webhook).await.unwrap();
            let counted = async |what: &str| {
                let mut page = tokio::net::TcpStream::connect(&admin).await.unwrap();
                page.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
                let page = read(&mut page).await.unwrap().body;
                let line = page.lines().find_map(|l| l.strip_prefix(&format!("demarc_spans_total{{outcome=\"{what}\"}} ")).map(str::to_owned));
                line.unwrap().parse::<u64>().unwrap()
            };
            // Until what cannot be sent is given up, for long after the first that was.
            let what = if matches!(mood, Some(Mood::Well)) { "Sent" } else { "Lost" };
            for _ in 0..300 {
                let answer = ask(&mut kept, &review).await.unwrap();
                assert_eq!(answer.review()["response"]["uid"], "u-1", "{mood:?}");
                if counted(what).await >= 3 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(counted(what).await >= 3, "{mood:?}");
            // One that only goes out with the last.
            ask(&mut kept, &review).await.unwrap();
            let told = Instant::now();
            running.signal("TERM");
            let (code, rest) = tokio::task::spawn_blocking(move || {
                let rest = running.log.by_ref().map_while(Result::ok).collect::<Vec<_>>();
                (running.child.wait().unwrap().code(), rest)
            })
            .await
            .unwrap();
            assert_eq!(code, Some(0), "{mood:?}");
            // As long as it serves on, and the last spans.
            assert!(told.elapsed() < Duration::from_secs(30), "{mood:?}: {:?}", told.elapsed());
            let losses = rest.iter().filter(|line| line.contains("traces are lost")).count();
            println!("{mood:?}: {losses} told, left after {:?}", told.elapsed());
            assert_eq!(losses, usize::from(what == "Lost"), "{rest:#?}");
            receiver
        })
    });
    for tried in tried {
        let Some(receiver) = tried.await.unwrap() else { continue };
        let spans = receiver.spans();
        assert!(spans.is_empty() || receiver.text().contains("\"guard\"") && spans.len() > 3, "{}", receiver.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_decides_on_and_sends_callers_elsewhere_and_told_twice_it_goes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = keyed(dir.path());
    let cluster = kubeconfig(dir.path(), &format!("http://{}", api_server().await));
    // Freed again at once; the log does not tell which port 0 became.
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let args = ["controller", "--webhook-address", "127.0.0.1:0", "--admin-address", &admin, "--tls-dir", dir.path().to_str().unwrap()];
    let mut child = demarc(&args).env("KUBECONFIG", cluster).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut running = Running { child, log };
    let webhook: SocketAddr = running.until("ready")["webhook"].as_str().unwrap().parse().unwrap();

    let review = admitted();
    let mut kept = connect(&connector(&certificate), webhook).await.unwrap();
    let answer = ask(&mut kept, &review).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (200, false), "{answer:?}");

    running.signal("TERM");
    running.until("leaving");
    let answer = ask(&mut kept, &review).await.expect("the connection still holds");
    assert_eq!((answer.status, answer.closes()), (200, true), "{answer:?}");
    assert_eq!(answer.review()["response"]["uid"], "u-1", "decided: nothing is declared at this API server");
    let mut health = tokio::net::TcpStream::connect(&admin).await.unwrap();
    health.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut health).await.unwrap().status, 503);

    running.signal("INT");
    let ended = running.child.wait_timeout(Duration::from_secs(3)).unwrap();
    assert_eq!(ended.and_then(|s| s.code()), Some(130));
}
