//! The reply to a request.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

/// A whole reply. Its `Debug` form shows neither headers nor body, because they may be secret.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Returns the wait that `Retry-After` asks for, if it is a number of seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        seconds.trim().parse().ok().map(Duration::from_secs)
    }

    /// Returns whether a later request may succeed, as after a reply of a server that is overloaded or
    /// broken.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code, reason = "nothing gets a reply"))]
    pub(crate) fn is_transient_failure(&self) -> bool {
        self.status.is_server_error()
            || matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
    }

    /// Returns whether the body looks like a page for people, as a proxy sends it.
    pub(crate) fn is_html(&self) -> bool {
        self.body.trim_ascii_start().first() == Some(&b'<')
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.body.len();
        f.debug_struct("Reply").field("status", &self.status).field("length", &length).finish()
    }
}

#[cfg(any(test, fuzzing))]
impl Reply {
    /// Creates a reply, for tests.
    pub(crate) fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }

    /// Adds `Retry-After`, for tests.
    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.headers.insert(header::RETRY_AFTER, wait.as_secs().into());
        self
    }
}
