//! A server on the network: the API of this crate or another one, with the faults of servers.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::clock::Clock;
use super::host::MARK;
use super::pipe::Stream;
use crate::credentials::TimeSource;
use crate::proto::{GenerateAccessTokenResponse, SignBlobRequest, SignBlobResponse};

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Works,
    Refuses(Code),
    /// Refuses, and says after how many milliseconds to ask again.
    AsksToWait(u64),
    /// Never answers a request that arrives meanwhile.
    Hangs,
    /// Answers after so many milliseconds.
    IsSlow(u64),
    /// Resets each stream after the head of the reply.
    ResetsStreams,
    /// A proxy answers in its place.
    IsReplaced,
}

#[derive(Clone)]
pub(super) struct Server(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Each change drains the connections that exist.
    goaway: watch::Sender<()>,
    clock: Clock,
}

struct State {
    mode: Mode,
    /// How long an answer takes.
    latency: Duration,
    /// How long tokens that it issues live.
    lifetime: Duration,
    issued: usize,
    rejected: HashSet<String>,
    journal: HashMap<usize, Entry>,
}

/// The requests of one call that arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    pub(super) requests: u32,
    pub(super) answered: u32,
}

impl Server {
    pub(super) fn new(latency: Duration, lifetime: Duration, clock: Clock) -> Self {
        let (rejected, journal) = (HashSet::new(), HashMap::new());
        let state = State { mode: Mode::Works, latency, lifetime, issued: 0, rejected, journal };
        Self(Arc::new(Inner { state: Mutex::new(state), goaway: watch::Sender::new(()), clock }))
    }

    /// Serves connections until there can be no more.
    pub(super) async fn serve(self, mut incoming: mpsc::UnboundedReceiver<Stream>) {
        let mut connections = tokio::task::JoinSet::new();
        while let Some(stream) = incoming.recv().await {
            connections.spawn(self.clone().serve_connection(stream));
        }
    }

    async fn serve_connection(self, stream: Stream) {
        let mut goaway = self.0.goaway.subscribe();
        let service = hyper::service::service_fn(move |request| self.clone().answer(request));
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            _ = goaway.changed() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { std::future::pending().await };
        let bearer = parts.headers["authorization"].to_str().unwrap().to_owned();
        let message = body.to_bytes().slice(5..);
        let call = number(&message);
        let (mode, latency, is_rejected) = {
            let mut state = self.0.state.lock().unwrap();
            if let Some(call) = call {
                state.journal.entry(call).or_default().requests += 1;
            }
            (state.mode, state.latency, state.rejected.contains(&bearer))
        };
        sleep(latency).await;
        Ok(match mode {
            Mode::Works | Mode::IsSlow(_) if is_rejected => {
                Status::unauthenticated("the token was revoked").into_http()
            }
            Mode::Works => self.succeed(call, &message),
            Mode::IsSlow(millis) => {
                sleep(Duration::from_millis(millis)).await;
                self.succeed(call, &message)
            }
            Mode::Refuses(code) => Status::new(code, "out of order").into_http(),
            Mode::AsksToWait(millis) => {
                let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(millis)));
                Status::with_error_details(Code::ResourceExhausted, "quota", details).into_http()
            }
            Mode::Hangs => std::future::pending().await,
            Mode::ResetsStreams => reset_stream(),
            Mode::IsReplaced => Response::builder()
                .status(503)
                .header("content-type", "text/html")
                .body(Body::empty())
                .unwrap(),
        })
    }

    /// Answers a call with its own payload as the signature, and any other request with a token.
    fn succeed(&self, call: Option<usize>, message: &Bytes) -> Response<Body> {
        let mut state = self.0.state.lock().unwrap();
        if let Some(call) = call {
            state.journal.entry(call).or_default().answered += 1;
            let payload = SignBlobRequest::decode(message.clone()).unwrap().payload;
            return success(&SignBlobResponse { key_id: "key".to_owned(), signed_blob: payload });
        }
        state.issued += 1;
        let expiry = self.0.clock.wall() + state.lifetime;
        let access_token = format!("acting-{}", state.issued);
        success(&GenerateAccessTokenResponse { access_token, expire_time: Some(expiry.into()) })
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        self.0.state.lock().unwrap().mode = mode;
    }

    pub(super) fn reject(&self, token: &str) {
        self.0.state.lock().unwrap().rejected.insert(format!("Bearer {token}"));
    }

    /// Rejects the token that was issued last.
    pub(super) fn reject_last_issued(&self) {
        let issued = self.0.state.lock().unwrap().issued;
        self.reject(&format!("acting-{issued}"));
    }

    pub(super) fn send_goaway(&self) {
        self.0.goaway.send_replace(());
    }

    pub(super) fn journal(&self, call: usize) -> Entry {
        self.0.state.lock().unwrap().journal.get(&call).copied().unwrap_or_default()
    }
}

/// Returns the number of the call that a message belongs to.
pub(super) fn number(message: &[u8]) -> Option<usize> {
    let at = message.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    std::str::from_utf8(&message[at..at + 6]).ok()?.parse().ok()
}

fn success(message: &impl Message) -> Response<Body> {
    let message = message.encode_to_vec();
    let frame = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let body = Full::from(frame).with_trailers(std::future::ready(Some(Ok(trailers))));
    Response::builder().header("content-type", "application/grpc").body(Body::new(body)).unwrap()
}

fn reset_stream() -> Response<Body> {
    let failure = Err::<Frame<Bytes>, _>(io::Error::other("reset"));
    let body = Body::new(StreamBody::new(tokio_stream::iter([failure])));
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}
