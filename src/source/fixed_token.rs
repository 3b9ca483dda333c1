//! A token that never changes, as a source.

use std::time::Duration;

use super::{BoxFuture, CacheHints, FetchRequest, SourceInfo, TokenSource};
use crate::{Error, Token};

/// Returns the same token at each fetch.
#[derive(Debug)]
pub(crate) struct FixedToken(pub(crate) Token);

impl TokenSource for FixedToken {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().with_description("a fixed token")
    }

    fn cache_hints(&self) -> CacheHints {
        CacheHints::new().with_renews_at(Duration::ZERO)
    }
}
