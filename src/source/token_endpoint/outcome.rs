//! What a reply means: a token, a refusal, or neither.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use super::AttemptError;
use super::grant::Grant;
use super::refusal::Refusal;
use crate::http_client::Reply;
use crate::{Error, Token};

/// What an endpoint gives for a grant.
pub(crate) struct Granted {
    /// It has no expiry if the endpoint says none, which only some grants allow.
    pub(crate) token: Token,
    /// The refresh token to use from now on, if it isn't the one that was sent.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code, reason = "no grant gets a new one"))]
    pub(crate) refresh_token: Option<Box<str>>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("token", &self.token).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Body {
    access_token: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<Box<str>>,
}

impl Reply {
    /// Returns what is in the reply to a request that was sent at `sent`.
    pub(super) fn into_granted(
        self,
        host: &str,
        grant: Grant<'_>,
        sent: SystemTime,
    ) -> Result<Granted, AttemptError> {
        if !self.status.is_success() {
            return Err(Refusal::new(&self, &grant.secrets()).into_error(host, grant));
        }
        self.granted(grant, sent).map_err(|problem| {
            let message = format!("the token endpoint at {host} sent a malformed reply: {problem}");
            AttemptError::permanent(Error::invalid_reply(message))
        })
    }

    /// The error says what is wrong, without any content of the reply.
    fn granted(&self, grant: Grant<'_>, sent: SystemTime) -> Result<Granted, &'static str> {
        let body: Body = serde_json::from_slice(&self.body).map_err(|_| match self.is_html() {
            true => "it is a page of HTML",
            false => "it is not a JSON object with the fields of a token",
        })?;
        let secret = body.access_token.ok_or("it has no access_token")?;
        let expires_at = match body.expires_in {
            Some(expires_in) => Some(expiry(&expires_in, sent)?),
            None if grant.may_lack_lifetime() => None,
            None => return Err("it has no expires_in"),
        };
        let token =
            Token::new(secret, expires_at).map_err(|_| "its access_token can't be sent in a header")?;
        Ok(Granted { token, refresh_token: body.refresh_token.filter(|token| !token.is_empty()) })
    }
}

fn expiry(expires_in: &Value, sent: SystemTime) -> Result<SystemTime, &'static str> {
    let lifetime = whole_seconds(expires_in).filter(|lifetime| !lifetime.is_zero());
    let expires_at = lifetime.and_then(|lifetime| sent.checked_add(lifetime));
    expires_at.ok_or("its expires_in is not a positive number of seconds")
}

/// Reads a number of seconds, which some endpoints send as a string.
fn whole_seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(seconds) => seconds.as_u64(),
        Value::String(seconds) => seconds.parse().ok(),
        _ => None,
    };
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::Retry;
    use super::super::grant::TokenExchange;
    use super::*;
    use crate::sts_protocol::{ACCESS_TOKEN_TYPE, JWT_TYPES};

    fn failure(body: &'static str) -> AttemptError {
        let reply = Reply::new(StatusCode::OK, body);
        reply.into_granted("host.test", Grant::HIDDEN, SystemTime::UNIX_EPOCH).unwrap_err()
    }

    #[test]
    fn a_tokens_lifetime_counts_from_when_it_was_requested() {
        let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for expires_in in ["3599", "\"3599\""] {
            let body = format!(r#"{{"access_token":"t","expires_in":{expires_in},"token_type":"Bearer"}}"#);
            let reply = Reply::new(StatusCode::OK, body);
            let token = reply.into_granted("host.test", Grant::HIDDEN, sent).unwrap().token;
            assert_eq!(token.secret(), "t");
            assert_eq!(token.expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4599)));
        }
    }

    /// conf: R14, R13
    #[test]
    fn a_malformed_reply_is_a_permanent_error_without_its_content() {
        for (body, problem) in [
            ("", "not a JSON object"),
            ("hidden", "not a JSON object"),
            ("[\"hidden\"]", "not a JSON object"),
            ("<html>hidden</html>", "HTML"),
            ("{}", "no access_token"),
            (r#"{"id_token":"hidden"}"#, "no access_token"),
            (r#"{"access_token":7}"#, "not a JSON object"),
            (r#"{"access_token":"hidden"}"#, "expires_in"),
            (r#"{"access_token":"hidden","expires_in":0}"#, "expires_in"),
            (r#"{"access_token":"hidden","expires_in":-5}"#, "expires_in"),
            (r#"{"access_token":"hidden","expires_in":1.5}"#, "expires_in"),
            (r#"{"access_token":"hidden","expires_in":"soon"}"#, "expires_in"),
            (r#"{"access_token":"hidden","expires_in":18446744073709551615}"#, "expires_in"),
            (r#"{"access_token":"hid den","expires_in":5}"#, "header"),
            (r#"{"access_token":"","expires_in":5}"#, "header"),
            (r#"{"access_token":"hidden","access_token":"hidden","expires_in":5}"#, "not a JSON object"),
            (r#"{"access_token":"hidden","expires_in":5,"refresh_token":7}"#, "not a JSON object"),
        ] {
            let AttemptError { error, retry } = failure(body);
            assert!(error.to_string().contains(problem), "{body}: {error}");
            assert!(!error.is_transient() && retry == Retry::Never, "{body}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("hid"), "{error:?}");
        }
    }

    /// conf: F6
    #[test]
    fn only_a_token_made_from_an_access_token_may_have_no_lifetime() {
        let granted = |subject_token_type| {
            let exchange = TokenExchange { subject_token_type, ..TokenExchange::default() };
            let reply = Reply::new(StatusCode::OK, r#"{"access_token":"t"}"#);
            reply.into_granted("host.test", Grant::TokenExchange(exchange), SystemTime::UNIX_EPOCH)
        };
        assert_eq!(granted(ACCESS_TOKEN_TYPE).unwrap().token.expires_at(), None);
        for kind in JWT_TYPES {
            let AttemptError { error, .. } = granted(kind).unwrap_err();
            assert!(error.to_string().contains("no expires_in"), "{error}");
        }
    }

    /// conf: F10
    #[test]
    fn a_new_refresh_token_is_returned_and_not_shown() {
        for (refresh_token, expected) in [("\"hidden\"", Some("hidden")), ("\"\"", None), ("null", None)] {
            let body = format!(r#"{{"access_token":"t","expires_in":5,"refresh_token":{refresh_token}}}"#);
            let reply = Reply::new(StatusCode::OK, body);
            let granted = reply.into_granted("host.test", Grant::HIDDEN, SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(granted.refresh_token.as_deref(), expected);
            assert!(!format!("{granted:?}").contains("hidden"), "{granted:?}");
        }
    }
}
