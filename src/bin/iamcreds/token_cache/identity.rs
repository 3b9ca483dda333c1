//! What a cached token belongs to.

use std::time::Duration;

use super::Digest;

/// Everything that decides which token a run gets, as a hash: the name of the token's file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    name: String,
    lifetime: Duration,
}

impl Identity {
    /// Makes an identity of a hash of its parts, for tokens that live at most this long.
    pub(crate) fn new(parts: Digest, lifetime: Duration) -> Self {
        let parts = parts.with("lifetime", lifetime.as_millis().to_string());
        Self { name: parts.hex(), lifetime }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the longest life that a token of this identity can have.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }
}
