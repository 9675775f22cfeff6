//! The only public route: `POST` a click, get 202 when it is committed and fsynced.
//!
//! HTTP clients can read nothing and write nothing else. If the operator sets a path for health checks, a `GET` of it says
//! whether a click could be stored. A refusal says what the client should change and never repeats
//! what it sent. Logs and counts hold no personal data.

mod answer;
mod body;
mod clients;
mod connection;
mod counts;
mod listen;
mod origin;
mod rate;
mod slots;

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, Version,
    body::{Body, Bytes, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    http::uri::Authority,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    task,
    time::{self, Instant},
};

use crate::storage::{ClickQueue, NotStored, WriterCounts};
use answer::{Answer, Preflights, Reply};
use clients::Peer;
use connection::{InRequest, Phase, TimedStream};
use counts::Counts;
use rate::Limiter;
use slots::Slots;

pub(crate) use clients::{TrustedProxies, TrustedProxy};
pub(crate) use listen::{Address, Listener, SocketMode};
pub(crate) use origin::{Origin, Origins};
pub(crate) use rate::RateLimit;

/// For tests/fuzz: parses a body into a click.
///
/// # Errors
/// The body of the 422 that refuses it, as JSON.
#[cfg(fuzzing)]
pub fn parse_body(bytes: &[u8]) -> Result<crate::click::PostedClick, Bytes> {
    body::parse(bytes).map_err(|refusal| refusal.to_json())
}

/// The largest accepted body, in bytes; beyond it 413. The largest valid click is about 10 KB of UTF-8, or 30 KB if every
/// character is escaped.
pub(crate) const BODY_BYTES_MAX: usize = 32 * 1024;
/// How many pieces, such as chunks, a body may arrive in; beyond it 413. Each costs the processor as much as a kilobyte, and
/// 32 KiB in pieces of one byte would take 11 ms.
pub(crate) const BODY_PIECES_MAX: usize = 1024;
/// How long a body may take from the end of its headers, far more than 32 KiB need; beyond it the answer is 408.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest accepted request head, in bytes: the target, and the names and values of the header fields; beyond it
/// 431.
pub(crate) const HEADER_BYTES_MAX: usize = 16 * 1024;
/// How long a request's head may take from its first byte; beyond it the connection is closed. If a head begins before
/// the previous request is answered, [`IDLE_TIMEOUT`] is its limit instead.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request. Longer than the 60 s that nginx keeps an upstream
/// connection, so that the proxy closes first and never posts into a closing connection.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client may read nothing of its answer; beyond it the connection is closed.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many connections are served at a time; fewer if the process may not open that many files. Beyond it, [`Slots`]
/// evicts some, but never one that waits for its answer. Each takes 12 to 17 KB while it sends nothing or a head, and up
/// to about 75 KB while it sends a body, so about 300 MB in all.
pub(crate) const CONNECTIONS_MAX: usize = 4096;
/// How long a client should wait after a 503, in seconds.
pub(crate) const RETRY_AFTER_SECS: u32 = 2;

/// How much hyper buffers for each connection, in bytes. A head that does not fit, or has more than 100 header fields, is
/// answered by hyper itself: 431 without a body.
const BUFFER_BYTES_MAX: usize = 2 * HEADER_BYTES_MAX;
/// How long to wait before accepting again after the system refused a connection, for example because the process has
/// no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How often the counts are logged and idle clients are removed from the rate limiter.
const MINUTE: Duration = Duration::from_mins(1);

/// The configuration of the capture server.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The paths that accept clicks, each beginning with `/`.
    pub(crate) paths: Vec<String>,
    /// The path that says whether a click could be stored, if any; not one of `paths`.
    pub(crate) health_path: Option<String>,
    /// The origins of pages that may post.
    pub(crate) origins: Origins,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: TrustedProxies,
    /// How many requests each client may send.
    pub(crate) rate_limit: RateLimit,
    /// How many connections are served at a time, at most [`CONNECTIONS_MAX`].
    pub(crate) connections_max: usize,
    /// How long requests in flight may take after the shutdown begins.
    pub(crate) drain_timeout: Duration,
}

/// The state that all requests share.
struct Server {
    settings: Settings,
    limiter: Limiter,
    clicks: ClickQueue,
    counts: Counts,
}

/// Serves `listener` until `shutdown` completes or the writer ends, then shuts down gracefully: stops accepting, and
/// lets requests in flight finish within [`Settings::drain_timeout`]. Connections that are still open after that are
/// closed. The last of them drops `clicks`, which lets the writer end.
pub(crate) async fn serve(
    listener: Listener,
    settings: Settings,
    clicks: ClickQueue,
    writer: &WriterCounts,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Slots::new(settings.connections_max);
    // Lets each connection finish its current request.
    let graceful = GracefulShutdown::new();
    let server = Arc::new(Server {
        limiter: settings.rate_limit.into(),
        settings,
        clicks,
        counts: Counts::default(),
    });
    {
        let mut shutdown = pin!(shutdown);
        let mut minutes = pin!(each_minute(&server, writer));
        let mut accepting = pin!(accept(&listener, &server, &slots, &graceful));
        tokio::select! {
            () = &mut shutdown => {}
            () = &mut minutes => {}
            () = &mut accepting => {}
            () = server.clicks.closed() => {}
        }
    }
    drop(listener);
    let finished = graceful.shutdown();
    if time::timeout(server.settings.drain_timeout, finished)
        .await
        .is_err()
    {
        tracing::warn!("closing connections whose clients are still sending");
    }
    slots.close_all();
    server.counts.log(writer);
}

/// Makes hyper read the clock for the Date of this thread's answers. It panics if its first reading is before 1970, but not
/// if a later one is.
pub(crate) async fn read_clock() {
    let service =
        service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let no_requests = TokioIo::new(tokio::io::empty());
    let _ = http1::Builder::new()
        .serve_connection(no_requests, service)
        .await;
}

/// Accepts connections until it is dropped.
async fn accept(
    listener: &Listener,
    server: &Arc<Server>,
    slots: &Slots,
    graceful: &GracefulShutdown,
) {
    let mut logged_at: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let phase = Phase::new();
                let client = server.settings.trusted_proxies.peer_client(peer);
                let serving = connect(stream, phase.clone(), peer, Arc::clone(server), graceful);
                slots.serve(client, phase, &server.counts, serving).await;
                // Without this, thousands of connections are accepted, and the first of them evicted, before any is read.
                task::yield_now().await;
            }
            // The client went away while it waited to be accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if logged_at.is_none_or(|at| at.elapsed() > MINUTE) {
                    tracing::error!(%error, "can't accept a connection, trying again");
                    logged_at = Some(Instant::now());
                }
                time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn connect(
    stream: Box<dyn listen::Stream>,
    phase: Phase,
    peer: Peer,
    server: Arc<Server>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = hyper::Result<()>> + use<> {
    let stream = TimedStream::new(stream, phase.clone());
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        let in_request = phase.begin_request();
        async move {
            let response = server.answer(request, peer, &in_request).await;
            drop(in_request);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        // A client that has sent everything and closed its side still waits for the answer.
        .half_close(true)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    graceful.watch(connection)
}

async fn each_minute(server: &Server, writer: &WriterCounts) {
    loop {
        time::sleep(MINUTE).await;
        server.counts.log(writer);
        server.limiter.forget_idle();
    }
}

impl Server {
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        in_request: &InRequest,
    ) -> Response<Full<Bytes>> {
        let origin = request.headers().get(header::ORIGIN).cloned();
        let Reply { answer, closes } = match self.admit(&request, peer) {
            Ok(Admitted::Preflight) => Answer::Preflight.into(),
            Ok(Admitted::Post) => self.capture(request.into_body(), in_request).await,
            Ok(Admitted::Probe) => {
                let health = if self.clicks.can_store().await {
                    Answer::Healthy
                } else {
                    Answer::Unhealthy
                };
                refuse(health, request.into_body(), 2 * BODY_BYTES_MAX).await
            }
            // A client that waits for "100 Continue" has not sent its body yet. Whether it will do so after this answer
            // is unknown, so the connection is closed.
            Err(refusal) if request.headers().contains_key(header::EXPECT) => refusal.and_close(),
            // Without a known coding the end of the body is unknown, too.
            Err(Answer::UnknownCoding) => Answer::UnknownCoding.and_close(),
            Err(refusal) => refuse(refusal, request.into_body(), 2 * BODY_BYTES_MAX).await,
        };
        self.counts.count(&answer);
        let origins = &self.settings.origins;
        let mut response = answer.to_response(origins.preflights());
        let headers = response.headers_mut();
        if !answer.is_about_health() {
            origins.add_cors_headers(origin.as_ref(), headers);
        }
        if matches!(answer, Answer::Preflight) {
            origin::add_preflight_headers(headers);
        }
        if closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Admits or refuses a request by its head alone.
    fn admit(&self, request: &Request<Incoming>, peer: Peer) -> Result<Admitted, Answer> {
        let settings = &self.settings;
        let headers = request.headers();
        let path = request.uri().path();
        let is_probe = settings.health_path.as_deref() == Some(path)
            && [Method::GET, Method::HEAD].contains(request.method());
        if settings.rate_limit.is_on() && !is_probe {
            settings.trusted_proxies.warn_of_untrusted(peer, headers);
        }
        // A load balancer must not be refused for its probes.
        if !is_probe && let Some(client) = settings.trusted_proxies.client(peer, headers) {
            self.limiter
                .count(client)
                .map_err(|retry_after_secs| Answer::TooManyRequests { retry_after_secs })?;
        }
        if head_bytes(request) > HEADER_BYTES_MAX {
            return Err(Answer::HeadersTooLarge);
        }
        if !has_valid_host(request) {
            return Err(Answer::InvalidHost);
        }
        if !has_known_coding(headers) {
            return Err(Answer::UnknownCoding);
        }
        if is_probe {
            return Ok(Admitted::Probe);
        }
        if !settings.paths.iter().any(|clicks| clicks == path) {
            return Err(Answer::NotFound);
        }
        let admitted = match *request.method() {
            Method::POST => Admitted::Post,
            Method::OPTIONS if settings.origins.preflights() == Preflights::Answered => {
                Admitted::Preflight
            }
            _ => return Err(Answer::MethodNotAllowed),
        };
        if !settings.origins.allow(headers.get(header::ORIGIN)) {
            return Err(Answer::OriginNotAllowed);
        }
        if admitted == Admitted::Post {
            if !is_json_or_text(headers) {
                return Err(Answer::WrongContentType);
            }
            // Refused by its Content-Length: a client that waits for "100 Continue" need not send it.
            if request.body().size_hint().lower() > BODY_BYTES_MAX as u64 {
                return Err(Answer::BodyTooLarge);
            }
        }
        Ok(admitted)
    }

    async fn capture(&self, mut body: Incoming, in_request: &InRequest) -> Reply {
        let bytes = match read(&mut body).await {
            Ok(bytes) => bytes,
            Err(refusal @ Answer::BodyTooLarge) => {
                return refuse(refusal, body, BODY_BYTES_MAX).await;
            }
            Err(refusal) => return refusal.and_close(),
        };
        let posted = match body::parse(&bytes) {
            Ok(posted) => posted,
            Err(refusal) => return Answer::Invalid(refusal).into(),
        };
        in_request.click_received();
        let answer = match self.clicks.store(posted).await {
            Ok(()) => Answer::Accepted,
            Err(NotStored::Refused) => Answer::Invalid(body::Refusal::database()),
            Err(NotStored::QueueFull) => Answer::Overloaded,
            Err(NotStored::Unavailable) => Answer::Unavailable,
        };
        answer.into()
    }
}

/// A request whose head is valid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admitted {
    Post,
    Preflight,
    /// Of the daemon's health.
    Probe,
}

/// Reads a body of at most [`BODY_BYTES_MAX`].
async fn read(body: &mut Incoming) -> Result<Bytes, Answer> {
    let mut first = Bytes::new();
    let mut all = Vec::new();
    // Nearly every body arrives in one piece, which is not copied. Many small ones are: each would keep its own read buffer
    // alive.
    let keep = |data: Bytes| {
        if first.is_empty() {
            first = data;
            return;
        }
        if all.is_empty() {
            all.reserve(BODY_BYTES_MAX);
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    };
    read_pieces(body, BODY_BYTES_MAX, keep).await?;
    Ok(if all.is_empty() { first } else { all.into() })
}

/// Drops the rest of a body of at most `bytes_max`, so that the client reads the refusal and the connection can be reused.
async fn refuse(refusal: Answer, mut body: Incoming, bytes_max: usize) -> Reply {
    match read_pieces(&mut body, bytes_max, drop).await {
        Ok(()) => refusal.into(),
        Err(_) => refusal.and_close(),
    }
}

/// Reads a body to its end: at most `bytes_max` in [`BODY_PIECES_MAX`], for at most [`BODY_TIMEOUT`].
async fn read_pieces(
    body: &mut Incoming,
    bytes_max: usize,
    mut each: impl FnMut(Bytes),
) -> Result<(), Answer> {
    let mut left = bytes_max;
    let reading = async {
        // And its end.
        for _ in 0..=BODY_PIECES_MAX {
            let Some(frame) = body.frame().await else {
                return Ok(());
            };
            let frame = frame.map_err(|_| Answer::BrokenBody)?;
            // Trailers have none.
            let data = frame.into_data().unwrap_or_default();
            left = left.checked_sub(data.len()).ok_or(Answer::BodyTooLarge)?;
            each(data);
        }
        Err(Answer::BodyTooLarge)
    };
    time::timeout(BODY_TIMEOUT, reading)
        .await
        .unwrap_or(Err(Answer::BodyTooSlow))
}

fn head_bytes(request: &Request<Incoming>) -> usize {
    let target = request.uri();
    let target_bytes = target.path().len() + target.query().map_or(0, str::len);
    let fields = request.headers().iter();
    target_bytes
        + fields
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>()
}

/// Whether the Host header is valid by [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-3.2), which demands 400
/// if it is not: exactly one in HTTP/1.1, at most one in 1.0; empty, or a host with or without a port. Any host is
/// accepted.
fn has_valid_host(request: &Request<Incoming>) -> bool {
    match only_value(request.headers(), &header::HOST) {
        Ok(None) => request.version() < Version::HTTP_11,
        Ok(Some(host)) => {
            let bytes = host.as_bytes();
            bytes.is_empty()
                || Authority::try_from(bytes).is_ok_and(|host| !host.as_str().contains('@'))
        }
        Err(Several) => false,
    }
}

/// Whether the only transfer coding, if any, is `chunked`. hyper looks at the last coding only; with others before it, a
/// proxy could see other requests than the daemon does.
/// [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-6.1) asks for 501.
fn has_known_coding(headers: &HeaderMap) -> bool {
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    only_value(headers, &header::TRANSFER_ENCODING)
        .is_ok_and(|coding| coding.is_none_or(is_chunked))
}

/// A header occurs more than once.
struct Several;

/// The value of a header that may occur only once.
fn only_value<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Several),
    }
}

/// `application/json`, or the `text/plain` that a browser sends across origins without a preflight; parameters
/// such as a charset are ignored, since JSON is UTF-8.
fn is_json_or_text(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.eq_ignore_ascii_case("text/plain")
}
