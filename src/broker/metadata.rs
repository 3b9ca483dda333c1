//! What all metadata servers of the broker have in common: who is answered, and the form of answers.

mod access;
mod failure;
mod machine;

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use tonic::body::Body;

pub(super) use self::access::{check_host, inside};
pub(super) use self::failure::Failure;
pub(super) use self::machine::{checked_project, machine_of};
use super::reply::body;
use crate::metadata_protocol::{Backend, Refusal, answer, failure, mark};

/// Returns the reply to a request below `prefix`.
pub(super) async fn respond<B: Backend<Failure = Failure>>(
    backend: &B,
    prefix: &str,
    head: &Parts,
) -> Result<Response<Body>, Failure> {
    let uri = inside(prefix, &head.uri).ok_or(Refusal::NOT_FOUND)?;
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "the metadata server can only be read"));
    }
    let mut reply = answer(backend, &head.headers, &uri).await?;
    if let Some(location) = reply.headers_mut().get_mut(header::LOCATION) {
        let outside = [prefix.as_bytes(), location.as_bytes()].concat();
        *location = HeaderValue::from_bytes(&outside).unwrap_or_else(|_| location.clone());
    }
    Ok(reply.map(body))
}

/// Returns a reply with the headers by which clients recognize a metadata server.
pub(super) fn marked(reply: Result<Response<Body>, Failure>) -> Response<Body> {
    let mut reply = reply.unwrap_or_else(|failed| failure(failed.status, &failed.message).map(body));
    mark(reply.headers_mut());
    reply
}
