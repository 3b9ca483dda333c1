//! What a command prints: a token, or why there is none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::super::SubjectToken;
use super::super::format::MAX_SIZE;
use crate::source::token_endpoint::{is_code, is_plain_text};
use crate::sts_protocol::{JWT_TYPES, SAML_TYPE};

/// The version of the format that this crate knows.
const VERSION: u64 = 1;

/// A well-formed reply.
pub(super) enum Reply {
    Token {
        token: SubjectToken,
        expires_at: Option<SystemTime>,
    },
    /// Why there is no token, as far as an error may show it.
    Failure(String),
}

#[derive(Deserialize)]
struct Fields {
    version: u64,
    success: bool,
    token_type: Option<String>,
    id_token: Option<String>,
    saml_response: Option<String>,
    expiration_time: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

impl Reply {
    /// Reads a reply with a token of this kind. `must_expire` says whether it needs an expiry. The
    /// error says what is wrong, without any of the content.
    pub(super) fn parse(content: &[u8], is_saml: bool, must_expire: bool) -> Result<Self, String> {
        if content.len() > MAX_SIZE {
            return Err(format!("has more than {MAX_SIZE} bytes"));
        }
        let fields: Fields = serde_json::from_slice(content).map_err(|error| match error.is_data() {
            true => "has no JSON object with the fields of a reply, each of the right type and only once"
                .to_owned(),
            false => format!("has no JSON: error at line {}, column {}", error.line(), error.column()),
        })?;
        match fields {
            Fields { version, .. } if version != VERSION => {
                Err(format!("has `version` {version}, and only version {VERSION} is supported"))
            }
            Fields { success: true, .. } => fields.token(is_saml, must_expire),
            Fields { success: false, .. } => Ok(Self::Failure(fields.failure())),
        }
    }

    /// Returns the token, unless it has expired by `now`.
    pub(super) fn into_token(self, now: SystemTime) -> Result<SubjectToken, String> {
        match self {
            Self::Token { expires_at: Some(expiry), .. } if expiry <= now => {
                Err("returned a token that has expired".to_owned())
            }
            Self::Token { token, .. } => Ok(token),
            Self::Failure(reason) => Err(format!("replied that it failed{reason}")),
        }
    }
}

impl Fields {
    fn token(self, is_saml: bool, must_expire: bool) -> Result<Reply, String> {
        let token_type = self.token_type.as_deref().ok_or("has no `token_type`")?;
        let (expected, field, token) = match is_saml {
            true => (&[SAML_TYPE][..], "saml_response", self.saml_response),
            false => (&JWT_TYPES[..], "id_token", self.id_token),
        };
        if !expected.contains(&token_type) {
            return Err(format!("has a `token_type` other than {}", expected.join(" and ")));
        }
        let token = token.as_deref().and_then(SubjectToken::new);
        let token = token.ok_or_else(|| format!("has no token in `{field}`"))?;
        let expires_at = match self.expiration_time {
            Some(seconds) => UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
            None if must_expire => {
                return Err("has no `expiration_time`, which an output file needs".to_owned());
            }
            None => None,
        };
        Ok(Reply::Token { token, expires_at })
    }

    /// Returns the code and the message, unless they may contain a secret.
    fn failure(&self) -> String {
        let code = self.code.as_deref().filter(|code| is_code(code));
        let message = self.message.as_deref().map(str::trim).filter(|message| is_plain_text(message));
        [code, message].into_iter().flatten().map(|part| format!(": {part}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn outcome(reply: &str, is_saml: bool, must_expire: bool) -> Result<SubjectToken, String> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        Reply::parse(reply.as_bytes(), is_saml, must_expire)?.into_token(now)
    }

    fn good() -> Value {
        json!({
            "version": 1, "success": true, "token_type": JWT_TYPES[0], "id_token": "a.b.c",
            "expiration_time": NOW + 1,
        })
    }

    /// conf: F3
    #[test]
    fn a_reply_has_a_jwt_or_a_saml_assertion() {
        assert_eq!(outcome(&good().to_string(), false, true).unwrap().secret(), "a.b.c");
        let mut reply = good();
        reply["token_type"] = JWT_TYPES[1].into();
        reply["expiration_time"] = Value::Null;
        reply["more"] = json!({"a": 1});
        assert_eq!(outcome(&reply.to_string(), false, false).unwrap().secret(), "a.b.c");
        reply["token_type"] = SAML_TYPE.into();
        reply["saml_response"] = "assertion".into();
        assert_eq!(outcome(&reply.to_string(), true, false).unwrap().secret(), "assertion");
        assert!(outcome(&reply.to_string(), false, false).is_err(), "an assertion isn't a JWT");
    }

    /// conf: F3
    #[test]
    fn each_field_of_a_reply_may_be_wrong_and_none_is_shown() {
        for (field, value, problem) in [
            ("version", json!(2), "`version` 2"),
            ("version", json!(0), "`version` 0"),
            ("version", json!("hidden"), "right type"),
            ("version", Value::Null, "right type"),
            ("success", json!("hidden"), "right type"),
            ("success", Value::Null, "right type"),
            ("token_type", json!("hidden"), "`token_type`"),
            ("token_type", Value::Null, "`token_type`"),
            ("id_token", json!(["hidden"]), "right type"),
            ("id_token", json!(""), "`id_token`"),
            ("id_token", Value::Null, "`id_token`"),
            ("expiration_time", json!(NOW), "expired"),
            ("expiration_time", json!(0), "expired"),
            ("expiration_time", json!(-1), "right type"),
            ("expiration_time", json!("hidden"), "right type"),
            ("expiration_time", json!(1.5), "right type"),
            ("expiration_time", Value::Null, "`expiration_time`"),
        ] {
            let mut reply = good();
            reply[field] = value;
            let error = outcome(&reply.to_string(), false, true).unwrap_err();
            assert!(error.contains(problem) && !error.contains("hid"), "{reply}: {error}");
        }
        let whole = good().to_string();
        let twice = whole.replacen('{', r#"{"id_token":"hidden","#, 1);
        let long = format!("{whole}{}", " ".repeat(1 << 20));
        for reply in [
            "",
            "hidden",
            "[]",
            "{}",
            "<html>hidden",
            &whole[..40],
            &twice,
            &long,
            &(whole.clone() + "hidden"),
        ] {
            let error = outcome(reply, false, true).unwrap_err();
            assert!(!error.contains("hid"), "{error}");
        }
    }

    /// conf: F3
    #[test]
    fn a_failure_is_reported_with_its_code_and_its_message_if_they_are_harmless() {
        let failure = |reply: Value| outcome(&reply.to_string(), false, false).unwrap_err();
        let error =
            failure(json!({"version": 1, "success": false, "code": "401", "message": "Not signed in."}));
        assert_eq!(error, "replied that it failed: 401: Not signed in.");
        let token = format!("eyJ{}", "hidden".repeat(20));
        for message in [json!(token), json!("hidden\nline"), json!("<b>hidden</b>"), Value::Null] {
            let reply = json!({"version": 1, "success": false, "code": "two words", "message": message});
            assert_eq!(failure(reply), "replied that it failed");
        }
    }
}
