//! Access tokens for the helpers of other tools, through the token cache.

use std::time::Duration;

use gcp_iam_credentials::{Credentials, Impersonation, Token};

use crate::chain::{Chain, ChainArguments};
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::source::{SourceArguments, SourceIdentity};
use crate::terminal::waiting;
use crate::token_cache::{Identity, Minted, TokenCache};

/// The arguments that all helpers share.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HelperArguments {
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// Mint a token at every run, and store none
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

/// What a helper wants an access token for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Without one, the account in the credential file.
    pub(crate) chain: Option<&'a Chain>,
    pub(crate) scopes: &'a [String],
}

impl HelperArguments {
    /// Returns an access token from the cache, or a new one.
    pub(crate) fn token(&self, wanted: Wanted<'_>) -> Result<Token, Failure> {
        let Some(source) = self.source.identity()?.filter(|_| !self.no_cache) else {
            return self.mint(wanted, None);
        };
        self.cache().token(&wanted.identity(&source), |limit| {
            let token = self.mint(wanted, limit)?;
            // A login that changed meanwhile must not be the name under which the token of the one before is
            // stored.
            let now = self.source.identity()?;
            let same = now.is_some_and(|now| now.is_same(&source));
            Ok(if same { Minted::Keep(token) } else { Minted::UseOnce(token) })
        })
    }

    /// Removes a token from the cache: it was refused.
    pub(crate) fn forget(&self, wanted: Wanted<'_>, secret: &str) -> Result<(), Failure> {
        if let Some(source) = self.source.identity()? {
            self.cache().forget(&wanted.identity(&source), secret);
        }
        Ok(())
    }

    /// Returns the cache, which is off if an argument says so.
    pub(crate) fn cache(&self) -> TokenCache {
        if self.no_cache { TokenCache::off() } else { TokenCache::of_user() }
    }

    fn mint(&self, wanted: Wanted<'_>, limit: Option<Duration>) -> Result<Token, Failure> {
        let impersonation = self.source.impersonation_of(wanted.chain)?;
        fetch(&impersonation.access_token(wanted.scopes)?, limit)
    }
}

impl Wanted<'_> {
    /// Returns the identity of the token that this source gives.
    pub(crate) fn identity(&self, source: &SourceIdentity) -> Identity {
        let mut parts = source.parts().with("kind", "access token");
        if let Some(chain) = self.chain {
            parts = parts.with("target", &chain.target);
            parts = chain.delegates.iter().fold(parts, |parts, delegate| parts.with("delegate", delegate));
        }
        let mut scopes: Vec<&String> = self.scopes.iter().collect();
        scopes.sort();
        scopes.dedup();
        let parts = scopes.iter().fold(parts, |parts, scope| parts.with("scope", scope));
        Identity::new(parts, Impersonation::LIFETIME)
    }
}

/// Fetches a token within a limit, if there is one.
pub(crate) fn fetch(credentials: &Credentials, limit: Option<Duration>) -> Result<Token, Failure> {
    interrupt::run(async {
        let token = waiting("waiting for the access token", credentials.token());
        match limit {
            None => Ok(token.await?),
            Some(limit) => match tokio::time::timeout(limit, token).await {
                Ok(token) => Ok(token?),
                Err(_) => Err(Failure::new(Exit::Unavailable, "no new token in time")),
            },
        }
    })
}
