//! What a cache should know of a source's tokens.

use std::time::Duration;

/// Habits of a [`TokenSource`](crate::TokenSource) that the cache in front of it goes by.
///
/// The default fits a source that fetches a new token each time and knows nothing of its life
/// beyond the expiry it reports.
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::CacheHints;
///
/// // Asks for tokens of one hour, from a helper that keeps each until its last minute.
/// const HINTS: CacheHints =
///     CacheHints::new().max_lifetime(Duration::from_secs(3600)).renews_at(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CacheHints {
    max_lifetime: Option<Duration>,
    renewal: Option<Duration>,
}

impl CacheHints {
    /// Nothing special.
    pub const fn new() -> Self {
        Self { max_lifetime: None, renewal: None }
    }

    /// No token lives longer than this from when it was asked for, whatever expiry it reports: the
    /// lifetime that the source asks for. It keeps a local clock that runs behind from stretching
    /// a token's life.
    pub const fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
        self
    }

    /// The source has a cache of its own, and hands out the same token until this much of its
    /// life is left: asking for a new one earlier is of no use.
    pub const fn renews_at(mut self, left: Duration) -> Self {
        self.renewal = Some(left);
        self
    }

    pub(crate) const fn known_max_lifetime(&self) -> Option<Duration> {
        self.max_lifetime
    }

    pub(crate) const fn known_renewal(&self) -> Option<Duration> {
        self.renewal
    }
}
