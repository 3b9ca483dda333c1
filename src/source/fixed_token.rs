//! A token that never changes, as a source.

use std::time::Duration;

use super::{BoxFuture, CacheHints, FetchRequest, SourceInfo, TokenSource};
use crate::{Error, Token};

/// Returns the same token at each fetch.
#[derive(Debug)]
pub(crate) struct FixedToken {
    token: Token,
    info: SourceInfo,
}

impl FixedToken {
    /// Creates the source of a token that the program has.
    pub(crate) fn new(token: Token) -> Self {
        Self::with_info(token, SourceInfo::new().with_description("a fixed token"))
    }

    /// Creates the source of a token about which more is known.
    pub(crate) fn with_info(token: Token, info: SourceInfo) -> Self {
        Self { token, info }
    }
}

impl TokenSource for FixedToken {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(std::future::ready(Ok(self.token.clone())))
    }

    fn info(&self) -> SourceInfo {
        self.info.clone()
    }

    fn cache_hints(&self) -> CacheHints {
        CacheHints::new().with_renews_at(Duration::ZERO)
    }
}
