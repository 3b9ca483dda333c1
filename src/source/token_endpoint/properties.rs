//! What holds for every reply of a token endpoint.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::refusal::UNREACHABLE_ISSUER;
use super::*;
use crate::http_client::Reply;
use crate::properties::{assert_is_plain, lines, shown};

/// A reply gives the token in it, or an error that shows nothing secret and is transient as its
/// status says.
///
/// The input is the HTTP status, the seconds of `Retry-After`, and the body.
pub fn token_replies(data: &[u8]) {
    let [status, retry_after, body] = lines(data);
    let number = |line: &[u8]| std::str::from_utf8(line).ok()?.parse::<u64>().ok();
    let status = number(status).and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let status = status.unwrap_or(StatusCode::OK);
    let retry_after = number(retry_after).map(Duration::from_secs);
    // Only the fields that matter must be sound. What the rest contains is of no interest.
    let value: Option<Value> = serde_json::from_str(&String::from_utf8_lossy(body)).ok();

    for grant in [Grant::HIDDEN, Grant::HIDDEN_EXCHANGE] {
        let reply = Reply::new(status, Bytes::copy_from_slice(body));
        let reply = match retry_after {
            Some(wait) => reply.with_retry_after(wait),
            None => reply,
        };
        holds_for_a_reply(reply, grant, value.clone());
    }
}

fn holds_for_a_reply(reply: Reply, grant: Grant<'_>, value: Option<Value>) {
    let status = reply.status;
    let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    match reply.into_granted("host.test", grant, sent) {
        Ok(Granted { token, .. }) => {
            let Some(value) = value else { return assert!(status.is_success()) };
            assert!(status.is_success() && value["access_token"].as_str() == Some(token.secret()), "{value}");
            let seconds = token.expires_at().and_then(|expiry| expiry.duration_since(sent).ok());
            let stated = value["expires_in"].to_string().replace('"', "").parse::<u64>().ok();
            assert_eq!(seconds.map(|time| time.as_secs()).filter(|seconds| *seconds > 0), stated, "{value}");
        }
        Err(failed) => holds_for_a_failure(&failed, grant, status, value.unwrap_or_default()),
    }
}

fn holds_for_a_failure(failed: &AttemptError, grant: Grant<'_>, status: StatusCode, body: Value) {
    let AttemptError { error, retry } = failed;
    assert_is_plain(&error.to_string());
    assert_shares_nothing_secret(&shown(error), grant);
    let transient_codes = ["internal_failure", "server_error", "temporarily_unavailable"];
    let passes = status.is_server_error()
        || matches!(status.as_u16(), 408 | 429)
        || body["error"]
            .as_str()
            .is_some_and(|code| transient_codes.contains(&code) || grant.is_over_quota(code))
        || body["error_description"].as_str().is_some_and(|text| text.contains(UNREACHABLE_ISSUER));
    assert_eq!(error.is_transient(), passes && !status.is_success(), "{status} {body}: {error:?}");
    assert!(error.is_transient() || *retry == Retry::Never, "{error:?}");
}

/// No eight bytes in a row are from a secret of the grant.
fn assert_shares_nothing_secret(text: &str, grant: Grant<'_>) {
    for secret in grant.secrets() {
        let mut parts = (0..secret.len().saturating_sub(7)).map(|at| &secret[at..at + 8]);
        assert!(!parts.any(|part| text.contains(part)), "{text}");
    }
}
