//! Exchanges a token of another platform for an access token.

use std::sync::Arc;
use std::time::Duration;

use super::mapping::FederatedPrincipal;
use super::names::{provider_in, split_provider};
use super::oidc::SubjectJwt;
use crate::emulator::error::OauthError;
use crate::emulator::iam::access_tokens::Record;
use crate::emulator::iam::identities::Identities;

/// The longest lifetime of a token from the STS: 1 h.
const LONGEST: Duration = Duration::from_secs(3600);

/// The longest subject token, in bytes.
const LONGEST_TOKEN: usize = 32 * 1024;

/// A principal of an identity pool, and how long its token may live.
#[derive(Debug)]
pub(crate) struct Federated {
    principal: FederatedPrincipal,
    lifetime: Duration,
}

impl Federated {
    /// Returns the principal of a JWT, if the provider in `audience` accepts it.
    pub(crate) fn identify(identities: &Identities, audience: &str, token: &str) -> Result<Self, OauthError> {
        let active = identities.policy();
        let name = provider_in(audience).unwrap_or_default();
        let policy = active.as_ref().map(|active| &active.policy);
        let found = policy.and_then(|policy| Some((split_provider(name)?.0, policy.enabled_provider(name)?)));
        let (pool, provider) = found.ok_or_else(|| {
            let problem = "The target service indicated by the \"audience\" parameters is invalid. This might \
                           either be because the pool or provider is disabled or deleted or because it doesn't \
                           exist.";
            OauthError::new("invalid_target", problem)
        })?;
        if token.len() > LONGEST_TOKEN {
            return Err(OauthError::new("invalid_request", "The subject token is too long."));
        }
        let jwt = SubjectJwt::decode(token)?;
        let keys = match &provider.oidc.jwks {
            Some(keys) => keys.clone(),
            None => identities.issuers.keys(&provider.oidc.issuer_uri).jwks(),
        };
        jwt.verify(&provider.oidc, name, &keys)?;
        let now = identities.clock.shown_unix();
        let left = jwt.check_times(now)?.saturating_sub(now).unsigned_abs();
        let principal = FederatedPrincipal::map(pool, provider, jwt.into_claims())?;
        Ok(Self { principal, lifetime: LONGEST.min(Duration::from_secs(left)) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.principal.name
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Issues an access token of the principal.
    pub(crate) fn issue(self, identities: &Identities, scopes: Arc<[String]>) -> Result<String, OauthError> {
        let now = identities.clock.now();
        let record = Record {
            principal: self.principal.name.into(),
            scopes,
            expires: now + self.lifetime,
            sets: Some(self.principal.sets.into()),
        };
        Ok(identities.access_tokens.issue(record, now)?)
    }
}
