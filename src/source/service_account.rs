//! A service account's own key as a source.
//!
//! The key signs either an assertion that the token endpoint exchanges, or the token itself: the
//! latter is all that universes other than googleapis.com take.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use serde_json::{Value, json};

use super::token_endpoint::{Grant, TokenEndpoint};
use super::{BoxFuture, CacheHints, FetchRequest, SourceInfo, TokenSource};
use crate::jwt::{self, Validity};
use crate::tls::crypto_provider;
use crate::{Error, Token};

/// The longest that an assertion or a self-signed token may live.
const LIFETIME: Duration = Duration::from_secs(3600);

pub(crate) struct ServiceAccountSource {
    key: ServiceAccountKey,
    scope: Box<str>,
    /// `None` where the key signs the tokens themselves.
    endpoint: Option<TokenEndpoint>,
    audience: Box<str>,
    info: SourceInfo,
}

/// Who signs, and with what.
pub(crate) struct ServiceAccountKey {
    email: Box<str>,
    id: Option<Box<str>>,
    key: Arc<dyn SigningKey>,
}

impl ServiceAccountKey {
    /// `None` where `pem` holds no RSA key.
    pub(crate) fn new(email: &str, id: Option<&str>, pem: &str) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = crypto_provider().key_provider.load_private_key(der).ok()?;
        // RS256 is what tokens are signed with.
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
        Some(Self { email: email.into(), id: id.map(Into::into), key })
    }

    /// The claims as a JWT; `iss`, `iat` and `exp` are added.
    fn sign(&self, mut claims: Value, now: SystemTime) -> Result<String, Error> {
        Validity::new(now, LIFETIME).add_to(&mut claims, &self.email);
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.id {
            header["kid"] = (**id).into();
        }
        jwt::sign(&header.to_string(), &claims.to_string(), |signed| {
            self.key
                .choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])
                .and_then(|signer| signer.sign(signed).ok())
                .ok_or_else(|| Error::credentials("the private key does not sign", false))
        })
    }
}

impl ServiceAccountSource {
    /// Exchanges assertions at `endpoint`, which knows itself as `audience`.
    pub(crate) fn exchanging(
        key: ServiceAccountKey,
        endpoint: TokenEndpoint,
        audience: &str,
        scopes: &[String],
        info: SourceInfo,
    ) -> Self {
        Self {
            key,
            scope: scopes.join(" ").into(),
            endpoint: Some(endpoint),
            audience: audience.into(),
            info,
        }
    }

    /// Signs the tokens by itself.
    pub(crate) fn self_signing(key: ServiceAccountKey, scopes: &[String], info: SourceInfo) -> Self {
        Self { key, scope: scopes.join(" ").into(), endpoint: None, audience: "".into(), info }
    }

    async fn token(&self, request: FetchRequest<'_>) -> Result<Token, Error> {
        let now = SystemTime::now();
        match &self.endpoint {
            Some(endpoint) => {
                let claims = json!({ "aud": *self.audience, "scope": *self.scope });
                let assertion = self.key.sign(claims, now)?;
                endpoint.exchange(Grant::JwtBearer { assertion: &assertion }, request.deadline()).await
            }
            None => {
                let claims = json!({ "sub": *self.key.email, "scope": *self.scope });
                Token::new(self.key.sign(claims, now)?, now.checked_add(LIFETIME))
            }
        }
    }
}

impl TokenSource for ServiceAccountSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.token(request))
    }

    fn info(&self) -> SourceInfo {
        let info = self.info.clone().with_scopes(self.scope.split(' '));
        match &self.endpoint {
            Some(endpoint) => {
                info.with_description("a service account key (service_account)").with_endpoint(endpoint.uri())
            }
            None => {
                info.with_description("a service account key that signs its own tokens (service_account)")
            }
        }
    }

    fn cache_hints(&self) -> CacheHints {
        CacheHints::new().with_max_lifetime(LIFETIME)
    }
}

impl fmt::Debug for ServiceAccountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountSource")
            .field("endpoint", &self.endpoint)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
