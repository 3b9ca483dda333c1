//! What holds for every reply of the service.

use std::cell::LazyCell;
use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::body::Body;

use super::IamCredentialsClient;
pub use super::call::properties::statuses;
pub use super::trace_context::properties::trace_contexts;
use crate::properties::{SECRET, assert_is_plain, lines, shown};
use crate::proto::{GenerateAccessTokenResponse, GenerateIdTokenResponse, SignBlobResponse, SignJwtResponse};
use crate::{Credentials, Error, ErrorKind, RetryPolicy, Token};

const TARGET: &str = "sa@project.iam.gserviceaccount.com";

/// A client of a service that gives the same reply to all calls, and a runtime.
struct Fixture {
    reply: Arc<Mutex<Bytes>>,
    client: IamCredentialsClient,
    runtime: tokio::runtime::Runtime,
}

thread_local! {
    static FIXTURE: LazyCell<Fixture> = LazyCell::new(|| {
        Fixture::new().unwrap_or_else(|error| panic!("{error}"))
    });
}

/// A call returns what is in the reply, decoded by itself here, or an error that shows nothing of it.
/// A token is valid at present.
///
/// The input is the call's name and the reply's message.
pub fn replies(data: &[u8]) {
    let [call, message] = lines(data);
    FIXTURE.with(|fixture| {
        *fixture.reply.lock().unwrap_or_else(PoisonError::into_inner) = framed(message);
        match call {
            b"generate_access_token" => {
                let outcome = fixture.run(fixture.client.generate_access_token(TARGET, ["openid"]));
                let reply = GenerateAccessTokenResponse::decode(message).unwrap_or_default();
                holds_for(outcome, |token: &Token| token.secret() == reply.access_token && is_live(token));
            }
            b"generate_id_token" => {
                let outcome = fixture.run(fixture.client.generate_id_token(TARGET, "audience"));
                let reply = GenerateIdTokenResponse::decode(message).unwrap_or_default();
                holds_for(outcome, |token: &Token| token.secret() == reply.token && is_live(token));
            }
            b"sign_blob" => {
                let outcome = fixture.run(fixture.client.sign_blob(TARGET, "bytes"));
                let reply = SignBlobResponse::decode(message).unwrap_or_default();
                holds_for(outcome, |blob| {
                    blob.signature() == reply.signed_blob
                        && !reply.signed_blob.is_empty()
                        && blob.key_id() == reply.key_id
                });
            }
            _ => {
                let outcome = fixture.run(fixture.client.sign_jwt(TARGET, &serde_json::json!({})));
                let reply = SignJwtResponse::decode(message).unwrap_or_default();
                holds_for(outcome, |jwt| {
                    jwt.as_str() == reply.signed_jwt
                        && !reply.signed_jwt.is_empty()
                        && jwt.key_id() == reply.key_id
                });
            }
        }
    });
}

fn holds_for<T: std::fmt::Debug>(outcome: Result<T, Error>, is_right: impl FnOnce(&T) -> bool) {
    match outcome {
        Ok(value) => {
            assert!(is_right(&value), "{value:?}");
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::InvalidReply | ErrorKind::Service), "{error:?}");
            assert_is_plain(&error.to_string());
            assert!(!shown(&error).contains(SECRET), "{error:?}");
        }
    }
}

/// Whether the token can be sent, and hasn't expired.
fn is_live(token: &Token) -> bool {
    token.secret().bytes().all(|byte| byte.is_ascii_graphic())
        && token.expires_at().is_some_and(|expiry| expiry > SystemTime::now())
}

impl Fixture {
    fn new() -> Result<Self, Error> {
        let reply = Arc::new(Mutex::new(Bytes::new()));
        let body = Arc::clone(&reply);
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let body = body.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ready(Ok::<_, Infallible>(success(body)))
        });
        let client = IamCredentialsClient::builder()
            .credentials(Credentials::fixed(Token::new("source", None)?))
            .endpoint("http://127.0.0.1:1")
            .retry(RetryPolicy::none())
            .build_with(service)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Ok(Self { reply, client, runtime: runtime.map_err(Error::permanent)? })
    }

    fn run<T>(&self, call: impl IntoFuture<Output = T>) -> T {
        self.runtime.block_on(call.into_future())
    }
}

/// Returns a message as a gRPC body contains it.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

fn success(body: Bytes) -> Response<Body> {
    let trailers = HeaderMap::from_iter([(crate::headers::GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(body).with_trailers(ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static(crate::headers::GRPC_CONTENT_TYPE);
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
