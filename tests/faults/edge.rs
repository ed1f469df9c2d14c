//! Strangers at the TLS port: the real server on loopback, and clients that lie, dawdle, talk nonsense or hang up.
//! Each test is one thing that must not hurt anybody else.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use demarc::{
    admission::{
        server::{Edge, MAX_BODY, routes, serve, serve_admin},
        tls::{Pair, self_made},
    },
    api::Declaration,
    controller::{index::Index, index::Source, watch::Change},
};
use futures::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::tls::{Answer, LONG, Tls, ask, connect, connect_from, connector, read, request, rest, send};

const JSON: &str = "application/json";
const DRAIN: Duration = Duration::from_secs(6);

struct Server {
    address: SocketAddr,
    connector: TlsConnector,
    index: Index,
    stop: watch::Sender<bool>,
    served: JoinHandle<std::io::Result<()>>,
}

fn now() -> jiff::Timestamp {
    "2026-04-01T00:00:00Z".parse().unwrap()
}

impl Server {
    async fn start() -> Self {
        Self::start_with(now, DRAIN).await
    }

    async fn start_with(now: fn() -> jiff::Timestamp, drain: Duration) -> Self {
        let index = Index::default();
        for (source, object) in [
            (Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "n"}})),
            (
                Source::Declared(Declaration::Ownership),
                json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop", "uid": "o"}, "spec": {"serviceModel": "PaaS"}}),
            ),
        ] {
            index.take(source, &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
        }
        index.settle();
        index.shared.set_ready(true);
        let (certificate, key) = self_made(&["localhost"]).unwrap();
        let pair = Arc::new(Pair::from_pem(certificate.clone(), key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let edge = Edge {
            shared: index.shared.clone(),
            trusted: Arc::default(),
            replica: "one".into(),
            assigns: demarc::admission::assign::nobody(),
            traces: demarc::traces::Traces::default(),
            now,
        };
        let acceptor = TlsAcceptor::from(Arc::new(pair.server_config().unwrap()));
        let served = tokio::spawn(async move { serve(listener, acceptor, routes(edge), async move { drop(stopped.wait_for(|s| *s).await) }, drain).await });
        Self { address, connector: connector(&certificate), index, stop, served }
    }

    async fn connect(&self) -> Tls {
        timeout(LONG, connect(&self.connector, self.address)).await.expect("no handshake").unwrap()
    }

    /// As another peer; an error where it is turned away or closed.
    async fn connect_from(&self, peer: [u8; 4]) -> std::io::Result<Tls> {
        timeout(LONG, connect_from(peer, &self.connector, self.address)).await.expect("neither a handshake nor an end")
    }

    async fn ask(&self, request: &str) -> Answer {
        ask(&mut self.connect().await, request).await.expect("closed without an answer")
    }

    /// A review that is well, and admitted.
    async fn serves(&self) {
        let answer = self.ask(&good()).await;
        assert_eq!((answer.status, &answer.review()["response"]["allowed"]), (200, &json!(true)), "{answer:?}");
    }

    async fn stops_within(self, limit: Duration) {
        self.stop.send_replace(true);
        timeout(limit, self.served).await.expect("the server does not stop").unwrap().unwrap();
        assert!(TcpStream::connect(self.address).await.is_err(), "it still listens");
    }
}

fn review() -> String {
    std::fs::read_to_string("tests/data/admission/a compliant deployment is admitted/request.json").unwrap()
}

fn good() -> String {
    request("POST", "/workloads", JSON, &review())
}

fn head(framing: &str) -> String {
    format!("POST /workloads HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\n{framing}\r\n\r\n")
}

/// About the server's patience of 5 s: it waited, and not for long.
fn about_five_seconds(start: Instant) {
    assert!((Duration::from_secs(4)..LONG).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_body_one_byte_over_the_limit_is_413() {
    let server = Server::start().await;
    let (mut reading, mut writing) = tokio::io::split(server.connect().await);
    let sent = tokio::spawn(async move {
        send(&mut writing, head(&format!("content-length: {}", MAX_BODY + 1)).as_bytes()).await?;
        send(&mut writing, &vec![b' '; MAX_BODY + 1]).await
    });
    assert_eq!(read(&mut reading).await.unwrap().status, 413);
    let _ = sent.await.unwrap();
    server.serves().await;
}

#[tokio::test]
async fn an_endless_chunked_body_is_413_and_no_more_of_it_is_read() {
    let server = Server::start().await;
    let (mut reading, mut writing) = tokio::io::split(server.connect().await);
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let sent = tokio::spawn(async move {
        send(&mut writing, head("transfer-encoding: chunked").as_bytes()).await.unwrap();
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        while send(&mut writing, chunk.as_bytes()).await.is_ok() {
            counter.fetch_add(0x10000, Ordering::Relaxed);
        }
    });
    assert_eq!(read(&mut reading).await.unwrap().status, 413);
    timeout(LONG, sent).await.expect("the server reads on").unwrap();
    // What is beyond the limit waits in the kernel's buffers of both ends.
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < MAX_BODY + 16 * 1024 * 1024, "{taken} bytes were taken");
}

#[tokio::test]
async fn a_truncated_body_is_400() {
    let server = Server::start().await;
    let (whole, mut stream) = (review(), server.connect().await);
    stream.write_all(format!("{}{whole}", head(&format!("content-length: {}", whole.len() + 1))).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap().status, 400);
}

#[tokio::test]
async fn a_content_length_that_lies_is_400_and_the_rest_is_no_second_verdict() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let answer = ask(&mut stream, &format!("{}{}", head("content-length: 10"), review())).await.unwrap();
    assert_eq!(answer.status, 400);
    let rest = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
    assert!(!rest.contains("allowed"), "{rest}");
}

#[tokio::test]
async fn a_request_with_two_framings_is_no_verdict() {
    let server = Server::start().await;
    for framing in ["content-length: 5\r\ncontent-length: 6", "content-length: x", "transfer-encoding: nonsense"] {
        let answer = server.ask(&format!("{}{}", head(framing), review())).await;
        assert_eq!(answer.status, 400, "{framing}");
    }
}

#[tokio::test]
async fn a_body_of_one_byte_a_second_is_408_in_five_seconds() {
    let server = Server::start().await;
    let (mut reading, mut writing) = tokio::io::split(server.connect().await);
    let start = Instant::now();
    let sent = tokio::spawn(async move {
        send(&mut writing, head("content-length: 1000").as_bytes()).await.unwrap();
        while send(&mut writing, b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(read(&mut reading).await.unwrap().status, 408);
    about_five_seconds(start);
    rest(&mut reading).await;
    sent.abort();
}

#[tokio::test]
async fn a_handshake_that_never_goes_on_is_dropped_in_five_seconds_while_others_are_served() {
    let server = Server::start().await;
    let start = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut halfway = TcpStream::connect(server.address).await.unwrap();
    // The record says that 512 bytes of a ClientHello follow.
    halfway.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await.unwrap();
    server.serves().await;
    assert!(start.elapsed() < Duration::from_secs(4), "others waited");
    tokio::join!(rest(&mut silent), rest(&mut halfway));
    about_five_seconds(start);
}

#[tokio::test]
async fn headers_that_never_end_are_dropped_in_five_seconds() {
    let server = Server::start().await;
    let (mut reading, mut writing) = tokio::io::split(server.connect().await);
    let start = Instant::now();
    let sent = tokio::spawn(async move {
        send(&mut writing, b"POST /workloads HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        while send(&mut writing, b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let rest = rest(&mut reading).await;
    about_five_seconds(start);
    sent.abort();
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_connection_that_has_asked_once_may_rest_for_longer_than_that() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let whole = format!("{}{}", head(&format!("content-length: {}", review().len())), review());
    for pause in [Duration::ZERO, Duration::from_secs(7)] {
        tokio::time::sleep(pause).await;
        assert_eq!(ask(&mut stream, &whole).await.unwrap().status, 200, "after {pause:?}");
    }
}

#[tokio::test]
async fn headers_without_bound_are_431() {
    let server = Server::start().await;
    let (mut reading, mut writing) = tokio::io::split(server.connect().await);
    let sent = tokio::spawn(async move {
        let line = format!("x: {}\r\n", "y".repeat(8000));
        let _ = send(&mut writing, b"POST /workloads HTTP/1.1\r\nhost: localhost\r\n").await;
        while send(&mut writing, line.as_bytes()).await.is_ok() {}
    });
    assert_eq!(read(&mut reading).await.unwrap().status, 431);
    timeout(LONG, sent).await.expect("the server reads on").unwrap();
}

#[tokio::test]
async fn junk_and_plain_http_at_the_tls_port_harm_nobody() {
    let server = Server::start().await;
    let junk: Vec<u8> = (0..4096_u32).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();
    for bytes in [&junk[..], good().as_bytes(), b"\0", b"SSH-2.0-x\r\n", &[0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        send(&mut stream, bytes).await.unwrap();
        let _ = stream.shutdown().await;
        let said = rest(&mut stream).await;
        assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));
        server.serves().await;
    }
}

/// Sends a ClientHello of this version, which has what the server needs from a client of TLS 1.2, and gives what comes back.
async fn hello(server: &Server, version: u8) -> Vec<u8> {
    let mut hello = vec![3, version];
    hello.extend([7; 32]);
    // No session, one cipher suite, no compression; the curve x25519 and signatures of ECDSA by P-256.
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 18, 0, 10, 0, 4, 0, 2, 0, 0x1d, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.append(&mut hello);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    // In fragments of one byte, as nobody sensible would.
    for byte in record {
        send(&mut stream, &[byte]).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    rest(&mut stream).await
}

#[tokio::test]
async fn tls_1_1_is_refused_for_its_version_and_tls_1_2_is_not_even_byte_by_byte() {
    let server = Server::start().await;
    let said = hello(&server, 2).await;
    assert_eq!((said.first(), said.get(5..7)), (Some(&0x15), Some(&[2, 70][..])), "a fatal alert, protocol_version: {said:?}");
    assert_eq!(hello(&server, 3).await.first(), Some(&0x16), "the handshake goes on");
}

#[tokio::test]
async fn only_a_post_to_the_very_path_is_a_review() {
    let server = Server::start().await;
    let body = review();
    for (method, path, status) in [
        ("GET", "/workloads", 405),
        ("PUT", "/workloads", 405),
        ("DELETE", "/workloads", 405),
        ("POST", "//workloads", 404),
        ("POST", "/workloads/", 404),
        ("POST", "/workloads/..", 404),
        ("POST", "/x/../workloads", 404),
        ("POST", "/workloads%2f", 404),
        ("POST", "/%77orkloads", 404),
        ("POST", "/Workloads", 404),
        ("POST", "/", 404),
        ("GET", "/metrics", 404),
        ("GET", "/readyz", 404),
        ("GET", "/debug/pprof/", 404),
    ] {
        let answer = server.ask(&request(method, path, JSON, &body)).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.body.contains("allowed"), "{method} {path}: {answer:?}");
        assert!(!answer.head.contains("location:"), "{method} {path}: {answer:?}");
    }
    for content_type in ["text/plain", "application/json2", "application/x-www-form-urlencoded", ""] {
        assert_eq!(server.ask(&request("POST", "/workloads", content_type, &body)).await.status, 415, "{content_type}");
    }
}

#[tokio::test]
async fn a_review_is_not_decided_while_not_ready() {
    let server = Server::start().await;
    server.index.shared.set_ready(false);
    let answer = server.ask(&good()).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("allowed"), "{answer:?}");
    server.index.shared.set_ready(true);
    server.serves().await;
}

#[tokio::test]
async fn a_panic_while_deciding_is_an_answered_refusal_with_the_uid() {
    // The clock is read while deciding, so one that panics panics there.
    let server = Server::start_with(|| panic!("on purpose"), DRAIN).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        let answer = ask(&mut stream, &good()).await.expect("the same connection goes on");
        assert_eq!(answer.status, 200);
        let response = answer.review()["response"].clone();
        assert_eq!((&response["uid"], &response["allowed"], &response["status"]["code"]), (&json!("u-1"), &json!(false), &json!(400)));
        assert!(!answer.body.contains("on purpose"), "what a panic says stays in the log: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identical_review_a_thousand_times_at_once_has_the_identical_answer() {
    let server = Server::start().await;
    let refused = request("POST", "/workloads", JSON, &review().replace("\"image\": \"", "\"image\": \"nowhere.example/"));
    for one in [good(), refused] {
        let first = server.ask(&one).await;
        let answers = join_all((0..50).map(|_| async {
            let mut stream = server.connect().await;
            let mut bodies = Vec::new();
            for _ in 0..20 {
                bodies.push(ask(&mut stream, &one).await.unwrap().body);
            }
            bodies
        }));
        let answers: Vec<String> = answers.await.into_iter().flatten().collect();
        assert_eq!(answers.len(), 1000);
        assert!(answers.iter().all(|a| *a == first.body), "{}", first.body);
    }
}

/// As the server has it.
const SLOTS: usize = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_house_keeps_others_waiting_answers_on_the_admin_port_and_hears_the_shutdown() {
    let server = Server::start().await;
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin_address = admin.local_addr().unwrap();
    tokio::spawn(serve_admin(admin, server.index.shared.clone(), Arc::new(|| None), std::future::pending()));
    // Nobody fills it alone: so many peers of one connection each.
    let peers = (0..SLOTS).map(|n| [127, 0, 1 + u8::try_from(n / 128).unwrap(), u8::try_from(n % 128).unwrap() + 1]);
    let mut idle: Vec<Tls> = join_all(peers.map(|peer| server.connect_from(peer))).await.into_iter().map(Result::unwrap).collect();
    let mut late = Box::pin(server.connect());
    assert!(timeout(Duration::from_millis(500), &mut late).await.is_err(), "one more than the cap");
    let mut health = TcpStream::connect(admin_address).await.unwrap();
    health.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut health).await.unwrap().status, 200);
    idle.pop();
    let mut late = late.await;
    assert_eq!(ask(&mut late, &good()).await.unwrap().status, 200, "room again");
    // Full as before: the server waits for room, and must hear the shutdown all the same.
    server.stops_within(Duration::from_secs(3)).await;
}

/// So many connections of this peer at once, each of which asks once and is kept; those that are still waiting after a moment are given up.
async fn hog(server: &Server, peer: [u8; 4], n: usize) -> Vec<Tls> {
    let one = async || {
        let mut stream = server.connect_from(peer).await.ok()?;
        ask(&mut stream, &good()).await.map(|_| stream)
    };
    join_all((0..n).map(|_| async { timeout(Duration::from_secs(3), one()).await.ok().flatten() })).await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_all_the_connections_it_can_get_keeps_out_itself_and_nobody_else() {
    let server = Server::start().await;
    let mut held = hog(&server, [127, 0, 0, 2], SLOTS + 20).await;
    assert_eq!(held.len(), SLOTS / 2, "each of which was answered, and is kept");
    let began = Instant::now();
    server.serves().await;
    assert!(began.elapsed() < Duration::from_secs(2), "another peer waited {:?}", began.elapsed());
    // What came beyond it waits, and comes in when one of its own goes.
    let (slots, mut waiting) = (held.len(), Box::pin(server.connect_from([127, 0, 0, 2])));
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "one more than its part");
    held.truncate(slots - 1);
    assert_eq!(ask(&mut waiting.await.unwrap(), &good()).await.unwrap().status, 200);
    // Several of the kind leave as much as each of them has.
    drop(held);
    let mut all = Vec::new();
    for peer in 2..8 {
        all.push(hog(&server, [127, 0, 0, peer], SLOTS).await);
    }
    let began = Instant::now();
    server.serves().await;
    assert!(began.elapsed() < Duration::from_secs(2), "another peer waited {:?}", began.elapsed());
    assert!(all.iter().map(Vec::len).sum::<usize>() < SLOTS);
}

#[tokio::test]
async fn a_peer_whose_large_bodies_never_come_keeps_no_other_waiting() {
    let server = Server::start().await;
    let mut announced = Vec::new();
    for _ in 0..20 {
        let mut stream = server.connect_from([127, 0, 0, 2]).await.unwrap();
        send(&mut stream, head(&format!("content-length: {MAX_BODY}")).as_bytes()).await.unwrap();
        announced.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    server.serves().await;
    // The same review, and enough of nothing behind it.
    for kib in [100, 1_000, 6_000] {
        let large = format!("{}{}", review(), " ".repeat(kib * 1024));
        let answer = server.ask(&request("POST", "/workloads", JSON, &large)).await;
        assert_eq!((answer.status, &answer.review()["response"]["allowed"]), (200, &json!(true)), "{kib} KiB");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "it waited {:?}", began.elapsed());
    assert_eq!(read(&mut announced[0]).await.unwrap().status, 408, "let in, and it never came");
    let beyond = read(announced.last_mut().unwrap()).await.unwrap();
    assert_eq!((beyond.status, beyond.closes()), (503, false), "it waited for room");
}

/// Sends the head and half of a body, and waits until the server asks for the body: from then on the request is in flight.
async fn in_flight(server: &Server, body: &str) -> Tls {
    let mut stream = server.connect().await;
    send(&mut stream, head(&format!("content-length: {}\r\nexpect: 100-continue", body.len())).as_bytes()).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap().status, 100);
    send(&mut stream, &body.as_bytes()[..body.len() / 2]).await.unwrap();
    stream
}

#[tokio::test]
async fn a_request_in_flight_at_the_shutdown_is_answered_and_its_connection_closed_in_order() {
    let server = Server::start().await;
    let body = review();
    let mut stream = in_flight(&server, &body).await;
    server.stop.send_replace(true);
    // The listener closes first; then the drain has begun.
    timeout(LONG, async { while TcpStream::connect(server.address).await.is_ok() {} }).await.expect("it still listens");
    assert!(!server.served.is_finished(), "it waits for the request");
    send(&mut stream, &body.as_bytes()[body.len() / 2..]).await.unwrap();
    let answer = read(&mut stream).await.expect("an answer");
    assert_eq!((answer.status, &answer.review()["response"]["allowed"], answer.closes()), (200, &json!(true), true));
    // `UnexpectedEof` here would be a connection without the closing word of TLS.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    server.stops_within(DRAIN).await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_shutdown_longer_than_the_drain() {
    let server = Server::start_with(now, Duration::from_millis(500)).await;
    let _stream = in_flight(&server, &review()).await;
    server.stops_within(Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_a_replica_leaves_under_load() {
    let server = Arc::new(Server::start().await);
    let begun = Arc::new(AtomicUsize::new(0));
    let clients: Vec<JoinHandle<usize>> = (0..8)
        .map(|_| {
            let (server, begun) = (server.clone(), begun.clone());
            tokio::spawn(async move {
                let mut stream = server.connect().await;
                for asked in 1.. {
                    let answer = ask(&mut stream, &good()).await.expect("a request failed");
                    assert_eq!((answer.status, &answer.review()["response"]["allowed"]), (200, &json!(true)));
                    if answer.closes() {
                        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "closed in order");
                        return asked;
                    }
                    begun.fetch_add(usize::from(asked == 20), Ordering::Relaxed);
                }
                unreachable!()
            })
        })
        .collect();
    timeout(LONG, async {
        while begun.load(Ordering::Relaxed) < 8 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("no load");
    server.index.shared.leave();
    for client in clients {
        assert!(timeout(LONG, client).await.expect("a client was never asked to go elsewhere").unwrap() > 20);
    }
    // It still decides for those who have not gone yet.
    server.serves().await;
    Arc::into_inner(server).unwrap().stops_within(DRAIN).await;
}
