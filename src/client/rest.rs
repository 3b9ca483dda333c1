//! The API over HTTP and JSON, for a server that doesn't speak gRPC, such as a proxy in front of it.

mod messages;
mod status;
#[cfg(test)]
#[cfg(feature = "emulator")]
mod tests;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use self::messages::RestMethod;
use super::transport::BoxError;
use super::{ClientBuilder, IamCredentialsClient};
use crate::Error;
use crate::headers::{API_CLIENT, GRPC_CONTENT_TYPE, GRPC_STATUS, TRACEPARENT, TRACESTATE, USER_PROJECT};
use crate::http_client::HttpClient;
use crate::name::{account_in, service_account_path};

/// The headers of a call that a REST request has too.
const FORWARDED: [HeaderName; 6] =
    [header::AUTHORIZATION, header::USER_AGENT, API_CLIENT, TRACEPARENT, TRACESTATE, USER_PROJECT];

/// In front of a message are a flag and the message's length.
const FRAME: usize = 5;

impl ClientBuilder {
    /// Makes a client that calls the methods of one account as REST requests. `url` is the URL of its
    /// methods without the colon and the method. The caller must have checked that it may get tokens.
    pub(crate) fn build_over_rest(
        self,
        http: HttpClient,
        account: &str,
        url: &str,
    ) -> Result<IamCredentialsClient, Error> {
        let account = Account { name: service_account_path("-", account), url: url.to_owned() };
        self.build_with(RestService { http, account: Arc::new(account) })
    }
}

/// Sends the calls of a client as REST requests.
#[derive(Clone)]
struct RestService {
    http: HttpClient,
    account: Arc<Account>,
}

struct Account {
    name: String,
    url: String,
}

impl Service<Request<Body>> for RestService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let message = body.get(FRAME..).ok_or("the call has no message")?;
            let method = head.uri.path().rsplit('/').next().and_then(RestMethod::named);
            let method = method.ok_or("the API has no such method")?;
            Ok(match service.exchange(method, message, &head.headers).await? {
                Ok(message) => success(&message),
                Err(status) => status.into_http(),
            })
        })
    }
}

impl RestService {
    /// Returns the message of the reply, or the error that the server replied with.
    async fn exchange(
        &self,
        method: &RestMethod,
        message: &[u8],
        headers: &HeaderMap,
    ) -> Result<Result<Vec<u8>, Status>, BoxError> {
        let (name, json) = (method.to_json)(message)?;
        if name != self.account.name {
            let known = account_in(&self.account.name);
            let problem = format!("the URL in the credential file is that of {known} alone");
            return Ok(Err(Status::invalid_argument(problem)));
        }
        let request = self.request(method, json.to_string(), headers)?;
        let reply = self.http.send(request).await.map_err(|failed| lost(&failed.error))?;
        if !reply.status.is_success() {
            return Ok(Err(status::of(&reply)));
        }
        let message = serde_json::from_slice(&reply.body).ok().and_then(|json| (method.from_json)(&json));
        Ok(message.ok_or_else(|| status::of_malformed(&reply)))
    }

    fn request(
        &self,
        method: &RestMethod,
        json: String,
        headers: &HeaderMap,
    ) -> Result<Request<Bytes>, BoxError> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut request = Request::new(Bytes::from(json));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{}:{}", self.account.url, method.verb).parse()?;
        for name in FORWARDED {
            if let Some(value) = headers.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        request.headers_mut().insert(header::CONTENT_TYPE, JSON);
        request.headers_mut().insert(header::ACCEPT, JSON);
        Ok(request)
    }
}

/// Returns the failure of a request as the client's transport reports one.
fn lost(error: &Error) -> BoxError {
    let kind = if error.is_transient() { io::ErrorKind::Other } else { io::ErrorKind::InvalidData };
    io::Error::new(kind, error.in_one_line().to_string()).into()
}

/// Returns the gRPC form of a reply.
fn success(message: &[u8]) -> Response<Body> {
    let mut frame = BytesMut::with_capacity(FRAME + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC_CONTENT_TYPE));
    response
}
