//! One connection, of either protocol.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::Reply;
use super::connector::Established;
use super::failure::{Step, transport_failure};
use crate::Error;

/// Far more than a token needs, in bytes.
const MAX_REPLY: usize = 128 << 10;

/// Google closes idle connections after minutes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// While requests wait, a connection that brings nothing for this time is asked for a sign of life,
/// so that a dead one is noticed before an attempt ends.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A request that was dropped earlier says nothing about its connection.
const MIN_SILENCE: Duration = Duration::from_secs(1);

type Body = Full<Bytes>;

/// Why a request got no reply.
pub(super) enum NoReply {
    /// The connection ended while no request used it: the server has seen nothing of this one.
    Again,
    Failed(Error),
}

/// A connection that can take requests.
pub(super) enum Opened {
    Http1(Http1),
    Http2(Http2),
}

/// Starts the protocol that was agreed on.
pub(super) async fn open(established: Established, uri: &Uri) -> Result<Opened, Error> {
    let host = uri.host().unwrap_or_default();
    let failed = |error: hyper::Error| transport_failure(Step::Connect, host, &error);
    if established.is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
        let (sender, connection) = builder.handshake(established.stream).await.map_err(failed)?;
        tokio::spawn(connection);
        return Ok(Opened::Http2(Http2::new(sender)));
    }
    let (mut sender, connection) = http1::handshake(established.stream).await.map_err(failed)?;
    tokio::spawn(connection);
    sender.ready().await.map_err(failed)?;
    Ok(Opened::Http1(Http1 { sender, idle_since: Instant::now(), reused: false }))
}

/// A connection that carries one request at a time.
pub(super) struct Http1 {
    sender: http1::SendRequest<Body>,
    idle_since: Instant,
    reused: bool,
}

impl Http1 {
    pub(super) fn is_usable(&self) -> bool {
        self.sender.is_ready() && self.idle_since.elapsed() < IDLE_TIMEOUT
    }

    pub(super) async fn send(&mut self, request: Request<Bytes>) -> Result<Reply, NoReply> {
        let host = host(&request);
        let response = self.sender.try_send_request(in_origin_form(request)).await;
        let response = response.map_err(|error| no_reply(error, self.reused, &host))?;
        let reply = read_reply(response, &host).await.map_err(NoReply::Failed)?;
        // The connection's task may not have seen the end of the reply yet.
        let _ = self.sender.ready().await;
        (self.idle_since, self.reused) = (Instant::now(), true);
        Ok(reply)
    }
}

/// A connection that carries many requests at the same time.
pub(super) struct Http2 {
    sender: http2::SendRequest<Body>,
    /// How many reply heads have arrived.
    replies: AtomicU64,
    in_flight: AtomicUsize,
    /// When the last request ended.
    used: Mutex<Instant>,
}

impl Http2 {
    fn new(sender: http2::SendRequest<Body>) -> Self {
        let (replies, in_flight) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { sender, replies, in_flight, used: Mutex::new(Instant::now()) }
    }

    pub(super) fn is_usable(&self) -> bool {
        let is_idle = self.in_flight.load(Ordering::Relaxed) == 0;
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        !self.sender.is_closed() && (!is_idle || used.elapsed() < IDLE_TIMEOUT)
    }

    /// Sends a request. Calls `on_silence` if this future is dropped, and the connection has brought
    /// no reply at all while it waited.
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
        on_silence: impl Fn(),
    ) -> Result<Reply, NoReply> {
        let host = host(&request);
        let mut exchange = Exchange::begin(self, on_silence);
        let response = self.sender.clone().try_send_request(request.map(Full::from)).await;
        let outcome = match response {
            Ok(response) => {
                exchange.head_arrived();
                read_reply(response, &host).await.map_err(NoReply::Failed)
            }
            Err(error) => Err(no_reply(error, self.replies.load(Ordering::Relaxed) > 0, &host)),
        };
        exchange.is_done = true;
        outcome
    }
}

/// A request on a shared connection, until its end.
struct Exchange<'a, F: Fn()> {
    connection: &'a Http2,
    on_silence: F,
    since: Instant,
    /// How many replies had arrived on the connection by then.
    replies: u64,
    is_done: bool,
}

impl<'a, F: Fn()> Exchange<'a, F> {
    fn begin(connection: &'a Http2, on_silence: F) -> Self {
        connection.in_flight.fetch_add(1, Ordering::Relaxed);
        let replies = connection.replies.load(Ordering::Relaxed);
        Self { connection, on_silence, since: Instant::now(), replies, is_done: false }
    }

    fn head_arrived(&mut self) {
        self.replies = self.connection.replies.fetch_add(1, Ordering::Relaxed) + 1;
        self.since = Instant::now();
    }
}

impl<F: Fn()> Drop for Exchange<'_, F> {
    fn drop(&mut self) {
        let connection = self.connection;
        connection.in_flight.fetch_sub(1, Ordering::Relaxed);
        *connection.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let is_silent = connection.replies.load(Ordering::Relaxed) == self.replies;
        if !self.is_done && is_silent && self.since.elapsed() >= MIN_SILENCE {
            (self.on_silence)();
        }
    }
}

fn host(request: &Request<Bytes>) -> String {
    request.uri().host().unwrap_or_default().to_owned()
}

/// Writes the request as HTTP/1.1 sends it to a server: the URI without the host, which is a header.
fn in_origin_form(request: Request<Bytes>) -> Request<Body> {
    let mut request = request.map(Full::from);
    let uri = std::mem::take(request.uri_mut());
    let default_port = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    let authority = match (uri.host(), uri.port_u16()) {
        (Some(host), Some(port)) if port != default_port => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    if let Ok(host) = HeaderValue::try_from(authority) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    *request.uri_mut() = uri.path_and_query().map_or_else(Uri::default, |path| Uri::from(path.clone()));
    request
}

fn no_reply(mut failure: TrySendError<Request<Body>>, reused: bool, host: &str) -> NoReply {
    match failure.take_message() {
        Some(_not_sent) if reused => NoReply::Again,
        _ => NoReply::Failed(transport_failure(Step::Send, host, failure.error())),
    }
}

/// Reads the body, up to [`MAX_REPLY`] bytes.
async fn read_reply(response: Response<Incoming>, host: &str) -> Result<Reply, Error> {
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, MAX_REPLY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Error::invalid_reply(format!("{host} replied with more than {MAX_REPLY} bytes")));
        }
        Err(error) => return Err(transport_failure(Step::ReadReply, host, &*error)),
    };
    Ok(Reply { status: head.status, headers: head.headers, body })
}
