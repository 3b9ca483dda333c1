//! What a status means: a reply of the service, or a failure on the way to it.
//!
//! tonic reports both as a [`Status`], and the codes that it uses for local failures vary. The
//! status's chain of sources tells them apart.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;

use http::Uri;
use tonic::{Code, ConnectError, Status, TimeoutExpired, transport};

use crate::Error;
use crate::client::transport::Exchange;
use crate::error::ServiceError;
use crate::proxy::ProxyFailure;

/// Turns a status into an error.
///
/// Each function below recognizes one kind of failure. They are tried in order. What none of them
/// recognizes is a reply of the service.
pub(super) fn classify(status: Status, exchange: &Exchange, origin: &Uri) -> Error {
    if let Some(error) = reply_of_another_server(&status, exchange, origin) {
        return error.with_status(status, is_wrapper);
    }
    if let Some(error) = failure_of_the_source(&status) {
        return error;
    }
    if let Some(error) = timeout(&status) {
        return error;
    }
    if let Some(error) = lost_connection(&status, origin) {
        return error.with_status(status, is_wrapper);
    }
    if let Some(error) = truncated_reply(&status, origin) {
        return error.with_status(status, is_wrapper);
    }
    let transient = is_transient(status.code());
    Error::status(ServiceError::new(status), transient)
}

/// A proxy or another server replied, because the reply isn't gRPC.
fn reply_of_another_server(status: &Status, exchange: &Exchange, origin: &Uri) -> Option<Error> {
    let http = exchange.non_grpc_status()?;
    let content_type = status.metadata().get("content-type").and_then(|value| value.to_str().ok());
    let message = format!(
        "the reply from {origin} is not gRPC (HTTP status {http}, {}): a proxy or another server replied",
        content_type.unwrap_or("no content type"),
    );
    let transient = http == 429 || (500..600).contains(&http);
    Some(Error::transport(message, transient))
}

/// A layer below has credentials of this crate, and they failed.
fn failure_of_the_source(status: &Status) -> Option<Error> {
    let error = causes(status).find_map(|error| error.downcast_ref::<Error>())?;
    Some(Error::no_source_token(error.clone()))
}

/// tonic's own timer fired.
fn timeout(status: &Status) -> Option<Error> {
    let expired = causes(status).any(|error| error.is::<TimeoutExpired>());
    expired.then(|| Error::timeout("no reply within the attempt timeout", None))
}

/// The connection couldn't be made or was lost: the status has a cause, and that isn't the status
/// of a layer below.
fn lost_connection(status: &Status, origin: &Uri) -> Option<Error> {
    status.source()?;
    if causes(status).any(|error| error.is::<Status>()) {
        return None;
    }
    if let Some(failure) = status.source().and_then(ProxyFailure::among) {
        return Some(failure.to_error(format!("cannot connect to {origin}")));
    }
    let message = match causes(status).any(|error| error.is::<ConnectError>()) {
        true => format!("cannot connect to {origin}"),
        false => format!("the connection to {origin} was lost"),
    };
    // An untrusted certificate is reported as invalid data. It stays untrusted.
    let permanent = causes(status)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
    Some(Error::transport(message, !permanent))
}

/// The stream was reset after the head of the reply. hyper ends such a body as if it were complete,
/// so tonic only notices that the trailers are missing.
fn truncated_reply(status: &Status, origin: &Uri) -> Option<Error> {
    // What tonic says depends on its version.
    let texts = ["grpc-status header missing", "protocol error: missing grpc-status trailer"];
    let says_so = texts.iter().any(|text| status.message().starts_with(text));
    (status.code() == Code::Unknown && says_so)
        .then(|| Error::transport(format!("the reply from {origin} was cut off"), true))
}

/// Whether the same request may succeed later, by the code of the service's reply.
fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled
    )
}

/// Whether an error only wraps another one: tonic's transport error says no more than "transport
/// error", and its connect error repeats the text of the error inside.
fn is_wrapper(error: &(dyn StdError + 'static)) -> bool {
    error.is::<transport::Error>() || error.is::<ConnectError>()
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    successors(status.source(), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_that_ends_without_trailers_is_cut_off() {
        let origin = Uri::from_static("https://iam.test");
        let response = http::Response::new(tonic::body::Body::empty());
        let decoder = tonic_prost::ProstDecoder::<()>::default();
        let mut reply =
            tonic::Streaming::new_response(decoder, response.into_body(), http::StatusCode::OK, None, None);
        let status = reply.message().await.unwrap_err();
        let error = truncated_reply(&status, &origin).unwrap_or_else(|| panic!("{status:?}"));
        assert!(
            error.is_transient() && error.to_string().ends_with("https://iam.test/ was cut off"),
            "{error}"
        );

        let same_text = Status::internal(status.message());
        assert!(truncated_reply(&same_text, &origin).is_none());
    }
}
