//! The reply to one request.

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;

use super::identity::Identity;
use crate::broker::connections::Responder;
use crate::broker::metadata::{Failure, check_host, marked, respond};
use crate::broker::peer::Peer;

/// Replies to requests.
pub(super) struct Service {
    /// The path before that of the metadata server, without a slash at its end.
    prefix: String,
    identity: Identity,
}

impl Service {
    pub(super) fn new(prefix: String, identity: Identity) -> Self {
        Self { prefix, identity }
    }

    async fn answer(&self, head: &Parts) -> Result<Response<Body>, Failure> {
        check_host(&head.headers, &head.uri)?;
        respond(&self.identity, &self.prefix, head).await
    }
}

impl Responder for Service {
    const HTTP2: bool = false;

    /// Replies to a request. Its body isn't read.
    async fn reply(&self, _peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let (head, _) = request.into_parts();
        marked(self.answer(&head).await)
    }
}
