//! An async closure as a source.

use std::future::Future;

use super::{BoxFuture, FetchRequest, SourceInfo, TokenSource};
use crate::{Error, Token};

/// Calls a closure for each fetch.
pub(crate) struct ClosureSource<F>(pub(crate) F);

impl<F, T> TokenSource for ClosureSource<F>
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = Result<Token, Error>> + Send + 'static,
{
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin((self.0)())
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().with_description("a closure in the program")
    }
}
