//! The tokens of OpenID Connect issuers.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

use super::names::audience_of;
use crate::emulator::error::{OauthError, shorten};
use crate::emulator::iam::jwt::CLOCK_SKEW;
use crate::emulator::iam::policy::OidcProvider;
use crate::jwt::{Parts, decode};

/// The longest time between `iat` and `exp`, and since `iat`, in seconds: 24 h.
const LONGEST: i64 = 24 * 3600;

/// A decoded token. Nothing is verified yet.
pub(super) struct SubjectJwt<'a> {
    algorithm: String,
    key_id: Option<String>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> SubjectJwt<'a> {
    pub(super) fn decode(token: &'a str) -> Result<Self, OauthError> {
        Self::decoded(token).ok_or_else(|| OauthError::grant("The subject token is not a valid JWT."))
    }

    fn decoded(token: &'a str) -> Option<Self> {
        let parts = Parts::split(token)?;
        let header: Map<String, Value> = parts.header()?;
        let text = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            algorithm: text("alg")?,
            key_id: text("kid"),
            claims: parts.claims()?,
            signed: parts.signed,
            signature: parts.signature()?,
        })
    }

    /// Checks that the issuer signed the token for this provider, whose name is `name`.
    ///
    /// `keys` is the JSON Web Key Set of the issuer.
    pub(super) fn verify(&self, provider: &OidcProvider, name: &str, keys: &Value) -> Result<(), OauthError> {
        let keys = keys["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !keys.iter().any(|key| self.is_signed_by(key)) {
            return Err(OauthError::grant("The signature of the ID Token could not be verified."));
        }
        let issuer = self.text("iss");
        // Google compares without a slash at the end.
        if issuer.trim_end_matches('/') != provider.issuer_uri.trim_end_matches('/') {
            let issuer = shorten(issuer);
            let problem = format!("The issuer in ID Token {issuer} does not match the expected ones.");
            return Err(OauthError::grant(problem));
        }
        if self.audiences().any(|audience| is_allowed(provider, name, audience)) {
            return Ok(());
        }
        let audience = self.audiences().next().map(shorten).unwrap_or_default();
        let problem = format!("The audience in ID Token [{audience}] does not match the expected audience.");
        Err(OauthError::grant(problem))
    }

    /// Checks `iat`, `nbf` and `exp`, and returns `exp`. All times are in seconds since 1970.
    pub(super) fn check_times(&self, now: i64) -> Result<i64, OauthError> {
        let missing = |claim| OauthError::grant(format!("The ID Token has no valid claim {claim}."));
        let exp = self.seconds("exp").ok_or_else(|| missing("exp"))?;
        let iat = self.seconds("iat").ok_or_else(|| missing("iat"))?;
        if exp <= now || iat < now - LONGEST {
            return Err(OauthError::grant(format!("ID Token issued at {iat} is stale to sign-in.")));
        }
        if iat > now + CLOCK_SKEW || self.seconds("nbf").is_some_and(|nbf| nbf > now + CLOCK_SKEW) {
            return Err(OauthError::grant(format!("ID Token issued at {iat} is not valid yet.")));
        }
        if iat >= exp || exp.saturating_sub(iat) > LONGEST {
            return Err(OauthError::grant("The ID Token is valid for more than 24 hours."));
        }
        Ok(exp)
    }

    pub(super) fn into_claims(self) -> Value {
        self.claims.into()
    }

    fn is_signed_by(&self, key: &Value) -> bool {
        let field = |name: &str| key[name].as_str();
        let bytes = |name: &str| field(name).and_then(decode).unwrap_or_default();
        if self.key_id.as_deref().is_some_and(|id| field("kid").is_some_and(|kid| kid != id)) {
            return false;
        }
        let signed = self.signed.as_bytes();
        match (self.algorithm.as_str(), field("kty")) {
            ("RS256", Some("RSA")) => {
                let key = RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, &self.signature).is_ok()
            }
            ("ES256", Some("EC")) => {
                let point = [vec![4], bytes("x"), bytes("y")].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, &self.signature)
                    .is_ok()
            }
            _ => false,
        }
    }

    fn text(&self, claim: &str) -> &str {
        self.claims.get(claim).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the claim `aud`, which is a text or a list of texts.
    fn audiences(&self) -> impl Iterator<Item = &str> {
        let audience = self.claims.get("aud");
        let list = audience.and_then(Value::as_array).into_iter().flatten();
        audience.into_iter().chain(list).filter_map(Value::as_str)
    }

    fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        value.as_i64().or_else(|| value.as_f64().filter(|f| f.abs() < 1e15).map(|f| f as i64))
    }
}

/// Returns whether tokens with this audience are for the provider.
fn is_allowed(provider: &OidcProvider, name: &str, audience: &str) -> bool {
    if !provider.allowed_audiences.is_empty() {
        return provider.allowed_audiences.iter().any(|allowed| allowed == audience);
    }
    let default = audience_of(name);
    audience == default || audience.strip_prefix("https:") == Some(&default)
}
