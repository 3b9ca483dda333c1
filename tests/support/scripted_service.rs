//! A scripted IAM Credentials service: in memory, for a paused clock, or on a real socket.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::source::BoxFuture;
use gcp_iam_credentials::{ClientBuilder, Credentials, IamCredentialsClient, Token};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use prost::Message;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::grpc_reply;
use super::server::Server;

pub(crate) const SOURCE_TOKEN: &str = "source-token-that-must-stay-secret";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Bytes,
}

impl Received {
    pub(crate) fn decode<M: Message + Default>(&self) -> M {
        M::decode(self.message.clone()).expect("a request of another type")
    }

    /// Returns the only value of a header, if there is one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        assert!(values.next().is_none(), "more than one {name} header");
        Some(first.to_str().expect("a header that is not text"))
    }
}

/// What the service does with one request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// The right reply to the request.
    Ok,
    /// This reply, encoded.
    Reply(Bytes),
    /// This status, as trailers only.
    Status(Status),
    /// No reply, ever.
    Hang,
    /// The head of a reply and the start of its body, then nothing.
    Stall,
    /// The head of a reply, then the stream is reset.
    Break,
    /// Any HTTP response: status, headers, body.
    Http(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// Another answer, after a wait.
    After(Duration, Box<Answer>),
}

impl Answer {
    pub(crate) fn reply(message: &impl Message) -> Self {
        Self::Reply(message.encode_to_vec().into())
    }

    pub(crate) fn status(code: Code, message: &str) -> Self {
        Self::Status(Status::new(code, message))
    }

    pub(crate) fn unavailable() -> Self {
        Self::status(Code::Unavailable, "try again later")
    }

    pub(crate) fn details(code: Code, message: &str, details: ErrorDetails) -> Self {
        Self::Status(Status::with_error_details(code, message, details))
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }
}

/// Gives its answers in order, then [`Answer::Ok`] (or the answer given to [`Script::always`]).
#[derive(Clone, Default)]
pub(crate) struct Script {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    answers: Mutex<VecDeque<Answer>>,
    last: Mutex<Option<Answer>>,
    received: Mutex<Vec<Received>>,
    abandoned: AtomicUsize,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.inner.answers.lock().unwrap().extend(answers);
        script
    }

    /// Gives the same answer to every request.
    pub(crate) fn always(answer: Answer) -> Self {
        let script = Self::default();
        script.answer_from_now(answer);
        script
    }

    /// Drops the rest of the script, and gives this answer from now on.
    pub(crate) fn answer_from_now(&self, answer: Answer) {
        self.inner.answers.lock().unwrap().clear();
        *self.inner.last.lock().unwrap() = Some(answer);
    }

    /// Sets the answer that follows the end of the script.
    pub(crate) fn then(self, answer: Answer) -> Self {
        *self.inner.last.lock().unwrap() = Some(answer);
        self
    }

    /// Returns the requests that arrived, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    /// Returns how many requests arrived.
    pub(crate) fn calls(&self) -> usize {
        self.inner.received.lock().unwrap().len()
    }

    /// Returns how many callers cancelled a request that got [`Answer::Hang`].
    pub(crate) fn abandoned(&self) -> usize {
        self.inner.abandoned.load(Ordering::SeqCst)
    }

    /// Returns the only request that arrived.
    pub(crate) fn only_request(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "more or less than one request: {received:?}");
        received[0].clone()
    }

    /// Answers one request.
    pub(crate) async fn handle<B>(self, request: Request<B>) -> Result<Response<Body>, Status>
    where
        B: http_body::Body<Error: std::fmt::Debug>,
    {
        let request = receive(request).await?;
        self.inner.received.lock().unwrap().push(request.clone());
        let mut answer = self.next();
        while let Answer::After(wait, then) = answer {
            tokio::time::sleep(wait).await;
            answer = *then;
        }
        Ok(match answer {
            Answer::Ok => grpc_reply::success(&right_reply(&request)),
            Answer::Reply(message) => grpc_reply::success(&message),
            Answer::Status(status) => status.into_http(),
            Answer::Hang => {
                let _abandoned = CountOnDrop(&self.inner.abandoned);
                std::future::pending().await
            }
            Answer::Stall => grpc_reply::stalled(),
            Answer::Break => grpc_reply::reset(),
            Answer::Http(status, headers, text) => http_response(status, headers, text),
            Answer::After(..) => unreachable!("waited for above"),
        })
    }

    fn next(&self) -> Answer {
        let next = self.inner.answers.lock().unwrap().pop_front();
        next.or_else(|| self.inner.last.lock().unwrap().clone()).unwrap_or(Answer::Ok)
    }

    /// Returns the service in memory, for [`ClientBuilder::build_with`].
    pub(crate) fn service(
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

    /// Returns a client of the service in memory, with a fixed source token.
    pub(crate) fn client(&self) -> IamCredentialsClient {
        self.client_with(builder())
    }

    pub(crate) fn client_with(&self, builder: ClientBuilder) -> IamCredentialsClient {
        builder.build_with(self.service()).expect("the settings are valid")
    }

    /// Serves the script on a new socket.
    pub(crate) async fn serve(&self) -> Server {
        Server::start(self.clone(), TcpListener::bind("127.0.0.1:0").await.unwrap())
    }
}

/// Returns a builder with a fixed source token, for any in-memory origin.
pub(crate) fn builder() -> ClientBuilder {
    IamCredentialsClient::builder().credentials(fixed()).endpoint("http://127.0.0.1:1")
}

/// Returns credentials that hold [`SOURCE_TOKEN`].
pub(crate) fn fixed() -> Credentials {
    Credentials::fixed(Token::new(SOURCE_TOKEN, None).unwrap())
}

/// Counts a future that is dropped before its end.
struct CountOnDrop<'a>(&'a AtomicUsize);

impl Drop for CountOnDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn receive<B>(request: Request<B>) -> Result<Received, Status>
where
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Status::cancelled("the request was cut off"))?.to_bytes();
    let message = if body.len() > 5 { body.slice(5..) } else { Bytes::new() };
    Ok(Received { path: parts.uri.path().to_owned(), headers: parts.headers, message })
}

fn http_response(status: u16, headers: Vec<(&str, &str)>, text: &'static str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::new(http_body_util::Full::new(Bytes::from(text)))).unwrap()
}

/// Returns the right reply: access tokens are `token-of-{account}` and live as long as requested,
/// else for an hour.
fn right_reply(request: &Received) -> Bytes {
    match request.path.rsplit('/').next().unwrap_or_default() {
        "GenerateAccessToken" => access_token(&request.decode()).encode_to_vec(),
        "GenerateIdToken" => {
            let request: GenerateIdTokenRequest = request.decode();
            let exp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3600;
            let token = id_token(&serde_json::json!({ "aud": request.audience, "exp": exp }));
            GenerateIdTokenResponse { token }.encode_to_vec()
        }
        "SignBlob" => {
            let request: SignBlobRequest = request.decode();
            let size = request.payload.len() as u64;
            let signed_blob = [b"signed ".as_slice(), &size.to_be_bytes()].concat();
            SignBlobResponse { key_id: "key-1".to_owned(), signed_blob }.encode_to_vec()
        }
        "SignJwt" => {
            let request: SignJwtRequest = request.decode();
            let signed_jwt = format!("header.{}.signature", request.payload.len());
            SignJwtResponse { key_id: "key-1".to_owned(), signed_jwt }.encode_to_vec()
        }
        other => panic!("no such method: {other}"),
    }
    .into()
}

fn access_token(request: &GenerateAccessTokenRequest) -> GenerateAccessTokenResponse {
    let lifetime = request.lifetime.map_or(3600, |lifetime| lifetime.seconds as u64);
    let expiry = SystemTime::now() + Duration::from_secs(lifetime);
    let account = request.name.rsplit('/').next().unwrap_or_default();
    GenerateAccessTokenResponse {
        access_token: format!("token-of-{account}"),
        expire_time: Some(expiry.into()),
    }
}

/// Returns a JWT with these claims and a signature that isn't one.
pub(crate) fn id_token(claims: &serde_json::Value) -> String {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{claims}.c2lnbmF0dXJl")
}
