//! What a reply means: a token, a refusal, or neither.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use super::AttemptError;
use super::grant::Grant;
use super::refusal::Refusal;
use crate::http_client::Reply;
use crate::{Error, Token};

#[derive(Deserialize)]
struct Granted {
    access_token: Option<String>,
    expires_in: Option<Value>,
}

impl Reply {
    /// Returns the token in the reply to a request that was sent at `sent`.
    pub(super) fn into_token(
        self,
        host: &str,
        grant: Grant<'_>,
        sent: SystemTime,
    ) -> Result<Token, AttemptError> {
        if !self.status.is_success() {
            return Err(Refusal::new(&self, &grant.secrets()).into_error(host, grant));
        }
        self.granted_token(sent).map_err(|problem| {
            let message = format!("the token endpoint at {host} sent a malformed reply: {problem}");
            AttemptError::permanent(Error::invalid_reply(message))
        })
    }

    /// The error says what is wrong, without any content of the reply.
    fn granted_token(&self, sent: SystemTime) -> Result<Token, &'static str> {
        let granted: Granted = serde_json::from_slice(&self.body).map_err(|_| match self.is_html() {
            true => "it is a page of HTML",
            false => "it is not a JSON object with the fields of a token",
        })?;
        let secret = granted.access_token.ok_or("it has no access_token")?;
        let expires_in = granted.expires_in.ok_or("it has no expires_in")?;
        let lifetime = whole_seconds(&expires_in).filter(|lifetime| !lifetime.is_zero());
        let expires_at = lifetime
            .and_then(|lifetime| sent.checked_add(lifetime))
            .ok_or("its expires_in is not a positive number of seconds")?;
        Token::new(secret, expires_at).map_err(|_| "its access_token can't be sent in a header")
    }
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
    use super::*;

    fn failure(body: &'static str) -> AttemptError {
        let reply = Reply::new(StatusCode::OK, body);
        reply.into_token("host.test", Grant::HIDDEN, SystemTime::UNIX_EPOCH).unwrap_err()
    }

    #[test]
    fn a_tokens_lifetime_counts_from_when_it_was_requested() {
        let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for expires_in in ["3599", "\"3599\""] {
            let body = format!(r#"{{"access_token":"t","expires_in":{expires_in},"token_type":"Bearer"}}"#);
            let reply = Reply::new(StatusCode::OK, body);
            let token = reply.into_token("host.test", Grant::HIDDEN, sent).unwrap();
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
        ] {
            let AttemptError { error, retry } = failure(body);
            assert!(error.to_string().contains(problem), "{body}: {error}");
            assert!(!error.is_transient() && retry == Retry::Never, "{body}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("hid"), "{error:?}");
        }
    }
}
