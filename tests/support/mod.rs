//! A scripted IAM Credentials service: in memory for the paused clock, or on a real socket.
#![allow(dead_code, unreachable_pub, missing_debug_implementations, clippy::unwrap_used, clippy::expect_used)]

pub mod emulator;
pub mod log_capture;
pub mod token_server;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{
    BoxFuture, ClientBuilder, Credentials, Error, FetchRequest, IamCredentialsClient, SourceInfo, Token,
    TokenSource,
};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

pub const TARGET: &str = "target@project.iam.gserviceaccount.com";
pub const SOURCE_TOKEN: &str = "source-token-that-must-stay-secret";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub message: Bytes,
}

impl Seen {
    pub fn decode<M: Message + Default>(&self) -> M {
        M::decode(self.message.clone()).expect("a request of another type")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        assert!(values.next().is_none(), "more than one {name} header");
        Some(first.to_str().expect("a header that is not text"))
    }
}

/// What the service does with one request.
#[derive(Clone)]
pub enum Answer {
    /// The right reply to whatever was asked.
    Ok,
    /// This reply, encoded.
    Reply(Bytes),
    /// This status, as trailers only.
    Status(Status),
    /// Nothing, ever.
    Hang,
    /// A reply head and the start of a body, then nothing.
    Stall,
    /// A reply head, then the stream is reset.
    Break,
    /// Any HTTP response: status, headers, body.
    Http(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// A wait, then another answer.
    After(Duration, Box<Answer>),
}

impl Answer {
    pub fn reply(message: &impl Message) -> Self {
        Self::Reply(message.encode_to_vec().into())
    }

    pub fn status(code: Code, message: &str) -> Self {
        Self::Status(Status::new(code, message))
    }

    pub fn unavailable() -> Self {
        Self::status(Code::Unavailable, "come back later")
    }

    pub fn details(code: Code, message: &str, details: ErrorDetails) -> Self {
        Self::Status(Status::with_error_details(code, message, details))
    }

    pub fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }
}

/// Answers in order, then [`Answer::Ok`] (or what [`Script::always`] was given) for ever.
#[derive(Clone, Default)]
pub struct Script {
    inner: Arc<ScriptInner>,
}

#[derive(Default)]
struct ScriptInner {
    answers: Mutex<VecDeque<Answer>>,
    last: Mutex<Option<Answer>>,
    seen: Mutex<Vec<Seen>>,
    left: AtomicUsize,
}

/// Notes that a caller has left before it was answered.
struct Answering<'a>(&'a AtomicUsize);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Script {
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.inner.answers.lock().unwrap().extend(answers);
        script
    }

    /// The same answer for ever.
    pub fn always(answer: Answer) -> Self {
        let script = Self::default();
        script.answer_from_now(answer);
        script
    }

    /// Drops what is left of the script; from now on this answer.
    pub fn answer_from_now(&self, answer: Answer) {
        self.inner.answers.lock().unwrap().clear();
        *self.inner.last.lock().unwrap() = Some(answer);
    }

    /// When the script is through, this answer.
    pub fn then(self, answer: Answer) -> Self {
        *self.inner.last.lock().unwrap() = Some(answer);
        self
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    pub fn calls(&self) -> usize {
        self.inner.seen.lock().unwrap().len()
    }

    /// How many callers left while they were kept waiting for ever.
    pub fn left(&self) -> usize {
        self.inner.left.load(Ordering::SeqCst)
    }

    /// The only request that came.
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    fn next(&self) -> Answer {
        let next = self.inner.answers.lock().unwrap().pop_front();
        next.or_else(|| self.inner.last.lock().unwrap().clone()).unwrap_or(Answer::Ok)
    }

    pub async fn handle<B>(self, request: Request<B>) -> Result<Response<Body>, Status>
    where
        B: http_body::Body,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Status::cancelled("request broke off"))?.to_bytes();
        let message = if body.len() > 5 { body.slice(5..) } else { Bytes::new() };
        let seen = Seen { path: parts.uri.path().to_owned(), headers: parts.headers, message };
        self.inner.seen.lock().unwrap().push(seen.clone());
        let mut answer = self.next();
        while let Answer::After(wait, then) = answer {
            tokio::time::sleep(wait).await;
            answer = *then;
        }
        Ok(match answer {
            Answer::Ok => grpc(right_reply(&seen)),
            Answer::Reply(message) => grpc(message),
            Answer::Status(status) => status.into_http(),
            Answer::Hang => {
                let _answering = Answering(&self.inner.left);
                std::future::pending().await
            }
            Answer::Stall => {
                let start =
                    Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(&[0, 0, 0, 0, 9, 1])));
                let stall = tokio_stream::StreamExt::chain(
                    tokio_stream::once(start),
                    tokio_stream::pending::<Result<_, Infallible>>(),
                );
                head().body(Body::new(StreamBody::new(stall))).unwrap()
            }
            Answer::Break => {
                let broken =
                    tokio_stream::once(Err::<http_body::Frame<Bytes>, _>(std::io::Error::other("broken")));
                head().body(Body::new(StreamBody::new(broken))).unwrap()
            }
            Answer::Http(status, headers, text) => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(Body::new(http_body_util::Full::new(Bytes::from(text)))).unwrap()
            }
            Answer::After(..) => unreachable!("taken off above"),
        })
    }

    /// The service in memory, for [`ClientBuilder::build_with`].
    pub fn service(
        &self,
    ) -> impl tower::Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Status,
        Future = BoxFuture<'static, Result<Response<Body>, Status>>,
    > + Clone
    + Send
    + Sync
    + 'static {
        let script = self.clone();
        tower::service_fn(move |request| {
            Box::pin(script.clone().handle(request)) as BoxFuture<'static, Result<Response<Body>, Status>>
        })
    }

    /// A client of the service in memory, with a fixed source token.
    pub fn client(&self) -> IamCredentialsClient {
        self.client_with(builder())
    }

    pub fn client_with(&self, builder: ClientBuilder) -> IamCredentialsClient {
        builder.build_with(self.service()).expect("the settings are right")
    }

    /// Puts the service on a socket of its own.
    pub async fn serve(&self) -> Server {
        Server::start(self.clone(), TcpListener::bind("127.0.0.1:0").await.unwrap())
    }
}

/// A builder with a fixed source token, for any in-memory origin.
pub fn builder() -> ClientBuilder {
    IamCredentialsClient::builder().credentials(fixed()).endpoint("http://127.0.0.1:1")
}

pub fn fixed() -> Credentials {
    Credentials::fixed(Token::new(SOURCE_TOKEN, None).unwrap())
}

/// The service on a socket.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    goaway: watch::Sender<u32>,
    stop: watch::Sender<bool>,
}

impl Server {
    pub fn start(script: Script, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (goaway, drain) = watch::channel(0);
        let (stop, mut stopped) = watch::channel(false);
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stopped.changed() => return,
                };
                let Ok((socket, _)) = accepted else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                let (script, mut drain, mut stopped) = (script.clone(), drain.clone(), stopped.clone());
                drain.mark_unchanged();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| script.clone().handle(request));
                    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), service);
                    tokio::pin!(connection);
                    let mut draining = false;
                    loop {
                        tokio::select! {
                            _ = connection.as_mut() => return,
                            changed = drain.changed(), if !draining => {
                                draining = true;
                                if changed.is_ok() {
                                    connection.as_mut().graceful_shutdown();
                                }
                            }
                            // Drops the socket with all that is on it.
                            _ = stopped.changed() => return,
                        }
                    }
                });
            }
        });
        Self { address, connections, goaway, stop }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Sends GOAWAY on every connection.
    pub fn goaway(&self) {
        self.goaway.send_modify(|round| *round += 1);
    }

    /// Cuts every connection and stops listening.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub fn client(&self) -> IamCredentialsClient {
        self.client_with(IamCredentialsClient::builder())
    }

    pub fn client_with(&self, builder: ClientBuilder) -> IamCredentialsClient {
        builder.credentials(fixed()).endpoint(self.endpoint()).build().expect("the settings are right")
    }
}

fn head() -> http::response::Builder {
    Response::builder().header("content-type", "application/grpc")
}

/// A whole gRPC reply: one message and the trailers.
pub fn grpc(message: Bytes) -> Response<Body> {
    let mut data = BytesMut::with_capacity(5 + message.len());
    data.put_u8(0);
    data.put_u32(message.len() as u32);
    data.put(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = [http_body::Frame::data(data.freeze()), http_body::Frame::trailers(trailers)];
    let frames = tokio_stream::iter(frames.map(Ok::<_, Infallible>));
    head().body(Body::new(StreamBody::new(frames))).unwrap()
}

/// Access tokens are `token-of-{account}`, and live for what was asked, else for an hour.
fn right_reply(seen: &Seen) -> Bytes {
    let account = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    match seen.path.rsplit('/').next().unwrap_or_default() {
        "GenerateAccessToken" => {
            let request: GenerateAccessTokenRequest = seen.decode();
            let lifetime = request.lifetime.map_or(3600, |lifetime| lifetime.seconds as u64);
            let expiry = SystemTime::now() + Duration::from_secs(lifetime);
            let access_token = format!("token-of-{}", account(&request.name));
            GenerateAccessTokenResponse { access_token, expire_time: Some(expiry.into()) }.encode_to_vec()
        }
        "GenerateIdToken" => {
            let request: GenerateIdTokenRequest = seen.decode();
            let exp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3600;
            let token = id_token(&serde_json::json!({ "aud": request.audience, "exp": exp }));
            GenerateIdTokenResponse { token }.encode_to_vec()
        }
        "SignBlob" => {
            let request: SignBlobRequest = seen.decode();
            let size = request.payload.len() as u64;
            let signed_blob = [b"signed ".as_slice(), &size.to_be_bytes()].concat();
            SignBlobResponse { key_id: "key-1".to_owned(), signed_blob }.encode_to_vec()
        }
        "SignJwt" => {
            let request: SignJwtRequest = seen.decode();
            let signed_jwt = format!("header.{}.signature", request.payload.len());
            SignJwtResponse { key_id: "key-1".to_owned(), signed_jwt }.encode_to_vec()
        }
        other => panic!("no such method: {other}"),
    }
    .into()
}

/// A JWT with these claims, and no real signature.
pub fn id_token(claims: &serde_json::Value) -> String {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{claims}.c2lnbmF0dXJl")
}

/// A source whose outcomes are counted and scripted: each fetch takes the next, the last for ever.
#[derive(Clone)]
pub struct CountedSource {
    outcomes: Arc<Mutex<VecDeque<Result<Token, Error>>>>,
    fetches: Arc<AtomicUsize>,
}

impl CountedSource {
    pub fn new(outcomes: impl IntoIterator<Item = Result<Token, Error>>) -> Self {
        Self { outcomes: Arc::new(Mutex::new(outcomes.into_iter().collect())), fetches: Arc::default() }
    }

    pub fn tokens<const N: usize>(tokens: [&str; N]) -> Self {
        Self::new(tokens.map(|token| Token::new(token, None)))
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub fn credentials(&self) -> Credentials {
        Credentials::from_source(self.clone())
    }
}

impl TokenSource for CountedSource {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let mut outcomes = self.outcomes.lock().unwrap();
        let outcome = if outcomes.len() > 1 { outcomes.pop_front() } else { outcomes.front().cloned() };
        Box::pin(std::future::ready(outcome.expect("a source with an outcome")))
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().principal("source@project.iam.gserviceaccount.com")
    }
}
