//! JSON Web Tokens in compact form: splitting, decoding and signing them, and checking claims before
//! they are signed.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

/// How far ahead `exp` may be in a JWT that the API signs.
pub(crate) const MAX_EXPIRY: Duration = Duration::from_secs(12 * 60 * 60);

/// A token split into its three parts. Nothing is decoded or verified yet.
// Only the emulator uses all of it.
#[cfg_attr(not(feature = "emulator"), allow(dead_code))]
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// Header and claims, as the signature covers them.
    pub(crate) signed: &'a str,
    pub(crate) header: &'a str,
    pub(crate) claims: &'a str,
    signature: &'a str,
}

#[cfg_attr(not(feature = "emulator"), allow(dead_code))]
impl<'a> Parts<'a> {
    /// Returns `None` if the token doesn't have exactly three parts.
    pub(crate) fn split(jwt: &'a str) -> Option<Self> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        (!claims.contains('.')).then_some(Self { signed, header, claims, signature })
    }

    /// Decodes the header; `None` if it isn't JSON of that type in base64url.
    pub(crate) fn header<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&decode(self.header)?).ok()
    }

    /// Decodes the claims; `None` if they aren't JSON of that type in base64url.
    pub(crate) fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&decode(self.claims)?).ok()
    }

    /// Decodes the signature; `None` if it isn't base64url.
    pub(crate) fn signature(&self) -> Option<Vec<u8>> {
        decode(self.signature)
    }
}

/// Makes a token of a header and claims, both JSON text, and the signature that `sign` returns for
/// them.
#[cfg(any(feature = "emulator", feature = "_tls"))]
pub(crate) fn sign<E>(
    header: &str,
    claims: &str,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let mut jwt = encode(header);
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut jwt);
    let signature = sign(jwt.as_bytes())?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(jwt)
}

/// Writes bytes in base64url without padding, as JWTs and JSON Web Keys contain them.
#[cfg(any(feature = "emulator", feature = "_tls"))]
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url, with or without padding.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// The time in which a token is valid, in seconds since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    issued_at: u64,
    expires_at: u64,
}

impl Validity {
    pub(crate) fn new(now: SystemTime, lifetime: Duration) -> Self {
        let issued_at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { issued_at, expires_at: issued_at.saturating_add(lifetime.as_secs()) }
    }

    /// Returns the claims that say it.
    pub(crate) fn claims(self) -> [(&'static str, u64); 2] {
        [("iat", self.issued_at), ("exp", self.expires_at)]
    }

    /// Adds the issuer, and the claims that say it.
    pub(crate) fn add_to(self, claims: &mut Value, issuer: &str) {
        claims["iss"] = issuer.into();
        for (claim, value) in self.claims() {
            claims[claim] = value.into();
        }
    }

    /// Returns the instant at which the token expires; `None` if it is too far ahead.
    pub(crate) fn expiry(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.expires_at))
    }
}

/// Returns the instant in a token's `exp` claim. Doesn't check the signature.
pub(crate) fn expiry(jwt: &str) -> Result<SystemTime, Error> {
    let parts = Parts::split(jwt)
        .ok_or_else(|| Error::invalid_reply("the token is not a JWT: it does not have three parts"))?;
    let claims: Value = parts.claims().ok_or_else(|| {
        Error::invalid_reply("the token is not a JWT: its claims are not JSON in base64url")
    })?;
    let seconds = match claims.get("exp") {
        Some(exp) => exp.as_u64(),
        None => return Err(Error::invalid_reply("the token has no exp claim")),
    };
    seconds
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .ok_or_else(|| Error::invalid_reply("the token's exp claim is not a time in whole seconds"))
}

/// Returns the payload of a JWT to sign: one JSON object as text.
///
/// A value that serializes to a string is that text, verbatim. Any other is written as JSON.
pub(crate) fn payload(claims: &impl Serialize, now: SystemTime) -> Result<String, Error> {
    let invalid = |expectation: String| Error::invalid("claims", expectation);
    let value = serde_json::to_value(claims)
        .map_err(|error| invalid(format!("must be serializable as JSON ({:?} error)", error.classify())))?;
    let (text, claims) = match value {
        Value::String(text) => {
            // serde_json's message may quote the payload.
            let claims = serde_json::from_str(&text).map_err(|error| {
                invalid(format!(
                    "must be JSON, got an error at line {}, column {}",
                    error.line(),
                    error.column()
                ))
            })?;
            (Some(text), claims)
        }
        claims => (None, claims),
    };
    let Value::Object(object) = &claims else {
        return Err(invalid(format!("must be a JSON object, got {}", json_type(&claims))));
    };
    if let Some(exp) = object.get("exp") {
        check_expiry(exp, now)?;
    }
    Ok(text.unwrap_or_else(|| claims.to_string()))
}

/// Adds `iat` and `exp` to a payload that [`payload`] returned.
pub(crate) fn dated(payload: &str, now: SystemTime, lifetime: Duration) -> Result<String, Error> {
    if lifetime < Duration::from_secs(1) || lifetime > MAX_EXPIRY {
        let got = lifetime.as_secs_f64();
        return Err(Error::invalid("expires_in", format!("must be between 1 s and 12 h, got {got} s")));
    }
    let claims: serde_json::Map<String, Value> =
        serde_json::from_str(payload).map_err(|_| Error::invalid("claims", "must be a JSON object"))?;
    let times = Validity::new(now, lifetime).claims();
    for (claim, _) in times {
        if claims.contains_key(claim) {
            let error = Error::invalid(format!("claims.{claim}"), "must not be set if `expires_in` is");
            return Err(error.fix_by(format!("leave out `{claim}` or `expires_in`")));
        }
    }
    // The text stays as it is: written again, numbers of many digits would lose some.
    let [iat, exp] = times.map(|(claim, seconds)| format!("\"{claim}\":{seconds}"));
    let rest = payload.trim_ascii_start().trim_start_matches('{');
    let comma = if claims.is_empty() { "" } else { "," };
    Ok(format!("{{{iat},{exp}{comma}{rest}"))
}

fn check_expiry(exp: &Value, now: SystemTime) -> Result<(), Error> {
    let invalid = |expectation: &'static str| Error::invalid("claims.exp", expectation);
    let seconds = match exp {
        Value::Number(number) if number.is_u64() => number.as_u64().unwrap_or_default(),
        Value::Number(number) if number.is_i64() => return Err(invalid("must be in the future")),
        _ => return Err(invalid("must be an integer: seconds since 1970")),
    };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if seconds <= now {
        return Err(invalid("must be in the future"));
    }
    if seconds - now > MAX_EXPIRY.as_secs() {
        return Err(invalid("must be at most 12 hours ahead"));
    }
    Ok(())
}

/// Names the type of a JSON value, for error messages.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_700_000_000;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    /// conf: P45
    #[test]
    fn the_expiry_of_a_token_is_its_exp_claim() {
        let expiry = expiry(&token(r#"{"aud":"a","exp":1564475051}"#)).unwrap();
        assert_eq!(expiry, UNIX_EPOCH + Duration::from_secs(1_564_475_051));
    }

    /// conf: M7
    #[test]
    fn a_token_without_a_valid_expiry_is_an_error() {
        for jwt in [
            "",
            "one",
            "one.two",
            "a.b.c.d",
            "e30.!!!.c2ln",
            &token("not json"),
            &token("{}"),
            &token(r#"{"exp":"1564475051"}"#),
            &token(r#"{"exp":1564475051.5}"#),
            &token(r#"{"exp":-1}"#),
            &token(r#"{"exp":18446744073709551615}"#),
            &token(r#"{"exp":null}"#),
            &token("[1]"),
        ] {
            let error = expiry(jwt).unwrap_err();
            assert!(!error.is_transient(), "{jwt}");
        }
    }

    #[test]
    fn a_value_becomes_json_and_a_string_stays_as_it_is() {
        let claims = json!({"sub": "ünïcode ✓", "exp": NOW + 60});
        let text = payload(&claims, now()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), claims);
        let verbatim = "{ \"b\" : 1,\n \"a\":2 }";
        assert_eq!(payload(&verbatim, now()).unwrap(), verbatim);
        assert_eq!(payload(&verbatim.to_owned(), now()).unwrap(), verbatim);
    }

    #[test]
    fn claims_that_the_service_would_refuse_are_refused_before_sending() {
        for (claims, field) in [
            (json!([1]), "claims"),
            (json!(1), "claims"),
            (Value::Null, "claims"),
            (json!("secret, not JSON"), "claims"),
            (json!("\"secret\""), "claims"),
            (json!({"exp": NOW as f64 + 0.5}), "claims.exp"),
            (json!({"exp": "secret"}), "claims.exp"),
            (json!({"exp": null}), "claims.exp"),
            (json!({"exp": -5}), "claims.exp"),
            (json!({"exp": NOW}), "claims.exp"),
            (json!({"exp": NOW + 12 * 3600 + 1}), "claims.exp"),
            (json!({"exp": u64::MAX}), "claims.exp"),
        ] {
            let error = payload(&claims, now()).unwrap_err();
            assert_eq!(error.field(), Some(field), "{claims}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        assert!(payload(&json!({"exp": NOW + 12 * 3600}), now()).is_ok());
    }

    #[test]
    fn iat_and_exp_are_added_on_request() {
        let text = dated(r#"{"sub":"someone"}"#, now(), Duration::from_secs(600)).unwrap();
        let claims: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(claims, json!({"sub": "someone", "iat": NOW, "exp": NOW + 600}));
        let verbatim = r#" {"n":123456789012345678901234.50, "m":1e2}"#;
        let text = dated(verbatim, now(), Duration::from_secs(600)).unwrap();
        assert!(text.ends_with(r#","n":123456789012345678901234.50, "m":1e2}"#), "{text}");
        assert!(serde_json::from_str::<Value>(&dated("{ }", now(), MAX_EXPIRY).unwrap()).is_ok());
        for (payload, lifetime, field) in [
            ("{}", Duration::ZERO, "expires_in"),
            ("{}", MAX_EXPIRY + Duration::from_secs(1), "expires_in"),
            (r#"{"exp":1}"#, MAX_EXPIRY, "claims.exp"),
            (r#"{"iat":1}"#, MAX_EXPIRY, "claims.iat"),
        ] {
            assert_eq!(dated(payload, now(), lifetime).unwrap_err().field(), Some(field));
        }
    }

    #[test]
    fn an_error_about_claims_does_not_show_them() {
        let claims = std::collections::HashMap::from([((1, "secret"), 2)]);
        let error = payload(&claims, now()).unwrap_err();
        assert_eq!(error.field(), Some("claims"));
        assert!(!error.to_string().contains("secret"));
    }
}
