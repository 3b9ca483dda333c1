//! What each of the four methods does.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

use super::request::{ApiRequest, RequestOptions};
use crate::emulator::clock::unix;
use crate::emulator::error::ApiError;
use crate::emulator::iam::account::Account;
use crate::emulator::iam::id_tokens::IdTokenClaims;
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::jwt;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::json_duration;
use crate::jwt::MAX_EXPIRY;
use crate::scopes::check::are_scopes;

/// The lifetime of an access token if the request has none: 1 h.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// The longest lifetime if the policy allows long lifetimes: 12 h. Otherwise it is the default.
const LONGEST_LIFETIME: Duration = Duration::from_secs(12 * 3600);

impl ApiRequest for GenerateAccessTokenRequest {
    type Reply = GenerateAccessTokenResponse;
    const METHOD: Method = Method::GenerateAccessToken;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields {
            scopes: self.scope.clone(),
            lifetime: self.lifetime.and_then(json_duration::non_negative),
            ..RequestFields::default()
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        lifetime(self)?;
        if self.scope.is_empty() || !are_scopes(&self.scope) {
            return Err(ApiError::invalid_argument());
        }
        Ok(())
    }

    fn check_for_target(&self, identities: &Identities, target: &Account) -> Result<(), ApiError> {
        let extended =
            identities.policy().is_some_and(|active| active.policy.allows_long_lifetimes(target.email()));
        if extended || lifetime(self)? <= DEFAULT_LIFETIME {
            Ok(())
        } else {
            Err(ApiError::invalid_argument())
        }
    }

    async fn perform(
        self,
        identities: &Identities,
        target: &Account,
        _: RequestOptions,
    ) -> Result<Self::Reply, ApiError> {
        let lifetime = lifetime(&self)?;
        let (access_token, expires) =
            identities.issue_access_token(target.member(), self.scope.into(), lifetime)?;
        Ok(GenerateAccessTokenResponse { access_token, expire_time: Some(timestamp(identities, expires)) })
    }
}

fn lifetime(request: &GenerateAccessTokenRequest) -> Result<Duration, ApiError> {
    let Some(lifetime) = request.lifetime else { return Ok(DEFAULT_LIFETIME) };
    let lifetime = json_duration::non_negative(lifetime).ok_or_else(ApiError::invalid_argument)?;
    if lifetime.is_zero() || lifetime > LONGEST_LIFETIME {
        return Err(ApiError::invalid_argument());
    }
    Ok(lifetime)
}

/// Returns an expiry as clients see it, in whole seconds as Google sends it.
fn timestamp(identities: &Identities, instant: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: unix(identities.clock.shown(instant)), nanos: 0 }
}

impl ApiRequest for GenerateIdTokenRequest {
    type Reply = GenerateIdTokenResponse;
    const METHOD: Method = Method::GenerateIdToken;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields {
            audience: Some(self.audience.clone()),
            include_email: self.include_email,
            ..RequestFields::default()
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.audience.is_empty() { Err(ApiError::invalid_argument()) } else { Ok(()) }
    }

    async fn perform(
        self,
        identities: &Identities,
        target: &Account,
        options: RequestOptions,
    ) -> Result<Self::Reply, ApiError> {
        let organization =
            || identities.policy().and_then(|active| active.policy.organization_of(target.project()));
        let claims = IdTokenClaims {
            audience: &self.audience,
            subject: target.unique_id(),
            azp: if options.email_azp { target.email() } else { target.unique_id() },
            email: self.include_email.then_some(target.email()),
            // A project without an organization has `null`.
            google: options.organization.then(|| json!({ "organization_number": organization() })),
        };
        Ok(GenerateIdTokenResponse { token: identities.issue_id_token(&claims).await? })
    }
}

impl ApiRequest for SignBlobRequest {
    type Reply = SignBlobResponse;
    const METHOD: Method = Method::SignBlob;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields { payload_len: Some(self.payload.len()), ..RequestFields::default() }
    }

    fn check(&self) -> Result<(), ApiError> {
        Ok(())
    }

    async fn perform(
        self,
        identities: &Identities,
        target: &Account,
        _: RequestOptions,
    ) -> Result<Self::Reply, ApiError> {
        let payload = self.payload;
        target
            .keys()
            .with_current(identities.clock.now(), move |key| {
                Ok(SignBlobResponse { key_id: key.id().to_owned(), signed_blob: key.sign(&payload)? })
            })
            .await
    }
}

impl ApiRequest for SignJwtRequest {
    type Reply = SignJwtResponse;
    const METHOD: Method = Method::SignJwt;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields { payload_len: Some(self.payload.len()), ..RequestFields::default() }
    }

    fn check(&self) -> Result<(), ApiError> {
        claims(self).map(drop)
    }

    fn check_for_target(&self, identities: &Identities, _: &Account) -> Result<(), ApiError> {
        let Some(exp) = claims(self)?.remove("exp") else { return Ok(()) };
        let now = identities.clock.shown_unix();
        match exp.as_i64() {
            Some(exp) if exp >= now && exp <= now + MAX_EXPIRY.as_secs() as i64 => Ok(()),
            _ => Err(ApiError::invalid_argument()),
        }
    }

    async fn perform(
        self,
        identities: &Identities,
        target: &Account,
        _: RequestOptions,
    ) -> Result<Self::Reply, ApiError> {
        let payload = self.payload;
        target
            .keys()
            .with_current(identities.clock.now(), move |key| {
                Ok(SignJwtResponse { key_id: key.id().to_owned(), signed_jwt: jwt::sign(key, &payload)? })
            })
            .await
    }
}

fn claims(request: &SignJwtRequest) -> Result<Map<String, Value>, ApiError> {
    serde_json::from_str(&request.payload).map_err(|_| ApiError::invalid_argument())
}
