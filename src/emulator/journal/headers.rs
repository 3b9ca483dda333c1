//! Headers as the journal keeps them: without secrets.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderMap, HeaderName};

use crate::emulator::fingerprint;

/// How many bytes of a secret's SHA-256 the journal shows.
const SHOWN: usize = 8;

/// Headers that most requests have and that never contain a secret. They are recognized faster than by text.
const HARMLESS: [HeaderName; 6] = [ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, TE, USER_AGENT];

/// Returns names and values in the order of arrival, with secrets replaced by fingerprints.
pub(crate) fn without_secrets(headers: &HeaderMap) -> Vec<(HeaderName, String)> {
    let mut list = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let text = if is_secret(name) {
            fingerprint_of(value.as_bytes())
        } else {
            match value.to_str() {
                Ok(text) => text.to_owned(),
                Err(_) => BASE64_STANDARD.encode(value.as_bytes()),
            }
        };
        list.push((name.clone(), text));
    }
    list
}

fn is_secret(name: &HeaderName) -> bool {
    if HARMLESS.contains(name) {
        return false;
    }
    let name = name.as_str();
    name.ends_with("authorization")
        || ["cookie", "x-goog-api-key"].contains(&name)
        || name.contains("token")
        || name.contains("secret")
        || name.contains("assertion")
}

/// The fingerprint of a secret. The scheme of a credential stays readable.
fn fingerprint_of(value: &[u8]) -> String {
    let (scheme, secret) = match value.iter().position(|byte| *byte == b' ') {
        Some(space) => (String::from_utf8_lossy(&value[..=space]), &value[space + 1..]),
        None => ("".into(), value),
    };
    [&*scheme, "sha256:", &fingerprint::hex(secret, SHOWN)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hashed_and_all_else_is_kept() {
        let mut headers = HeaderMap::new();
        headers.append("authorization", "Bearer hush".parse().unwrap());
        headers.append("x-serverless-authorization", "Bearer hush".parse().unwrap());
        headers.append("x-goog-iam-authorization-token", "hush".parse().unwrap());
        headers.append("x-twice", "one".parse().unwrap());
        headers.append("x-twice", "two".parse().unwrap());
        let shown = without_secrets(&headers);
        assert!(!format!("{shown:?}").contains("hush"), "{shown:?}");
        assert!(shown[0].1.starts_with("Bearer sha256:"), "{shown:?}");
        assert_eq!(shown[0].1, shown[1].1, "equal secrets have equal fingerprints");
        assert_eq!(shown.iter().filter(|(name, _)| *name == "x-twice").count(), 2);
    }
}
