//! The sources of a world's tokens: one of the client's, and one that is the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::scopes::CLOUD_PLATFORM;
use crate::source::{BoxFuture, FetchRequest};
use crate::{Error, IamCredentialsClient, Token, TokenSource};

pub(super) const TARGET: &str = "target@project.iam.gserviceaccount.com";

/// Returns the same token until it is revoked, then another one.
#[derive(Default)]
pub(super) struct Source {
    revoked: AtomicUsize,
    fails: AtomicBool,
}

impl Source {
    /// Returns the token that is revoked now.
    pub(super) fn revoke(&self) -> String {
        format!("source-{}", self.revoked.fetch_add(1, Ordering::SeqCst))
    }

    pub(super) fn set_fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

impl TokenSource for Source {
    fn fetch<'a>(&'a self, _: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            match self.fails.load(Ordering::SeqCst) {
                true => Err(Error::transient("the vault is sealed")),
                false => Token::new(format!("source-{}", self.revoked.load(Ordering::SeqCst)), None),
            }
        })
    }
}

/// Impersonates the target: what credentials of `client.impersonate(…)` do, with a clock of the
/// world's.
pub(super) struct Impersonated(pub(super) Arc<IamCredentialsClient>);

impl TokenSource for Impersonated {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let call = self.0.generate_access_token(TARGET, [CLOUD_PLATFORM]).timeout(request.time_left());
        Box::pin(call.into_future())
    }
}
