//! The reply of a token endpoint.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

/// A whole reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The seconds of its `Retry-After` header.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn is_html(&self) -> bool {
        self.body.trim_ascii_start().first() == Some(&b'<')
    }
}
