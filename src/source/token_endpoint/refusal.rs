//! A reply in which a token endpoint refuses a grant.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::grant::Grant;
use super::{AttemptError, Retry};
use crate::Error;
use crate::http_client::Reply;

/// OAuth's codes for failures that pass, independent of the reply's status.
const TRANSIENT_CODES: [&str; 3] = ["internal_failure", "server_error", "temporarily_unavailable"];

/// How the Security Token Service says that it can't check a subject token now.
pub(super) const UNREACHABLE_ISSUER: &str = "connecting to the given credential's issuer";

/// The longest code and the longest description that errors show, in bytes.
const MAX_CODE: usize = 64;
const MAX_DESCRIPTION: usize = 300;
/// Longer words may be tokens.
const MAX_WORD: usize = 64;

/// Errors show no text that shares this many bytes in a row with a secret.
const MIN_SHARED: usize = 8;

/// What the endpoint says, as far as errors may show it.
pub(super) struct Refusal {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// OAuth's `error`.
    code: Option<String>,
    /// OAuth's `error_description`.
    description: Option<String>,
    /// Whether the issuer of a subject token can't be reached. That passes.
    is_issuer_away: bool,
    is_html: bool,
}

#[derive(Deserialize, Default)]
struct Body {
    error: Option<Value>,
    error_description: Option<Value>,
}

/// What a refusal means for further attempts.
enum Class {
    /// The same request will be refused again.
    Permanent,
    /// The endpoint has a failure that passes.
    Transient,
    /// The endpoint gets too many requests.
    Busy,
}

impl Refusal {
    /// Reads a refusal, and drops texts that may contain a part of `secrets`.
    pub(super) fn new(reply: &Reply, secrets: &[&str]) -> Self {
        let body: Body = serde_json::from_slice(&reply.body).unwrap_or_default();
        let is_safe = |text: &&str| !secrets.iter().any(|secret| shares_part(text, secret));
        let code = text(&body.error).filter(|code| is_code(code)).filter(is_safe);
        let description = text(&body.error_description).map(str::trim);
        let is_issuer_away = description.is_some_and(|text| text.contains(UNREACHABLE_ISSUER));
        let description = description.filter(|text| is_plain_text(text)).filter(is_safe);
        Self {
            status: reply.status,
            retry_after: reply.retry_after(),
            code: code.map(str::to_owned),
            description: description.map(str::to_owned),
            is_issuer_away,
            is_html: reply.is_html(),
        }
    }

    /// Returns the error of the attempt. It contains advice if the crate has some for this grant.
    pub(super) fn into_error(self, host: &str, grant: Grant<'_>) -> AttemptError {
        let class = self.class(grant);
        let message =
            format!("the token endpoint at {host} replied with {}{}", self.status.as_u16(), self.reason());
        let error = Error::credentials(message, !matches!(class, Class::Permanent));
        let error = match &self.code {
            Some(code) => error.with_oauth_code(code),
            None => error,
        };
        let error = match self.code.as_deref().and_then(|code| grant.advice(code)) {
            Some(advice) => error.fix_by(advice),
            None => error,
        };
        let retry = match (class, self.retry_after) {
            (Class::Transient, minimum) => Retry::After(minimum),
            // A busy endpoint gets another request only if it says when.
            (Class::Busy, Some(minimum)) => Retry::After(Some(minimum)),
            (Class::Busy, None) | (Class::Permanent, _) => Retry::Never,
        };
        AttemptError { error, retry }
    }

    fn class(&self, grant: Grant<'_>) -> Class {
        let has_transient_code = self.code.as_deref().is_some_and(|code| TRANSIENT_CODES.contains(&code));
        match self.status {
            _ if has_transient_code || self.is_issuer_away => Class::Transient,
            _ if self.code.as_deref().is_some_and(|code| grant.is_over_quota(code)) => Class::Busy,
            StatusCode::REQUEST_TIMEOUT => Class::Transient,
            StatusCode::TOO_MANY_REQUESTS => Class::Busy,
            status if status.is_server_error() => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// Returns the end of the error's message.
    fn reason(&self) -> String {
        match (&self.code, &self.description) {
            (Some(code), Some(description)) => format!(": {code}: {description}"),
            (Some(text), None) | (None, Some(text)) => format!(": {text}"),
            (None, None) if self.is_html => {
                " and a page of HTML, so a proxy or another server replied".to_owned()
            }
            (None, None) if self.status.is_redirection() => {
                ": a redirection, which is not followed because the request contains secrets".to_owned()
            }
            (None, None) => {
                self.status.canonical_reason().map_or_else(String::new, |reason| format!(" ({reason})"))
            }
        }
    }
}

fn text(value: &Option<Value>) -> Option<&str> {
    value.as_ref()?.as_str()
}

pub(in crate::source) fn is_code(text: &str) -> bool {
    (1..=MAX_CODE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Whether the text is one line for people, without markup and tokens.
pub(in crate::source) fn is_plain_text(text: &str) -> bool {
    (1..=MAX_DESCRIPTION).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && !text.contains(['<', '>'])
        && text.split(' ').all(|word| word.len() <= MAX_WORD || word.contains("://") || word.contains('@'))
}

/// Whether the text contains a secret, or [`MIN_SHARED`] bytes of it.
fn shares_part(text: &str, secret: &str) -> bool {
    let (text, secret) = (text.as_bytes(), secret.as_bytes());
    let part = MIN_SHARED.min(secret.len());
    part > 0 && text.windows(part).any(|window| secret.windows(part).any(|of_secret| of_secret == window))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;

    use super::super::grant::TokenExchange;
    use super::*;
    use crate::sts_protocol::AWS_TYPE;

    fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply::new(status, body)
    }

    fn refused(reply: Reply, grant: Grant<'_>) -> AttemptError {
        reply.into_granted("host.test", grant, SystemTime::UNIX_EPOCH).unwrap_err()
    }

    fn failure(status: u16, body: &'static str) -> AttemptError {
        refused(reply(status, body), Grant::HIDDEN)
    }

    /// conf: G67, R14, F7
    #[test]
    fn failures_that_pass_are_transient_and_refusals_are_permanent() {
        let html = "<!DOCTYPE html><html>hidden</html>";
        for (status, body, transient, again, shown) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"Bad Request"}"#,
                false,
                false,
                "invalid_grant: Bad",
            ),
            (400, r#"{"error":"invalid_scope"}"#, false, false, "invalid_scope"),
            (400, "hidden", false, false, "400 (Bad Request)"),
            (
                401,
                r#"{"error":"invalid_client","error_description":"Unauthorized"}"#,
                false,
                false,
                "invalid_client",
            ),
            (
                403,
                r#"{"error":"access_denied","error_description":"Account restricted"}"#,
                false,
                false,
                "restricted",
            ),
            (400, r#"{"error":"internal_failure"}"#, true, true, "internal_failure"),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"Error connecting to the given credential's issuer."}"#,
                true,
                true,
                "issuer",
            ),
            (302, "", false, false, "redirection"),
            (404, html, false, false, "HTML"),
            (408, "", true, true, "408"),
            (429, "", true, false, "429"),
            (500, r#"{"error":{"code":500,"message":"hidden"}}"#, true, true, "500"),
            (502, html, true, true, "proxy"),
            (503, "", true, true, "503 (Service Unavailable)"),
            (504, "\u{1}hidden", true, true, "504"),
        ] {
            let AttemptError { error, retry } = failure(status, body);
            let is_retried = retry != Retry::Never;
            assert_eq!((error.is_transient(), is_retried), (transient, again), "{status} {body}");
            let text = error.to_string();
            assert!(text.contains(shown) && text.contains("host.test"), "{text}");
            assert!(!format!("{text} {error:?}").contains("hidden"), "{text}");
        }
    }

    /// conf: R13, R5
    #[test]
    fn a_description_that_is_not_short_plain_text_is_left_out() {
        let long = "x".repeat(MAX_DESCRIPTION + 1);
        for description in [
            "<b>hidden</b>",
            "hidden\nline",
            "hidden \u{1b}[31m",
            "h\u{ef}dden hidden",
            "no such token: 1//0g-hidden-refresh-token",
            "GOCSPX-hidden-secret",
            "starts like 1//0g-hidden",
            "ends like h-token hidden-refresh",
            &format!("hidden {long}"),
            &format!("not yours: hidden{}", "x".repeat(MAX_WORD)),
        ] {
            let body = serde_json::json!({"error": "invalid_grant", "error_description": description});
            let error = refused(reply(400, body.to_string()), Grant::HIDDEN).error;
            assert!(error.to_string().contains("invalid_grant"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
        let error = failure(400, r#"{"error":"1//0g-hidden-refresh-token"}"#).error;
        assert!(!error.to_string().contains("hidden"), "{error}");
        let error = failure(400, r#"{"error":"GOCSPX-hidden-secret"}"#).error;
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    #[test]
    fn the_error_of_an_ended_login_contains_the_command_that_renews_it() {
        let body = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
        assert!(failure(400, body).error.to_string().contains("gcloud auth application-default login"));
        let signed = Grant::JwtBearer { assertion: "a.b.c" };
        let error = refused(reply(400, body), signed).error;
        assert!(!error.to_string().contains("gcloud"), "{error}");
    }

    #[test]
    fn a_busy_endpoint_gets_another_request_only_if_it_says_when() {
        let reply = reply(429, "").with_retry_after(Duration::from_secs(2));
        let retry = refused(reply, Grant::HIDDEN).retry;
        assert_eq!(retry, Retry::After(Some(Duration::from_secs(2))));
    }

    /// conf: F6
    #[test]
    fn an_exchange_over_quota_is_transient_and_a_wrong_provider_permanent() {
        let exchange = Grant::TokenExchange(TokenExchange::default());
        for (code, transient) in [
            ("access_denied", true),
            ("quota_exceeded", true),
            ("invalid_target", false),
            ("unauthorized_client", false),
            ("invalid_grant", false),
            ("invalid_scope", false),
            ("invalid_request", false),
            ("unsupported_token_type", false),
        ] {
            let body = serde_json::json!({"error": code, "error_uri": "https://example.com"}).to_string();
            let AttemptError { error, retry } = refused(reply(400, body), exchange);
            assert_eq!((error.is_transient(), retry), (transient, Retry::Never), "{error}");
            assert_eq!(error.oauth_code(), Some(code), "{error}");
        }
        let status = r#"{"error":{"code":429,"message":"hidden","status":"RESOURCE_EXHAUSTED"}}"#;
        let error = refused(reply(429, status), exchange).error;
        assert!(error.is_transient() && error.oauth_code().is_none(), "{error:?}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    /// conf: F6, F4
    #[test]
    fn the_refusal_of_a_signed_request_is_shown_without_the_secrets_in_the_request() {
        for dash in ["-", "%2D"] {
            let signed = "%7B%22headers%22%3A%5B%7B%22key%22%3A%22Authorization%22%2C%22value%22%3A\
                          %22AWS4-HMAC-SHA256%20Credential%3DAKIA%2C%20Signature%3Dhidden00signature%22%7D%2C\
                          %7B%22key%22%3A%22x-amz-security-token%22%2C%22value%22%3A%22hidden00session%22%7D%2C\
                          %7B%22key%22%3A%22x-goog-cloud-target-resource%22%2C%22value%22%3A%22provider%22%7D%5D%7D"
                .replace('-', dash);
            let exchange =
                TokenExchange { subject_token: &signed, subject_token_type: AWS_TYPE, ..Default::default() };
            let refusal = |description: &str| {
                let body = serde_json::json!({"error": "invalid_grant", "error_description": description});
                refused(reply(400, body.to_string()), Grant::TokenExchange(exchange)).error.to_string()
            };
            let text = refusal("The header x-goog-cloud-target-resource is not for this provider.");
            assert!(text.contains("for this provider"), "{text}");
            for secret in ["hidden00session", "hidden00signature"] {
                let text = refusal(&format!("Wrong: {secret}"));
                assert!(!text.contains("hidden"), "{text}");
            }
        }
    }
}
