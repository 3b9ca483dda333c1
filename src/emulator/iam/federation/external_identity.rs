//! External accounts of the policy, and the tokens that their platforms issue.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tonic::Code;

use super::aws::credentials::AwsCredentials;
use super::exchange::Federated;
use super::names::audience_of;
use crate::emulator::clock::unix;
use crate::emulator::error::{ApiError, OauthError, shorten};
use crate::emulator::faults::PlatformFault;
use crate::emulator::iam::active_policy::ActivePolicy;
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::jwt;
use crate::emulator::iam::key_ring::KeyRing;
use crate::emulator::iam::policy::{AwsProvider, ExternalAccount, IdentityProvider, OidcProvider};

/// How long tokens of Kubernetes are valid: 1 h.
pub(crate) const KUBERNETES_LIFETIME: Duration = Duration::from_secs(3600);

/// The audience of tokens for nobody.
const WRONG_AUDIENCE: &str = "https://wrong-audience.invalid";

/// How long the claims of a person who signs in are valid, in seconds: 1 h.
const SIGN_IN_LIFETIME: i64 = 3600;

/// The subject of tokens of Kubernetes, before the namespace and the name of the account.
const KUBERNETES_SUBJECT: &str = "system:serviceaccount:";

/// An external account of the policy in force.
#[derive(Debug)]
pub(crate) struct ExternalIdentity<'a> {
    identities: &'a Identities,
    name: &'a str,
    active: Arc<ActivePolicy>,
}

/// Which token an external account wants.
#[derive(Debug)]
pub(crate) struct WantedToken<'a> {
    /// The claim `aud`. `None` for the provider of the account.
    pub(crate) audience: Option<&'a str>,
    pub(crate) lifetime: Duration,
    /// What is wrong with the token.
    pub(crate) fault: Option<PlatformFault>,
}

/// A token of an issuer. Times are in seconds since 1970.
#[derive(Debug)]
pub(crate) struct SubjectToken {
    pub(crate) token: String,
    pub(crate) issued: i64,
    pub(crate) expires: i64,
}

impl<'a> ExternalIdentity<'a> {
    /// Finds the account with this name.
    pub(crate) fn find(identities: &'a Identities, name: &'a str) -> Result<Self, ApiError> {
        let active = identities.policy().filter(|it| it.policy.find_external_account(name).is_some());
        let active = active.ok_or_else(|| {
            let problem =
                format!("Not found: {:?} is not among externalAccounts of the policy", shorten(name));
            ApiError::new(Code::NotFound, problem)
        })?;
        Ok(Self { identities, name, active })
    }

    fn account(&self) -> Result<(&ExternalAccount, &IdentityProvider), ApiError> {
        let policy = &self.active.policy;
        let account = policy.find_external_account(self.name);
        let found = account.and_then(|account| Some((account, policy.provider(&account.provider)?)));
        found.ok_or_else(|| ApiError::internal("an external account has no provider"))
    }

    fn oidc(&self) -> Result<(&ExternalAccount, &OidcProvider), ApiError> {
        let (account, provider) = self.account()?;
        let oidc = provider.oidc.as_ref().ok_or_else(|| self.other_platform("AWS, which issues no JWTs"))?;
        Ok((account, oidc))
    }

    /// Returns the account and its provider, if they are of AWS.
    pub(crate) fn aws(&self) -> Result<(&ExternalAccount, &AwsProvider), ApiError> {
        let (account, provider) = self.account()?;
        let aws = provider.aws.as_ref().ok_or_else(|| self.other_platform("an OpenID Connect issuer"))?;
        Ok((account, aws))
    }

    fn other_platform(&self, platform: &str) -> ApiError {
        let name = shorten(self.name);
        ApiError::new(Code::NotFound, format!("Not found: the account {name:?} is of {platform}"))
    }

    /// Returns the URI of the issuer of its tokens.
    pub(crate) fn issuer_uri(&self) -> Result<&str, ApiError> {
        Ok(&self.oidc()?.1.issuer_uri)
    }

    /// Returns the keys of the issuer of its tokens.
    pub(crate) fn issuer_keys(&self) -> Result<Arc<KeyRing>, ApiError> {
        Ok(self.identities.issuers.keys(self.issuer_uri()?))
    }

    /// Returns the name of the provider that exchanges its tokens.
    pub(crate) fn provider(&self) -> Result<&str, ApiError> {
        Ok(&self.account()?.0.provider)
    }

    /// Returns the audience that its provider expects in tokens.
    pub(crate) fn audience(&self) -> Result<String, ApiError> {
        let (account, oidc) = self.oidc()?;
        let default = || format!("https:{}", audience_of(&account.provider));
        Ok(oidc.allowed_audiences.first().cloned().unwrap_or_else(default))
    }

    /// Returns a claim of its tokens, if the policy sets it to a text.
    pub(crate) fn claim(&self, name: &str) -> Option<&str> {
        self.active.policy.find_external_account(self.name)?.claims.get(name)?.as_str()
    }

    /// Returns whether each use of a refresh token replaces it.
    pub(crate) fn rotates_refresh_tokens(&self) -> bool {
        self.account().is_ok_and(|(account, _)| account.rotates_refresh_tokens)
    }

    /// Returns the principal of a person who signs in.
    pub(crate) fn sign_in(&self) -> Result<Federated, OauthError> {
        let now = self.identities.clock.shown_unix();
        let claims = self.claims(&self.audience()?, now, now + SIGN_IN_LIFETIME)?;
        Federated::of_claims(&self.active.policy, self.provider()?, claims)
    }

    /// Issues a token.
    pub(crate) async fn issue(&self, wanted: &WantedToken<'_>) -> Result<SubjectToken, ApiError> {
        let clock = &self.identities.clock;
        let now = clock.now();
        let (shown, lifetime) = (unix(clock.shown(now)), wanted.lifetime.as_secs().cast_signed());
        let issued =
            if wanted.fault == Some(PlatformFault::StaleToken) { shown - 2 * lifetime } else { shown };
        let expires = issued + lifetime;
        let audience = match (wanted.fault, wanted.audience) {
            (Some(PlatformFault::WrongAudience), _) => WRONG_AUDIENCE.to_owned(),
            (_, Some(audience)) => audience.to_owned(),
            (_, None) => self.audience()?,
        };
        let claims = self.claims(&audience, issued, expires)?.to_string();
        let ring = match wanted.fault {
            Some(PlatformFault::RotatedKey) => self.identities.issuers.unpublished_keys(),
            _ => self.issuer_keys()?,
        };
        let token = ring.with_current(now, move |key| jwt::sign(key, &claims)).await?;
        Ok(SubjectToken { token, issued, expires })
    }

    /// Returns the credentials of an account of AWS, with a fault.
    pub(crate) fn aws_credentials(&self, fault: Option<PlatformFault>) -> Result<AwsCredentials, ApiError> {
        self.aws()?;
        let (issuer, now) = (&self.identities.aws, self.identities.clock.now());
        match fault {
            Some(PlatformFault::ExpiredCredentials) => issuer.expired_credentials(self.name, now),
            Some(PlatformFault::WrongSecret) => {
                let mut credentials = issuer.credentials(self.name, now)?;
                credentials.secret_access_key = credentials.secret_access_key.chars().rev().collect();
                Ok(credentials)
            }
            _ => issuer.credentials(self.name, now),
        }
    }

    fn claims(&self, audience: &str, issued: i64, expires: i64) -> Result<Value, ApiError> {
        let (account, oidc) = self.oidc()?;
        let mut claims = Map::new();
        let issuer = &oidc.issuer_uri;
        let standard = json!({"iss": issuer, "aud": audience, "sub": self.name, "iat": issued, "nbf": issued,
            "exp": expires});
        claims.extend(standard.as_object().cloned().unwrap_or_default());
        claims.extend(account.claims.clone());
        if let Some(kubernetes) = claims["sub"].as_str().and_then(kubernetes_claim) {
            claims.entry("kubernetes.io").or_insert(kubernetes);
        }
        Ok(claims.into())
    }
}

/// Returns the claim that Kubernetes adds, if the subject is an account of Kubernetes.
fn kubernetes_claim(subject: &str) -> Option<Value> {
    let (namespace, name) = subject.strip_prefix(KUBERNETES_SUBJECT)?.split_once(':')?;
    Some(json!({"namespace": namespace, "serviceaccount": {"name": name}}))
}
