//! The service of a world, in memory.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use tokio::time::sleep;
use tonic::body::Body;
use tower_service::Service;

use super::ledger::Ledger;
use super::world::Answer;
use crate::headers::REQUEST_PARAMS;
use crate::proto::GenerateAccessTokenResponse;
use crate::source::BoxFuture;
use crate::{Credentials, Error, IamCredentialsClient, RetryPolicy, Token};

/// Everything around the pool: what the service does, and what the world has seen.
pub(super) struct Outside {
    pub(super) ledger: Ledger,
    pub(super) answer: Answer,
    issued: u64,
}

/// A handle on the outside, which is the service.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Outside>>);

/// A request in progress, which may be dropped.
struct Running {
    outside: Shared,
    request: u64,
}

impl Shared {
    pub(super) fn new(ledger: Ledger) -> Self {
        let answer = Answer::Token(Duration::ZERO);
        Self(Arc::new(Mutex::new(Outside { ledger, answer, issued: 0 })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.outside.lock().ledger.request_ends(self.request);
    }
}

impl Service<Request<Body>> for Shared {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let identity = identity(&request);
        let (request, answer) = {
            let mut outside = self.lock();
            (outside.ledger.request_begins(identity), outside.answer)
        };
        let running = Running { outside: self.clone(), request };
        if !matches!(answer, Answer::Token(_)) {
            self.lock().ledger.fails(request);
        }
        Box::pin(async move {
            let reply = match answer {
                Answer::Token(latency) => {
                    sleep(latency).await;
                    let mut outside = running.outside.lock();
                    outside.issued += 1;
                    outside.ledger.token_is_sent(request, identity);
                    success(outside.issued)
                }
                Answer::Fail(latency) => {
                    sleep(latency).await;
                    failure()
                }
                Answer::Hang => std::future::pending().await,
            };
            drop(running);
            Ok(reply)
        })
    }
}

/// The number in the name of the target: see [`target`](super::run::target).
fn identity(request: &Request<Body>) -> usize {
    let name = request.headers()[REQUEST_PARAMS].to_str().expect("text");
    let number = name.split("customer-").nth(1).and_then(|rest| rest.split(['%', '@']).next());
    number.and_then(|number| number.parse().ok()).expect("the name of a target")
}

fn success(number: u64) -> Response<Body> {
    // The life is that of the credentials. This is later than any world ends by the pool's wall clock.
    let expire_time = SystemTime::now() + Duration::from_secs(1_000_000);
    let message = GenerateAccessTokenResponse {
        access_token: format!("token-{number}"),
        expire_time: Some(expire_time.into()),
    };
    let encoded = message.encode_to_vec();
    let mut data = BytesMut::with_capacity(5 + encoded.len());
    data.put_u8(0);
    data.put_u32(encoded.len() as u32);
    data.put_slice(&encoded);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(data.freeze())), Ok::<_, Infallible>(Frame::trailers(trailers))];
    let body = StreamBody::new(tokio_stream::iter(frames));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Returns a client whose replies come at once.
pub(in crate::impersonation::pool) fn instant_client() -> IamCredentialsClient {
    let service = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(success(1)) });
    client(service).expect("a client")
}

/// Returns a client of this service that doesn't retry.
pub(super) fn client<S>(service: S) -> Result<IamCredentialsClient, Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let source = Credentials::fixed(Token::new("source", None)?);
    let builder = IamCredentialsClient::builder().credentials(source).endpoint("http://127.0.0.1:1");
    builder.retry(RetryPolicy::none()).build_with(service)
}

fn failure() -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::new(Bytes::new())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("14"));
    response
}
