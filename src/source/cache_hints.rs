//! What the cache needs to know about a source's tokens.

use std::time::Duration;

/// Properties of a [`TokenSource`](crate::TokenSource) that its cache takes into account.
///
/// The default suits a source that fetches a new token each time, and that knows only the expiry
/// it reports.
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::source::CacheHints;
///
/// // A helper program that asks for tokens of one hour, and that keeps each
/// // of them until one minute before its expiry.
/// const HINTS: CacheHints = CacheHints::new()
///     .with_max_lifetime(Duration::from_secs(3600))
///     .with_renews_at(Duration::from_secs(60));
/// assert_eq!(HINTS.renews_at(), Some(Duration::from_secs(60)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CacheHints {
    max_lifetime: Option<Duration>,
    renews_at: Option<Duration>,
}

impl CacheHints {
    /// Creates hints that limit nothing.
    pub const fn new() -> Self {
        Self { max_lifetime: None, renews_at: None }
    }

    /// Sets the longest time that a token can live, counted from when it was requested. Default:
    /// no limit besides the reported expiry.
    ///
    /// Set the lifetime that the source asks for. Then a local clock that is slow can't extend a
    /// token's life.
    pub const fn with_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = Some(lifetime);
        self
    }

    /// Sets how much of a token's life is left when the source replaces it. Default: the source
    /// replaces it at each fetch.
    ///
    /// Set it for a source that has its own cache and returns the same token until then: the cache
    /// doesn't ask for a new token earlier.
    pub const fn with_renews_at(mut self, left: Duration) -> Self {
        self.renews_at = Some(left);
        self
    }

    /// Returns the longest time that a token can live, if it is limited.
    pub const fn max_lifetime(&self) -> Option<Duration> {
        self.max_lifetime
    }

    /// Returns how much of a token's life is left when the source replaces it, if the source has
    /// its own cache.
    pub const fn renews_at(&self) -> Option<Duration> {
        self.renews_at
    }
}
