//! What each of the four methods does.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

use super::{ApiRequest, Options};
use crate::emulator::clock::unix;
use crate::emulator::error::Refusal;
use crate::emulator::iam::account::Account;
use crate::emulator::iam::jwt;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::emulator::state::{IdClaims, World};

/// The lifetime of an access token where none is asked for.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// The longest lifetime of all; an account whose lifetime is not extended gets the default at most.
const LONGEST_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The furthest ahead that `exp` may be in a JWT to sign.
const LONGEST_JWT: i64 = 12 * 3600;

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
            lifetime: self.lifetime.and_then(|lifetime| lifetime.try_into().ok()),
            ..RequestFields::default()
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        lifetime(self)?;
        if self.scope.is_empty() || self.scope.iter().any(|scope| scope.trim().is_empty()) {
            return Err(Refusal::invalid_argument());
        }
        Ok(())
    }

    fn check_now(&self, world: &World, target: &Account) -> Result<(), Refusal> {
        let extended =
            world.policy().as_ref().is_none_or(|rules| rules.policy.allows_long_lifetimes(target.email()));
        if extended || lifetime(self)? <= DEFAULT_LIFETIME {
            Ok(())
        } else {
            Err(Refusal::invalid_argument())
        }
    }

    async fn perform(self, world: &World, target: &Account, _: &Options) -> Result<Self::Reply, Refusal> {
        let lifetime = lifetime(&self)?;
        let (access_token, expires) = world.issue(target.member(), self.scope.into(), lifetime)?;
        Ok(GenerateAccessTokenResponse { access_token, expire_time: Some(timestamp(world, expires)) })
    }
}

fn lifetime(request: &GenerateAccessTokenRequest) -> Result<Duration, Refusal> {
    let Some(lifetime) = request.lifetime else { return Ok(DEFAULT_LIFETIME) };
    let lifetime = Duration::try_from(lifetime).map_err(|_| Refusal::invalid_argument())?;
    if lifetime.is_zero() || lifetime > LONGEST_LIFETIME {
        return Err(Refusal::invalid_argument());
    }
    Ok(lifetime)
}

/// Google's times of expiry are whole seconds.
fn timestamp(world: &World, instant: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: unix(world.clock.shown(instant)), nanos: 0 }
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

    fn check(&self) -> Result<(), Refusal> {
        if self.audience.is_empty() { Err(Refusal::invalid_argument()) } else { Ok(()) }
    }

    async fn perform(
        self,
        world: &World,
        target: &Account,
        options: &Options,
    ) -> Result<Self::Reply, Refusal> {
        let organization = options
            .organization
            .then(|| world.policy().and_then(|rules| rules.policy.organization_of(target.project())));
        let claims = IdClaims {
            audience: &self.audience,
            subject: target.unique_id(),
            azp: if options.email_azp { target.email() } else { target.unique_id() },
            email: self.include_email.then_some(target.email()),
            organization,
        };
        Ok(GenerateIdTokenResponse { token: world.id_token(&claims).await? })
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

    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn perform(self, world: &World, target: &Account, _: &Options) -> Result<Self::Reply, Refusal> {
        let payload = self.payload;
        world
            .with_key(target, move |key| {
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

    fn check(&self) -> Result<(), Refusal> {
        claims(self).map(drop)
    }

    fn check_now(&self, world: &World, _: &Account) -> Result<(), Refusal> {
        let Some(exp) = claims(self)?.remove("exp") else { return Ok(()) };
        let now = world.clock.shown_unix();
        match exp.as_i64() {
            Some(exp) if exp >= now && exp <= now + LONGEST_JWT => Ok(()),
            _ => Err(Refusal::invalid_argument()),
        }
    }

    async fn perform(self, world: &World, target: &Account, _: &Options) -> Result<Self::Reply, Refusal> {
        let payload = self.payload;
        world
            .with_key(target, move |key| {
                Ok(SignJwtResponse { key_id: key.id().to_owned(), signed_jwt: jwt::sign(key, &payload)? })
            })
            .await
    }
}

fn claims(request: &SignJwtRequest) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_str(&request.payload).map_err(|_| Refusal::invalid_argument())
}
