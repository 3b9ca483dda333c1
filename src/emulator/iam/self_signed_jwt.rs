//! Self-signed JWTs: Google's APIs accept a JWT of an account instead of its access token.

use std::sync::Arc;

use super::account::Account;
use super::identities::Identities;
use super::jwt::{Parsed, Validity};
use crate::emulator::called_method::CalledMethod;
use crate::emulator::error::ApiError;
use crate::own_hosts::OwnHosts;

/// The longest time between `iat` and `exp`, in seconds: 1 h.
const LONGEST: i64 = 3600;

/// A JWT that an account signed. Its claims aren't checked yet.
#[derive(Debug)]
pub(super) struct SelfSignedJwt<'a> {
    account: Arc<Account>,
    jwt: Parsed<'a>,
}

impl<'a> SelfSignedJwt<'a> {
    /// Returns `None` if no account of this emulator signed `token`.
    pub(super) fn find(identities: &Identities, token: &'a str) -> Option<Self> {
        let jwt = Parsed::from_token(token)?;
        let account = identities.accounts.find(jwt.text("iss")?)?;
        let known = identities.policy().is_none_or(|active| active.policy.knows(account.email()));
        (known && account.keys().has_signed(&jwt)).then_some(Self { account, jwt })
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Returns the scopes, if Google would accept the JWT: `None` if they aren't limited.
    ///
    /// A JWT names the API in `aud`, or has scopes. Its scopes are checked like those of an access
    /// token.
    pub(super) fn scopes(
        &self,
        identities: &Identities,
        method: CalledMethod,
    ) -> Result<Option<Arc<[String]>>, ApiError> {
        match self.jwt.validity(identities.clock.shown_unix(), LONGEST) {
            Validity::Valid => {}
            Validity::Expired => return Err(ApiError::expired_token(method)),
            Validity::Invalid => return Err(ApiError::unsupported_token(method)),
        }
        if self.jwt.text("sub") != self.jwt.text("iss") {
            return Err(ApiError::unsupported_token(method));
        }
        if self.is_for(method, &identities.own_hosts) {
            return Ok(None);
        }
        self.claimed_scopes().map(Some).ok_or_else(|| ApiError::unsupported_token(method))
    }

    /// Returns whether the JWT names the API of the method: its host at Google, or this emulator. gRPC libraries
    /// add the name of the interface.
    fn is_for(&self, method: CalledMethod, own_hosts: &OwnHosts) -> bool {
        let Some(audience) = self.jwt.text("aud").and_then(|audience| audience.parse().ok()) else {
            return false;
        };
        let audience: http::Uri = audience;
        let hosts = [method.service.to_owned(), method.service.replacen('.', ".mtls.", 1)];
        let googles = audience.scheme_str() == Some("https")
            && audience
                .authority()
                .is_some_and(|authority| hosts.iter().any(|host| authority == host.as_str()));
        let path = audience.path().strip_prefix('/').unwrap_or_default();
        (googles || own_hosts.contain_url(&audience))
            && audience.query().is_none()
            && (path.is_empty() || path == method.interface)
    }

    /// Returns the scopes in the claim `scope`, if there are any.
    fn claimed_scopes(&self) -> Option<Arc<[String]>> {
        let scopes: Arc<[String]> =
            self.jwt.text("scope")?.split_ascii_whitespace().map(str::to_owned).collect();
        (!scopes.is_empty()).then_some(scopes)
    }
}
