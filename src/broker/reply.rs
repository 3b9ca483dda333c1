//! The bodies of replies.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;

/// Returns a body that consists of a text.
pub(super) fn body(text: impl Into<Bytes>) -> Body {
    Body::new(Full::new(text.into()))
}

/// Returns a reply with a text.
pub(super) fn reply(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Body> {
    let mut reply = Response::new(body(text));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
