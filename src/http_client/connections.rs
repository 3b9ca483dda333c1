//! The connections of a client: HTTP/1.1, reused for later requests.
//!
//! They use HTTP/1.1 so that an attempt that times out closes its connection. With HTTP/2, the next
//! attempt would use the same silent connection.

use std::error::Error as StdError;
use std::io;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

#[cfg(feature = "_tls")]
use super::https::HttpsClient;
use super::setup::{client_builder, connector};
use super::{Reply, SendError};
use crate::Error;

/// Far more than a token needs, in bytes.
const MAX_REPLY: usize = 128 << 10;

/// Clients for plain http and for https.
pub(super) struct Connections {
    plain: Client<HttpConnector, Full<Bytes>>,
    #[cfg(feature = "_tls")]
    https: HttpsClient,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self {
            plain: client_builder().build(connector()),
            #[cfg(feature = "_tls")]
            https: HttpsClient::new(),
        }
    }

    #[cfg_attr(not(feature = "_tls"), expect(clippy::unused_self, reason = "TLS has the settings"))]
    pub(super) fn check(&self, uri: &Uri, field: &'static str) -> Result<(), Error> {
        if uri.scheme_str() == Some("http") {
            return Ok(());
        }
        #[cfg(feature = "_tls")]
        return self.https.check(field);
        #[cfg(not(feature = "_tls"))]
        Err(crate::tls::not_built_in(field))
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Reply, SendError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.check(request.uri(), "url").map_err(|error| SendError { error })?;
        let is_plain = request.uri().scheme_str() == Some("http");
        let request = request.map(Full::from);
        let response = match is_plain {
            #[cfg(feature = "_tls")]
            false => self.https.client().await?.request(request).await,
            _ => self.plain.request(request).await,
        };
        match response {
            Ok(response) => read_reply(response, &host).await,
            Err(error) => {
                let what = if error.is_connect() { "can't connect to" } else { "lost the connection to" };
                Err(transport_failure(what, &host, &error))
            }
        }
    }
}

/// Reads the body, up to [`MAX_REPLY`] bytes.
async fn read_reply(response: Response<Incoming>, host: &str) -> Result<Reply, SendError> {
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, MAX_REPLY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("{host} replied with more than {MAX_REPLY} bytes");
            return Err(SendError { error: Error::invalid_reply(message) });
        }
        Err(error) => return Err(transport_failure("lost the reply from", host, &*error)),
    };
    Ok(Reply { status: head.status, headers: head.headers, body })
}

fn transport_failure(what: &str, host: &str, error: &(dyn StdError + 'static)) -> SendError {
    let chain = || std::iter::successors(Some(error), |error| cause(*error));
    let mut causes: Vec<String> = chain().map(ToString::to_string).collect();
    // Some errors contain the text of their cause.
    causes.dedup_by(|cause, shown| shown.ends_with(&**cause));
    let message = format!("{what} {host}: {}", causes.join(": "));
    // An invalid certificate stays invalid.
    let permanent = chain()
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::InvalidData);
    SendError { error: Error::transport(message, !permanent) }
}

/// Returns the cause, including the error inside an [`io::Error`], which its `source` skips.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
