//! The edge: HTTP over TLS, with a bound on everything a stranger can send.
//! Decisions are made in `answer`; here is what surrounds them: sizes, timeouts, the connection cap, panics and the drain.

use std::{
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    time::error::Elapsed,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{
    answer::Answer,
    assign::Assigns,
    bodies::{Bodies, Room},
    denial::Cause,
    guard::Appeal,
    house::House,
    review,
};
use crate::{
    model::proof,
    policy::{
        book::{Promise, Shared},
        tally::{Answered, Route, Tally},
    },
    traces::{Begun, Review as Span, Traces},
};

/// The API server takes objects of up to 3 MiB as JSON; a review carries the object and the old object, and an envelope below 1 MiB.
pub const MAX_BODY: usize = 7 * 1024 * 1024;
/// The large bodies at once: no more than a few of the largest, and of one peer no more than half (`house`).
const BODIES: usize = 32 * 1024 * 1024;
/// What is no larger is a usual review, of 4 to 25 KB: it takes none of that room, so whoever fills that keeps none waiting. [`MAX_CONNECTIONS`] bound
/// them, to 16 MiB.
const USUAL: usize = 64 * 1024;
/// Handshake, first headers and body each: the API server itself gives up after `timeoutSeconds: 5`.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between the requests of one connection. Go's client closes an idle one after 90 s; were this side the first to close, a request could cross
/// with the close, and a POST that may have been read is not sent again: a refusal for nothing.
const IDLE: Duration = Duration::from_secs(100);
/// An API server keeps at most 25 connections open between requests; this is room for several of them and for a burst (`house` says whose).
const MAX_CONNECTIONS: usize = 256;
/// Connections that wait for one of those, unread: a burst of one API server, and with the others below the 1,024 file descriptors that a process may have.
const MAX_WAITING: usize = 512;

/// What the routes need.
#[derive(Clone)]
pub struct Edge {
    /// The book and the records.
    pub shared: Arc<Shared>,
    /// Usernames of controllers that make children.
    pub trusted: Arc<Vec<String>>,
    /// Named in each refusal, for whoever asks which replica it was.
    pub replica: Arc<str>,
    /// Who may weaken what they do not answer for.
    pub assigns: Assigns,
    /// Where reviews are told, for whoever traces.
    pub traces: Traces,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// The webhook's routes. Tests call them without a socket.
pub fn routes(edge: Edge) -> Router {
    let door = Arc::new(Door { edge, bodies: Bodies::new(BODIES / 1024, MAX_CONNECTIONS, PATIENCE) });
    Router::new()
        .route("/workloads", post(workloads))
        .route("/declarations", post(declarations))
        .fallback(|State(door): State<Arc<Door>>| async move { part(StatusCode::NOT_FOUND.into_response(), &door.edge.shared) })
        .method_not_allowed_fallback(|State(door): State<Arc<Door>>| async move { part(StatusCode::METHOD_NOT_ALLOWED.into_response(), &door.edge.shared) })
        .with_state(door)
}

/// What the handlers share.
struct Door {
    edge: Edge,
    bodies: Arc<Bodies>,
}

/// Whose request it is; on those with a large body alone.
#[derive(Clone, Copy)]
struct Peer(IpAddr);

/// A connection that is kept alive would outlast the Service's endpoint, and a request sent while it is being closed is lost: so a replica that
/// leaves ends each connection with an answer. Whoever asks what is no review is no API server, and does not keep a slot either.
fn part(mut response: Response, shared: &Shared) -> Response {
    if shared.leaving() || response.status().is_client_error() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The page of metrics, when it can be written.
pub type Page = Arc<dyn Fn() -> Option<String> + Send + Sync>;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin routes, on a port of their own: never on the webhook's (H95).
pub fn admin_routes(shared: Arc<Shared>, page: Page) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(|State(shared): State<Arc<Shared>>| async move {
                if shared.leaving() {
                    (StatusCode::SERVICE_UNAVAILABLE, "not ready: leaving\n")
                } else if shared.ready() {
                    (StatusCode::OK, "ok\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not ready: the stores that decide are not full or not fresh, or there is no certificate yet\n")
                }
            }),
        )
        .with_state(shared)
        .route(
            "/metrics",
            get(async move || page().map_or(StatusCode::INTERNAL_SERVER_ERROR.into_response(), |page| ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response())),
        )
}

const NOT_READY: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "not ready: nothing is decided from an empty or stale book\n");

async fn workloads(State(door): State<Arc<Door>>, request: HttpRequest) -> Response {
    let Door { edge, bodies } = &*door;
    let decide = |review: &review::Request<'_>, span: Option<&mut Span>| {
        let book = edge.shared.book.load();
        if let (Some(span), Some(generation)) = (span, book.promises.get(&*review.namespace).and_then(Promise::generation)) {
            span.generation(generation);
        }
        let mut answer = super::answer::decide(review, &book, &edge.shared.objects(), &edge.trusted, &edge.shared.tally, (edge.now)());
        if !answer.causes.is_empty() {
            answer.causes.push(Cause::note(proof::REPLICA, &edge.replica));
        }
        answer
    };
    let answered = async {
        if !edge.shared.ready() {
            return Err(NOT_READY.into_response());
        }
        let trace = edge.traces.begin(request.headers());
        let body = receive(request, bodies).await?;
        let began = Instant::now();
        let (answer, span) = judge(&body.bytes, trace.map(|trace| (trace, "/workloads")), decide).map_err(|refused| *refused)?;
        Ok(reply(&answer, span, (Route::Workloads, &edge.shared.tally), began))
    };
    part(answered.await.unwrap_or_else(|refused| refused), &edge.shared)
}

async fn declarations(State(door): State<Arc<Door>>, request: HttpRequest) -> Response {
    let Door { edge, bodies } = &*door;
    let answered = async {
        if !edge.shared.ready() {
            return Err(NOT_READY.into_response());
        }
        let trace = edge.traces.begin(request.headers());
        let body = receive(request, bodies).await?;
        let began = Instant::now();
        let mut appeal = None;
        let decide = |review: &review::Request<'_>, _: Option<&mut Span>| {
            let decision = super::declarations::decide(review, &edge.shared.book.load(), (edge.now)());
            appeal = decision.appeal;
            decision.answer
        };
        let (answer, span) = judge(&body.bytes, trace.map(|trace| (trace, "/declarations")), decide).map_err(|refused| *refused)?;
        let answer = match appeal {
            Some(appeal) => heard(answer, appeal, &edge.assigns).await,
            None => answer,
        };
        Ok(reply(&answer, span, (Route::Declarations, &edge.shared.tally), began))
    };
    part(answered.await.unwrap_or_else(|refused| refused), &edge.shared)
}

/// A refusal stands unless the API server says that whoever asks may assign.
async fn heard(refusal: Answer, appeal: Appeal, assigns: &Assigns) -> Answer {
    match assigns(appeal).await {
        Ok(true) => Answer { warnings: refusal.warnings, ..Answer::allow(&refusal.uid) },
        Ok(false) => refusal,
        Err(why) => Answer { message: format!("{} (whether you hold it is not known: {why})", refusal.message), ..refusal },
    }
}

/// A body, and the room that it takes until it is answered, where it is large.
struct Received {
    bytes: Bytes,
    _room: Option<Room>,
}

/// The most that a body may have.
fn announced(body: &impl hyper::body::Body) -> usize {
    body.size_hint().upper().and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_BODY)
}

async fn receive(request: HttpRequest, bodies: &Arc<Bodies>) -> Result<Received, Response> {
    if !is_json(request.headers()) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json\n").into_response());
    }
    let announced = announced(request.body());
    if announced > MAX_BODY {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 7 MiB\n").into_response());
    }
    let room = if announced <= USUAL {
        None
    } else {
        let peer = request.extensions().get().map_or(IpAddr::from([0, 0, 0, 0]), |Peer(peer)| *peer);
        let Some(room) = bodies.enter(peer, announced.div_ceil(1024)).await else {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "too many large bodies at once\n").into_response());
        };
        Some(room)
    };
    match promptly(Limited::new(request.into_body(), MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(Received { bytes: collected.to_bytes(), _room: room }),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 7 MiB\n").into_response()),
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the body ended early\n").into_response()),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body took longer than 5 s\n").into_response()),
    }
}

/// The outcome, where it comes within [`PATIENCE`]. A usual body has come with its headers and is handed over at the second look, so a timer, which
/// costs more than the wait, is set only for one that has not.
async fn promptly<T>(wanted: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut wanted = std::pin::pin!(wanted);
    for _ in 0..2 {
        if let Poll::Ready(outcome) = futures::poll!(wanted.as_mut()) {
            return Ok(outcome);
        }
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(PATIENCE, wanted).await
}

/// The answer, and its span where there is one: not of what is no review, which strangers send.
fn judge(
    body: &[u8],
    trace: Option<(Begun<'_>, &'static str)>,
    decide: impl FnOnce(&review::Request<'_>, Option<&mut Span>) -> Answer,
) -> Result<(Answer, Option<Span>), Box<Response>> {
    let span = || trace.and_then(|(begun, path)| begun.review(path));
    match review::parse(body) {
        Ok(review) => {
            let mut span = span();
            if let Some(span) = &mut span {
                span.about(&review.namespace, &review.kind.kind, &review.operation);
            }
            let answer = std::panic::catch_unwind(AssertUnwindSafe(|| decide(&review, span.as_mut()))).unwrap_or_else(|_| {
                tracing::error!("a check panicked; the request was refused");
                Answer::deny(&review.uid, 400, "demarc failed on this object and refuses it; its log tells where")
            });
            Ok((answer, span))
        }
        Err(review::Malformed::Named { uid, reason }) => Ok((Answer::deny(&uid, 400, crate::model::text::shown(&format!("malformed review: {reason}"), 300)), span())),
        Err(error @ review::Malformed::Anonymous(_)) => Err(Box::new((StatusCode::BAD_REQUEST, crate::model::text::shown(&error.to_string(), 300)).into_response())),
    }
}

fn reply(answer: &Answer, span: Option<Span>, (route, tally): (Route, &Tally), began: Instant) -> Response {
    let bytes = answer.to_json();
    tally.reviewed(route, answered(answer), began.elapsed());
    if let Some(span) = span {
        // Causes that are no violations have words of Demarc's own.
        let violated = answer.causes.iter().map(|c| c.reason.as_str()).filter(|reason| ![proof::CAUSE, proof::REPLICA, proof::GENERATION].contains(reason));
        span.answered(answered(answer).as_str(), answer.code, violated, answer.warnings.len());
    }
    ([(header::CONTENT_TYPE, "application/json")], Body::from(bytes)).into_response()
}

fn answered(answer: &Answer) -> Answered {
    match (answer.allowed, answer.code) {
        (true, _) if answer.warnings.is_empty() => Answered::Allowed,
        (true, _) => Answered::Warned,
        (false, _) if answer.causes.first().is_some_and(|c| c.reason == proof::CAUSE) => Answered::Probe,
        (false, 409) => Answered::Retry,
        (false, 400) => Answered::Malformed,
        (false, _) => Answered::Denied,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|v| v.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json")))
}

/// Serves until `shutdown` ends, then finishes what is in flight, for at most `drain`.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, routes: Router, shutdown: impl Future<Output = ()>, drain: Duration) -> std::io::Result<()> {
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 * 1024);
    let http = Arc::new(http);
    let graceful = GracefulShutdown::new();
    let mut house = House::new(MAX_CONNECTIONS, MAX_WAITING, PATIENCE);
    let (leave, mut left) = mpsc::unbounded_channel();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // All under the same select: a full house must hear the shutdown as well.
        tokio::select! {
            () = &mut shutdown => break,
            Some(peer) = left.recv() => house.leave(peer, 1),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => house.arrive(peer.ip().to_canonical(), 1, stream, Instant::now()),
                Err(error) => {
                    // Out of file descriptors, or the peer is gone already: neither ends the server.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
        while let Some((peer, _, stream)) = house.next(Instant::now()) {
            let slot = Slot { peer, leave: leave.clone() };
            tokio::spawn(attend(stream, slot, tls.clone(), http.clone(), routes.clone(), graceful.watcher()));
        }
    }
    drop((listener, house));
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not finish within the drain");
    }
    Ok(())
}

/// The slot of one connection, given back however that ends.
struct Slot {
    peer: IpAddr,
    leave: mpsc::UnboundedSender<IpAddr>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // After the shutdown nobody counts.
        let _ = self.leave.send(self.peer);
    }
}

/// One connection, to its end.
async fn attend(stream: TcpStream, slot: Slot, tls: TlsAcceptor, http: Arc<auto::Builder<TokioExecutor>>, routes: Router, watcher: Watcher) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, tls.accept(stream)).await else { return };
    let asked = Arc::new(Notify::new());
    let seen = asked.clone();
    let peer = Peer(slot.peer);
    let service = routes.map_request(move |mut request: hyper::Request<Incoming>| {
        seen.notify_one();
        if announced(request.body()) > USUAL {
            request.extensions_mut().insert(peer);
        }
        request
    });
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    let mut connection = std::pin::pin!(watcher.watch(connection));
    tokio::select! {
        _ = &mut connection => return,
        () = asked.notified() => {}
        // Connected, and no request: a stranger.
        () = tokio::time::sleep(PATIENCE) => return,
    }
    let _ = connection.await;
}

/// Serves the admin routes until `shutdown` ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve_admin(listener: TcpListener, shared: Arc<Shared>, page: Page, shutdown: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    axum::serve(listener, admin_routes(shared, page)).with_graceful_shutdown(shutdown).await
}
