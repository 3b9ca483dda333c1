//! JSON Web Tokens (JWTs) with RS256.

use serde_json::{Map, Value, json};

use super::key::SigningKey;
use crate::emulator::error::ApiError;
use crate::jwt::{self, Parts};

/// Signs `claims`, the text of a JSON object, without changing it.
pub(crate) fn sign(key: &SigningKey, claims: &str) -> Result<String, ApiError> {
    let header = json!({"alg": "RS256", "kid": key.id(), "typ": "JWT"}).to_string();
    jwt::sign(&header, claims, |signed| key.sign(signed))
}

/// How far a client's clock may differ from the emulator's, in seconds: 5 min.
pub(crate) const CLOCK_SKEW: i64 = 300;

/// Whether the time is between a token's `iat` and `exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    Expired,
    /// A claim is missing, the token isn't valid yet, or it is valid for too long.
    Invalid,
}

/// A decoded token. Nothing is verified yet.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) key_id: Option<String>,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parsed<'a> {
    /// Returns `None` if `token` isn't an RS256 JWT.
    pub(crate) fn from_token(token: &'a str) -> Option<Self> {
        let parts = Parts::split(token)?;
        let header: Map<String, Value> = parts.header()?;
        if header.get("alg")?.as_str()? != "RS256" {
            return None;
        }
        Some(Self {
            key_id: header.get("kid").and_then(Value::as_str).map(str::to_owned),
            claims: parts.claims()?,
            signed: parts.signed,
            signature: parts.signature()?,
        })
    }

    /// Returns whether `key` signed the token. Returns `false` if the token names another key.
    pub(crate) fn is_signed_by(&self, key: &SigningKey) -> bool {
        self.key_id.as_deref().is_none_or(|id| id == key.id())
            && key.verify(self.signed.as_bytes(), &self.signature)
    }

    /// Returns a claim, if it is a string.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// Compares `iat` and `exp` with the time. All times are in seconds. A token may be valid for `longest`.
    pub(crate) fn validity(&self, now: i64, longest: i64) -> Validity {
        // The claims are a client's numbers, so no difference of two may overflow.
        match (self.seconds("iat"), self.seconds("exp")) {
            (Some(_), Some(exp)) if exp <= now => Validity::Expired,
            (Some(iat), Some(exp))
                if iat <= now + CLOCK_SKEW && iat < exp && exp.saturating_sub(iat) <= longest =>
            {
                Validity::Valid
            }
            _ => Validity::Invalid,
        }
    }

    /// Returns a claim in whole seconds, if it is a number.
    fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        // Some libraries send fractions of a second, and Google's token endpoint accepts them.
        value.as_i64().or_else(|| value.as_f64().filter(|f| f.abs() < 1e15).map(|f| f as i64))
    }
}
