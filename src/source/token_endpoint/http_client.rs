//! The HTTP client of a token endpoint: HTTP/1.1, no redirects, replies of limited size.
//!
//! It uses HTTP/1.1 so that an attempt that times out closes its connection. With HTTP/2, the next
//! attempt would use the same silent connection.

#[cfg(feature = "_tls")]
mod https_client;

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

#[cfg(feature = "_tls")]
use self::https_client::HttpsClient;
use super::reply::Reply;
use super::{AttemptError, MAX_CONNECTIONS, Retry};
use crate::Error;

/// Far more than a token needs.
const MAX_REPLY: usize = 128 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// Google closes idle connections after minutes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Sends forms: by plain http to this machine, by https to all others.
pub(super) enum HttpClient {
    Plain(Client<HttpConnector, Full<Bytes>>),
    #[cfg(feature = "_tls")]
    Https(HttpsClient),
}

impl HttpClient {
    /// Creates a client for the scheme of `uri`. Errors name `field`.
    pub(super) fn new(uri: &Uri, field: &'static str) -> Result<Self, Error> {
        if uri.scheme_str() == Some("http") {
            return Ok(Self::Plain(client_builder().build(connector())));
        }
        #[cfg(feature = "_tls")]
        return HttpsClient::new(field).map(Self::Https);
        #[cfg(not(feature = "_tls"))]
        Err(crate::tls::not_built_in(field))
    }

    /// Posts a form and reads the whole reply.
    pub(super) async fn post(&self, uri: &Uri, form: String) -> Result<Reply, AttemptError> {
        let mut request = Request::new(Full::from(form));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        request.headers_mut().extend(headers());
        let response = match self {
            Self::Plain(client) => client.request(request).await,
            #[cfg(feature = "_tls")]
            Self::Https(https) => https.client().await?.request(request).await,
        };
        let host = uri.host().unwrap_or_default();
        match response {
            Ok(response) => read_reply(response, host).await,
            Err(error) => {
                let what = if error.is_connect() { "can't connect to" } else { "lost the connection to" };
                Err(transport_failure(what, host, &error))
            }
        }
    }
}

fn client_builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(MAX_CONNECTIONS);
    builder
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    let form = header::HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::CONTENT_TYPE, form);
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, header::HeaderValue::from_static(USER_AGENT));
    headers
}

/// Reads the body, up to [`MAX_REPLY`] bytes.
async fn read_reply(response: http::Response<Incoming>, host: &str) -> Result<Reply, AttemptError> {
    let (head, body) = response.into_parts();
    let seconds = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = seconds.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let body = match Limited::new(body, MAX_REPLY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the token endpoint at {host} replied with more than {MAX_REPLY} bytes");
            return Err(AttemptError::permanent(Error::invalid_reply(message)));
        }
        Err(error) => return Err(transport_failure("lost the reply from", host, &*error)),
    };
    Ok(Reply { status: head.status, retry_after, body })
}

fn transport_failure(what: &str, host: &str, error: &(dyn StdError + 'static)) -> AttemptError {
    let chain = || std::iter::successors(Some(error), |error| cause(*error));
    let mut causes: Vec<String> = chain().map(ToString::to_string).collect();
    // Some errors contain the text of their cause.
    causes.dedup_by(|cause, shown| shown.ends_with(&**cause));
    let message = format!("{what} {host}: {}", causes.join(": "));
    // An invalid certificate stays invalid.
    let permanent = chain()
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::InvalidData);
    let retry = if permanent { Retry::Never } else { Retry::After(None) };
    AttemptError { error: Error::transport(message, !permanent), retry }
}

/// Returns the cause, including the error inside an [`io::Error`], which its `source` skips.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
