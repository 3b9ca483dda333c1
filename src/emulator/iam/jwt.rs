//! JSON Web Tokens, RS256 only.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::emulator::error::Refusal;
use crate::emulator::iam::key::SigningKey;

/// Signs `claims`, which go in as they are: the text of a JSON object.
pub(crate) fn sign(key: &SigningKey, claims: &str) -> Result<String, Refusal> {
    let header = json!({"alg": "RS256", "kid": key.id(), "typ": "JWT"}).to_string();
    let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// A token taken apart. Nothing about it is checked yet.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) key_id: Option<String>,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parsed<'a> {
    /// `None` where `token` is not an RS256 JWT.
    pub(crate) fn from_token(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = object(header)?;
        if header.get("alg")?.as_str()? != "RS256" {
            return None;
        }
        Some(Self {
            key_id: header.get("kid").and_then(Value::as_str).map(str::to_owned),
            claims: object(claims)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// Whether one of `keys` signed it: the one it names, if it names one.
    pub(crate) fn is_signed_by<'k>(&self, keys: impl IntoIterator<Item = &'k SigningKey>) -> bool {
        keys.into_iter()
            .filter(|key| self.key_id.as_deref().is_none_or(|id| id == key.id()))
            .any(|key| key.verify(self.signed.as_bytes(), &self.signature))
    }

    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    pub(crate) fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        // Some libraries send a fraction here, and Google's token endpoint takes it.
        value.as_i64().or_else(|| value.as_f64().filter(|f| f.abs() < 1e15).map(|f| f as i64))
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&decode(part)?).ok()
}

fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()
}
