//! A service account's key as a source.
//!
//! The key signs an assertion that the token endpoint exchanges for a token. In universes other than
//! googleapis.com, which don't exchange assertions, the key signs the token itself.

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

/// The longest lifetime of an assertion and of a self-signed token.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Gets tokens with a service account's key.
pub(crate) struct ServiceAccountSource {
    key: ServiceAccountKey,
    scope: Box<str>,
    /// `None` if the key signs the tokens.
    endpoint: Option<TokenEndpoint>,
    audience: Box<str>,
    info: SourceInfo,
}

/// A service account and one of its private keys.
pub(crate) struct ServiceAccountKey {
    email: Box<str>,
    id: Option<Box<str>>,
    key: Arc<dyn SigningKey>,
}

impl ServiceAccountKey {
    /// Returns `None` if `pem` doesn't contain an RSA key.
    pub(crate) fn new(email: &str, id: Option<&str>, pem: &str) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = crypto_provider().key_provider.load_private_key(der).ok()?;
        // Tokens are signed with RS256.
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
        Some(Self { email: email.into(), id: id.map(Into::into), key })
    }

    /// Returns a JWT with these claims, `iss`, `iat` and `exp`.
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
                .ok_or_else(|| Error::credentials("signing with the private key failed", false))
        })
    }
}

impl ServiceAccountSource {
    /// Creates a source that exchanges assertions for `audience` at `endpoint`.
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

    /// Creates a source whose key signs the tokens.
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
