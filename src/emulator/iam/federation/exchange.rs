//! Exchanges a token of another platform for an access token.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::access_boundary::AccessBoundary;
use super::aws;
use super::mapping::FederatedPrincipal;
use super::names::{provider_in, split_provider};
use super::oidc::SubjectJwt;
use crate::emulator::error::OauthError;
use crate::emulator::iam::access_tokens::{Record, StsDetails};
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::policy::{OidcProvider, Policy};
use crate::sts_protocol::{AWS_TYPE, CERTIFICATE_TYPE, JWT_TYPES, SAML_TYPE};

/// The longest lifetime of a token from the STS: 1 h.
const LONGEST: Duration = Duration::from_secs(3600);

/// The longest subject token, in bytes.
const LONGEST_TOKEN: usize = 32 * 1024;

/// What a subject token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectKind {
    /// A JWT of an OpenID Connect issuer.
    Jwt,
    /// A signed request to AWS.
    Aws,
}

impl SubjectKind {
    /// Reads a type of tokens.
    pub(crate) fn from_type(text: &str) -> Result<Self, OauthError> {
        let problem = match text {
            AWS_TYPE => return Ok(Self::Aws),
            text if JWT_TYPES.contains(&text) => return Ok(Self::Jwt),
            SAML_TYPE => "The emulator doesn't exchange SAML assertions.",
            CERTIFICATE_TYPE => "The emulator doesn't exchange certificates.",
            _ => "Unsupported subject_token_type.",
        };
        Err(OauthError::new("invalid_request", problem))
    }
}

/// A principal of an identity pool, and how long its token may live.
#[derive(Debug)]
pub(crate) struct Federated {
    principal: FederatedPrincipal,
    lifetime: Duration,
}

impl Federated {
    /// Returns the principal of a subject token, if the provider in `audience` accepts it.
    pub(crate) fn identify(
        identities: &Identities,
        audience: &str,
        kind: SubjectKind,
        token: &str,
    ) -> Result<Self, OauthError> {
        let active = identities.policy();
        let name = provider_in(audience).unwrap_or_default();
        let policy = active.as_ref().map(|active| &active.policy);
        let found =
            policy.and_then(|policy| Some((policy, split_provider(name)?.0, policy.enabled_provider(name)?)));
        let (policy, pool, provider) = found.ok_or_else(|| {
            let problem = "The target service indicated by the \"audience\" parameters is invalid. This might \
                           either be because the pool or provider is disabled or deleted or because it doesn't \
                           exist.";
            OauthError::new("invalid_target", problem)
        })?;
        if token.len() > LONGEST_TOKEN {
            return Err(OauthError::new("invalid_request", "The subject token is too long."));
        }
        let (claims, lifetime) = match (kind, &provider.oidc, &provider.aws) {
            (SubjectKind::Jwt, Some(oidc), _) => of_jwt(identities, oidc, name, token)?,
            (SubjectKind::Aws, _, Some(aws)) => {
                (aws::caller(identities, policy, name, &aws.account_id, token)?, LONGEST)
            }
            _ => {
                let problem = "The subject_token_type does not match the type of the provider.";
                return Err(OauthError::new("invalid_request", problem));
            }
        };
        let principal = FederatedPrincipal::map(pool, provider, claims)?;
        Ok(Self { principal, lifetime })
    }

    /// Returns the principal to which a provider of the policy maps these claims.
    pub(super) fn of_claims(policy: &Policy, name: &str, claims: Value) -> Result<Self, OauthError> {
        let found = split_provider(name).and_then(|(pool, _)| Some((pool, policy.enabled_provider(name)?)));
        let (pool, provider) = found.ok_or_else(|| OauthError::grant("The provider is disabled."))?;
        Ok(Self { principal: FederatedPrincipal::map(pool, provider, claims)?, lifetime: LONGEST })
    }

    pub(crate) fn name(&self) -> &str {
        &self.principal.name
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Returns the record of an access token of the principal.
    pub(crate) fn record(
        self,
        identities: &Identities,
        scopes: Arc<[String]>,
        client_id: &str,
        boundary: Option<AccessBoundary>,
    ) -> Record {
        let issued = identities.clock.now();
        let (sets, client_id) = (self.principal.sets.into(), client_id.to_owned());
        let sts = Some(Arc::new(StsDetails { sets, issued, client_id, boundary }));
        Record { principal: self.principal.name.into(), scopes, expires: issued + self.lifetime, sts }
    }
}

/// Returns the claims of a JWT for the provider `name`, and how long a token for it may live.
fn of_jwt(
    identities: &Identities,
    provider: &OidcProvider,
    name: &str,
    token: &str,
) -> Result<(Value, Duration), OauthError> {
    let jwt = SubjectJwt::decode(token)?;
    let keys = match &provider.jwks {
        Some(keys) => keys.clone(),
        None => identities.issuers.keys(&provider.issuer_uri).jwks(),
    };
    jwt.verify(provider, name, &keys)?;
    let now = identities.clock.shown_unix();
    let left = jwt.check_times(now)?.saturating_sub(now).unsigned_abs();
    Ok((jwt.into_claims(), LONGEST.min(Duration::from_secs(left))))
}
