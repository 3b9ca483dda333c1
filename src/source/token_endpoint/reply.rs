//! What an endpoint's reply means.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use super::{Failure, Grant};
use crate::{Error, Token};

/// A whole reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The seconds of its `Retry-After` header.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// OAuth's codes for failures that pass, whatever status they come with.
const PASSING: [&str; 3] = ["internal_failure", "server_error", "temporarily_unavailable"];

/// The longest code and description that are passed on.
const MAX_CODE: usize = 64;
const MAX_DESCRIPTION: usize = 300;
/// Tokens are longer, and what people read is shorter.
const MAX_WORD: usize = 64;

/// How much of a secret tells it: no description is passed on that has this many bytes of one.
const TELLING: usize = 8;

#[derive(Deserialize)]
struct Granted {
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
struct Refused {
    error: Option<serde_json::Value>,
    error_description: Option<serde_json::Value>,
}

/// Takes the token out of the reply to a request that left at `sent`.
pub(super) fn token(reply: &Reply, host: &str, grant: Grant<'_>, sent: SystemTime) -> Result<Token, Failure> {
    if !reply.status.is_success() {
        return Err(refusal(reply, host, grant));
    }
    granted(&reply.body, sent).map_err(|problem| {
        Failure::last(Error::invalid_reply(format!("the token endpoint at {host} answered {problem}")))
    })
}

/// The error says what the reply lacks, and shows nothing of it.
fn granted(body: &[u8], sent: SystemTime) -> Result<Token, &'static str> {
    let granted: Granted = serde_json::from_slice(body)
        .map_err(|_| if looks_like_html(body) { "with a page of HTML" } else { "without a JSON object" })?;
    let secret = granted.access_token.ok_or("without an access token")?;
    let seconds = match granted.expires_in {
        Some(serde_json::Value::Number(seconds)) => seconds.as_u64(),
        Some(serde_json::Value::String(seconds)) => seconds.parse().ok(),
        None => return Err("without the token's lifetime"),
        Some(_) => None,
    };
    let lifetime = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let expires_at = lifetime.and_then(|lifetime| sent.checked_add(lifetime));
    let expires_at = expires_at.ok_or("with a lifetime that makes no sense")?;
    Token::new(secret, expires_at).map_err(|_| "with a token that may not stand in a header")
}

fn refusal(reply: &Reply, host: &str, grant: Grant<'_>) -> Failure {
    let (status, secrets) = (reply.status, &grant.secrets());
    let refused: Refused = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = refused.error.as_ref().and_then(|error| error.as_str()).filter(|code| is_code(code));
    let code = code.filter(|code| is_harmless(code, secrets));
    let description = refused.error_description.as_ref().and_then(|text| text.as_str());
    let description = description.map(str::trim).filter(|text| is_plain(text) && is_harmless(text, secrets));

    let passing = status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || code.is_some_and(|code| PASSING.contains(&code));
    let busy = status == StatusCode::TOO_MANY_REQUESTS;
    let mut message = format!("the token endpoint at {host} answered {}", status.as_u16());
    match (code, description) {
        (Some(code), Some(description)) => message.extend([": ", code, ": ", description]),
        (Some(text), None) | (None, Some(text)) => message.extend([": ", text]),
        (None, None) if looks_like_html(&reply.body) => {
            message.push_str(" with a page of HTML: a proxy or another server answers there");
        }
        (None, None) if status.is_redirection() => {
            message.push_str(", a redirection: secrets are not sent elsewhere");
        }
        (None, None) => {
            if let Some(reason) = status.canonical_reason() {
                message.extend([" (", reason, ")"]);
            }
        }
    }
    if let Some(advice) = code.and_then(|code| grant.advice(code)) {
        message.extend(["; ", advice]);
    }
    Failure {
        error: Error::credentials(message, passing || busy),
        // A busy endpoint is asked again only where it says when.
        again: passing || busy && reply.retry_after.is_some(),
        delay: reply.retry_after,
    }
}

fn is_code(text: &str) -> bool {
    (1..=MAX_CODE).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// One line for people.
fn is_plain(text: &str) -> bool {
    (1..=MAX_DESCRIPTION).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && !text.contains(['<', '>'])
        && text.split(' ').all(|word| word.len() <= MAX_WORD || word.contains("://") || word.contains('@'))
}

/// Whether the text has no telling part of a secret.
fn is_harmless(text: &str, secrets: &[&str]) -> bool {
    !secrets.iter().filter(|secret| !secret.is_empty()).any(|secret| {
        let (text, secret) = (text.as_bytes(), secret.as_bytes());
        let part = TELLING.min(secret.len());
        text.windows(part).any(|window| secret.windows(part).any(|of_secret| of_secret == window))
    })
}

fn looks_like_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [&str; 2] = ["GOCSPX-hidden-secret", "1//0g-hidden-refresh-token"];

    const GRANT: Grant<'_> = Grant::RefreshToken {
        client_id: "id",
        client_secret: SECRETS[0],
        refresh_token: SECRETS[1],
        scope: None,
    };

    fn reply(status: u16, body: &'static str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, retry_after: None, body: Bytes::from_static(body.as_bytes()) }
    }

    fn failure(status: u16, body: &'static str) -> Failure {
        token(&reply(status, body), "host.test", GRANT, SystemTime::UNIX_EPOCH).unwrap_err()
    }

    #[test]
    fn a_token_lives_from_when_it_was_asked_for() {
        let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for expires_in in ["3599", "\"3599\""] {
            let body = format!(r#"{{"access_token":"t","expires_in":{expires_in},"token_type":"Bearer"}}"#);
            let reply = Reply { status: StatusCode::OK, retry_after: None, body: body.into() };
            let token = token(&reply, "host.test", GRANT, sent).unwrap();
            assert_eq!(token.secret(), "t");
            assert_eq!(token.expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4599)));
        }
    }

    /// conf: R14, R13
    #[test]
    fn a_senseless_grant_is_a_permanent_error_that_shows_nothing_of_it() {
        for (body, problem) in [
            ("", "without a JSON object"),
            ("hidden", "without a JSON object"),
            ("[\"hidden\"]", "without a"),
            ("<html>hidden</html>", "HTML"),
            ("{}", "without an access token"),
            (r#"{"id_token":"hidden"}"#, "without an access token"),
            (r#"{"access_token":7}"#, "without a"),
            (r#"{"access_token":"hidden"}"#, "lifetime"),
            (r#"{"access_token":"hidden","expires_in":0}"#, "lifetime"),
            (r#"{"access_token":"hidden","expires_in":-5}"#, "lifetime"),
            (r#"{"access_token":"hidden","expires_in":1.5}"#, "lifetime"),
            (r#"{"access_token":"hidden","expires_in":"soon"}"#, "lifetime"),
            (r#"{"access_token":"hidden","expires_in":18446744073709551615}"#, "lifetime"),
            (r#"{"access_token":"hid den","expires_in":5}"#, "header"),
            (r#"{"access_token":"","expires_in":5}"#, "header"),
        ] {
            let Failure { error, again, .. } = failure(200, body);
            assert!(error.to_string().contains(problem), "{body}: {error}");
            assert!(!error.is_transient() && !again, "{body}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("hid"), "{error:?}");
        }
    }

    /// conf: G67, R14
    #[test]
    fn what_passes_is_transient_and_what_stays_is_permanent() {
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
            (302, "", false, false, "redirection"),
            (404, html, false, false, "HTML"),
            (408, "", true, true, "408"),
            (429, "", true, false, "429"),
            (500, r#"{"error":{"code":500,"message":"hidden"}}"#, true, true, "500"),
            (502, html, true, true, "proxy"),
            (503, "", true, true, "503 (Service Unavailable)"),
            (504, "\u{1}hidden", true, true, "504"),
        ] {
            let failure = failure(status, body);
            assert_eq!((failure.error.is_transient(), failure.again), (transient, again), "{status} {body}");
            let text = failure.error.to_string();
            assert!(text.contains(shown) && text.contains("host.test"), "{text}");
            assert!(!format!("{text} {:?}", failure.error).contains("hidden"), "{text}");
        }
    }

    /// conf: R13, R5
    #[test]
    fn a_description_that_is_no_short_plain_text_is_left_out() {
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
            let reply =
                Reply { status: StatusCode::BAD_REQUEST, retry_after: None, body: body.to_string().into() };
            let Failure { error, .. } = token(&reply, "host.test", GRANT, SystemTime::now()).unwrap_err();
            assert!(error.to_string().contains("invalid_grant"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
        let error = failure(400, r#"{"error":"1//0g-hidden-refresh-token"}"#).error;
        assert!(!error.to_string().contains("hidden"), "{error}");
        let error = failure(400, r#"{"error":"GOCSPX-hidden-secret"}"#).error;
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    #[test]
    fn a_login_that_has_ended_comes_with_the_command_that_renews_it() {
        let body = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
        assert!(failure(400, body).error.to_string().contains("gcloud auth application-default login"));
        let signed = Grant::JwtBearer { assertion: "a.b.c" };
        let error = token(&reply(400, body), "host.test", signed, SystemTime::now()).unwrap_err().error;
        assert!(!error.to_string().contains("gcloud"), "{error}");
    }

    #[test]
    fn a_busy_endpoint_is_asked_again_only_when_it_says_when() {
        let mut reply = reply(429, "");
        reply.retry_after = Some(Duration::from_secs(2));
        let failure = token(&reply, "host.test", GRANT, SystemTime::now()).unwrap_err();
        assert!(failure.again);
        assert_eq!(failure.delay, Some(Duration::from_secs(2)));
    }
}
