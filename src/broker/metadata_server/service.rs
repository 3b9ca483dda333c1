//! The reply to one request.

use std::convert::Infallible;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::access::Access;
use super::identity::{Failure, Identity};
use crate::metadata_protocol::{Refusal, answer, failure, mark};

/// Replies to requests.
pub(super) struct Service {
    access: Access,
    identity: Identity,
}

impl Service {
    pub(super) fn new(access: Access, identity: Identity) -> Self {
        Self { access, identity }
    }

    /// Replies to a request. Its body isn't read.
    pub(super) async fn reply<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, _) = request.into_parts();
        let reply = self.answer(&head).await;
        let mut reply = reply.unwrap_or_else(|failed| failure(failed.status, &failed.message));
        mark(reply.headers_mut());
        Ok(reply.map(|body| Full::new(body.into())))
    }

    async fn answer(&self, head: &Parts) -> Result<Response<String>, Failure> {
        self.access.check_host(&head.headers, &head.uri)?;
        let uri = self.access.inside(&head.uri).ok_or(Refusal::NOT_FOUND)?;
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "the metadata server can only be read"));
        }
        let mut reply = answer(&self.identity, &head.headers, &uri).await?;
        if let Some(location) = reply.headers_mut().get_mut(header::LOCATION) {
            let outside = [self.access.prefix().as_bytes(), location.as_bytes()].concat();
            *location = HeaderValue::from_bytes(&outside).unwrap_or_else(|_| location.clone());
        }
        Ok(reply)
    }
}
