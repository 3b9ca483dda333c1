//! A token and its expiry.

use std::fmt;
use std::time::SystemTime;

use http::HeaderValue;

use crate::Error;

const BEARER: &str = "Bearer ";

/// An access token or an ID token, with the instant it expires.
///
/// Cheap to clone: one shared buffer holds the secret and, ready made, the value of the
/// `authorization` header. `Debug` does not show the secret.
///
/// ```
/// use gcp_iam_credentials::Token;
///
/// let token = Token::new("ya29.secret", None)?;
/// assert_eq!(token.secret(), "ya29.secret");
/// assert!(!format!("{token:?}").contains("ya29"));
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
#[derive(Clone)]
pub struct Token {
    /// `Bearer {secret}`, marked sensitive. Visible ASCII throughout: `new` saw to it.
    header: HeaderValue,
    expires_at: Option<SystemTime>,
}

impl Token {
    /// Wraps a secret, with the instant from which it is refused; `None` where it has no expiry,
    /// or none that is known.
    ///
    /// # Errors
    ///
    /// Where the secret is empty, or has a byte that may not stand in a header (anything but
    /// visible ASCII). The error does not show it.
    pub fn new(secret: impl AsRef<str>, expires_at: impl Into<Option<SystemTime>>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        if secret.is_empty() {
            return Err(Error::invalid("token", "is empty"));
        }
        // Without an early end, many bytes are looked at in one step: tokens have a thousand.
        if !secret.bytes().fold(true, |legal, b| legal & b.is_ascii_graphic()) {
            return Err(Error::invalid(
                "token",
                "has a character that may not stand in a header: expected visible ASCII without spaces",
            ));
        }
        let mut header = HeaderValue::try_from([BEARER, secret].concat())
            .map_err(|_| Error::invalid("token", "may not stand in a header"))?;
        header.set_sensitive(true);
        Ok(Self { header, expires_at: expires_at.into() })
    }

    /// The secret itself. Keep it out of logs.
    pub fn secret(&self) -> &str {
        self.header.to_str().map_or("", |value| &value[BEARER.len()..])
    }

    /// The value of an `authorization` header: `Bearer` and the secret, marked sensitive.
    pub fn header_value(&self) -> &HeaderValue {
        &self.header
    }

    /// The instant from which the token is refused, by the issuer's clock; `None` where it has no
    /// known expiry.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Whether both are the same secret.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.header == other.header
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: G83, G84
    #[test]
    fn a_token_shows_its_secret_only_when_asked() {
        let token = Token::new("ya29.c0mplete-secret_", SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(token.secret(), "ya29.c0mplete-secret_");
        assert_eq!(token.header_value().as_bytes(), b"Bearer ya29.c0mplete-secret_");
        assert!(token.header_value().is_sensitive());
        for shown in [format!("{token:?}"), format!("{token:#?}"), format!("{:?}", token.header_value())] {
            assert!(!shown.contains("ya29"), "{shown}");
        }
    }

    /// conf: G85
    #[test]
    fn a_secret_that_cannot_be_a_header_is_a_permanent_error_without_the_secret() {
        for secret in ["", "hidden\nvalue", "hidden value", "hidden\u{e9}", "hidden\0", "hidden\r\n"] {
            let error = Token::new(secret, None).unwrap_err();
            assert!(!error.is_transient());
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
    }

    #[test]
    fn a_clone_shares_the_buffer() {
        let token = Token::new("x".repeat(16 * 1024), None).unwrap();
        let clone = token.clone();
        assert_eq!(token.secret().as_ptr(), clone.secret().as_ptr());
        assert!(token.is_same(&clone));
    }
}
