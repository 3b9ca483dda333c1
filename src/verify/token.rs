//! A token that is to be verified.

use serde_json::{Map, Value};

use super::json_object::JsonObject;
use super::public_key::Algorithm;
use crate::Error;
use crate::error::shorten;
use crate::jwt::{self, Parts};

/// More than any service accepts in a header, in bytes.
const MAX_TOKEN: usize = 32 << 10;

/// A JWT, split and decoded. Nothing in it is verified yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: String,
    pub(super) claims: Map<String, Value>,
    /// Header and claims, as the signature covers them.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    ///
    /// `InvalidInput` with the field `jwt` if it is no JWT, is too long, has a duplicate member, or
    /// isn't signed with a known algorithm and a named key.
    pub(super) fn read(text: &'a str) -> Result<Self, Error> {
        if text.len() > MAX_TOKEN {
            return Err(invalid(format!("must have at most {MAX_TOKEN} bytes, got {}", text.len())));
        }
        let malformed = || invalid("must have three parts in base64url");
        // The specification forbids padding.
        let parts = Some(text).filter(|text| !text.contains('=')).and_then(Parts::split);
        let parts = parts.ok_or_else(malformed)?;
        let signature = parts.signature().ok_or_else(malformed)?;
        let (algorithm, key_id) = read_header(&decoded(parts.header, "header")?)?;
        let claims = decoded(parts.claims, "claims")?;
        Ok(Self { algorithm, key_id, claims, signed: parts.signed, signature })
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, String), Error> {
    let text = |member: &str| header.get(member).and_then(Value::as_str);
    let name = text("alg").unwrap_or_default();
    let algorithm = Algorithm::from_name(name)
        .ok_or_else(|| invalid(format!("must be signed with RS256 or ES256, got {:?}", shorten(name))))?;
    // It lists members of the header that must be understood. This crate knows none.
    if header.contains_key("crit") {
        return Err(invalid("must not have a header `crit`"));
    }
    let key_id = text("kid").ok_or_else(|| invalid("must name its key in the header `kid`"))?;
    Ok((algorithm, key_id.to_owned()))
}

fn decoded(part: &str, name: &str) -> Result<Map<String, Value>, Error> {
    let object = jwt::decode(part).and_then(|text| JsonObject::read(&text));
    let object = object.ok_or_else(|| {
        invalid(format!("must have {name} that are a JSON object in base64url, without duplicate members"))
    })?;
    Ok(object.0)
}

fn invalid(expectation: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid("jwt", expectation)
}
