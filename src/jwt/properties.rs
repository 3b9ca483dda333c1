//! What holds for every token that a server returns, and for all claims that a caller passes.

use super::*;
use crate::properties::{SECRET, assert_names_a_field, shown};

/// The expiry is the one in the claims, read in another way. Errors show nothing of the token.
///
/// The input is a token, or the claims of one.
pub fn id_tokens(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        holds_for_a_token(text);
    }
    let token = ["e30", &URL_SAFE_NO_PAD.encode(data), "c2ln"].join(".");
    holds_for_a_token(&token);
    let expected = serde_json::from_slice::<Value>(data).ok().and_then(|claims| claims.get("exp")?.as_u64());
    let read = expiry(&token).ok().and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok());
    // The system's clock may not reach the last instants.
    assert!(
        read.map(|time| time.as_secs()) == expected || expected.is_some_and(|exp| exp > i64::MAX as u64),
        "{data:?}"
    );
}

fn holds_for_a_token(token: &str) {
    let pieces: Vec<&str> = token.split('.').collect();
    match Parts::split(token) {
        Some(parts) => {
            assert_eq!(pieces, [parts.header, parts.claims, parts.signature]);
            assert_eq!(parts.signed, token.rsplit_once('.').unwrap_or_default().0);
            for piece in pieces {
                // Padding is optional. Everything else has one form.
                let bytes = decode(piece);
                let again = bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
                assert!(again.is_none_or(|again| again == piece.trim_end_matches('=')), "{piece:?}");
            }
        }
        None => assert_ne!(pieces.len(), 3, "{token:?}"),
    }
    match expiry(token) {
        Ok(expiry) => assert!(expiry >= UNIX_EPOCH),
        Err(error) => {
            assert_eq!(error.kind(), crate::ErrorKind::InvalidReply);
            assert!(!error.is_transient() && !shown(&error).contains(SECRET), "{error:?}");
        }
    }
}

/// Claims are accepted if they are a JSON object whose `exp`, if there is one, is at most 12 hours
/// ahead. They are sent verbatim. Errors show nothing of them.
pub fn claims(data: &[u8]) {
    const NOW: u64 = 1_700_000_000;
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let value: Option<Value> = serde_json::from_str(text).ok();
    let is_valid = value.as_ref().is_some_and(|value| match value.get("exp") {
        None => value.is_object(),
        Some(exp) => exp.as_u64().is_some_and(|exp| exp > NOW && exp - NOW <= 12 * 3600),
    });
    match payload(&text, now) {
        Ok(sent) => {
            assert!(is_valid && sent == text, "{text:?}");
            holds_for_dated_claims(text, now);
        }
        Err(error) => {
            assert!(!is_valid, "{text:?}: {error}");
            assert_names_a_field(&error);
            assert!(matches!(error.field(), Some("claims" | "claims.exp")), "{error}");
            assert!(!shown(&error).contains(SECRET), "{error:?}");
        }
    }
    if let Some(value) = value.filter(|value| !value.is_string()) {
        assert_eq!(payload(&value, now).is_ok(), is_valid, "{value}");
    }
}

/// Adding `iat` and `exp` adds them, and leaves everything else as it is.
fn holds_for_dated_claims(text: &str, now: SystemTime) {
    match dated(text, now, Duration::from_secs(600)) {
        Ok(dated) => {
            let mut claims: Value = serde_json::from_str(&dated).unwrap_or_default();
            let times = claims.as_object_mut().map(|claims| (claims.remove("iat"), claims.remove("exp")));
            assert_eq!(times, Some((Some(1_700_000_000.into()), Some(1_700_000_600.into()))));
            assert_eq!(serde_json::from_str::<Value>(text).ok(), Some(claims));
            let members = text.trim_ascii_start().trim_start_matches('{');
            assert!(dated.ends_with(members), "{text:?} became {dated:?}");
        }
        Err(error) => {
            assert_names_a_field(&error);
            assert!(text.contains("iat") || text.contains("exp") || text.contains('\\'), "{text:?}");
            assert!(!shown(&error).contains(SECRET), "{error:?}");
        }
    }
}
