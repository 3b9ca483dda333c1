//! A token and its expiry.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};

use crate::per_thread::Copyable;
use crate::{Error, headers};

const BEARER: &str = "Bearer ";

/// An access token or an ID token, with the instant at which it expires.
///
/// A clone is cheap: one shared buffer contains the secret and the complete value of the
/// `authorization` header. `Debug` doesn't show the secret.
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
    /// `Bearer {secret}`, marked sensitive. `new` checked that it is visible ASCII.
    header: HeaderValue,
    expires_at: Option<SystemTime>,
    /// Shared by the tokens of one identity.
    boundary: Option<Arc<dyn RegionalAccessBoundary>>,
}

/// The places in which the tokens of one identity may be used.
pub(crate) trait RegionalAccessBoundary: Send + Sync {
    /// Sets the header of the boundary, or removes it if the boundary isn't known. `token` is one of the
    /// identity's tokens, and is what the request authenticates with.
    fn set_header(&self, token: &Token, headers: &mut HeaderMap);
}

/// Whether a token with a boundary was ever made in this process.
static HAS_BOUNDARIES: AtomicBool = AtomicBool::new(false);

impl Token {
    /// Makes a token of a secret, without `Bearer`, and the instant at which it expires: `None` if
    /// it doesn't expire or the expiry isn't known.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if the secret is empty or isn't
    /// visible ASCII without spaces. The error doesn't show the secret.
    pub fn new(secret: impl AsRef<str>, expires_at: impl Into<Option<SystemTime>>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        if secret.is_empty() {
            return Err(Error::invalid("token", "must not be empty"));
        }
        if has_bearer(secret) {
            let error = Error::invalid("token", "must be the secret alone, got an `authorization` header");
            return Err(error.fix_by("leave out `Bearer`"));
        }
        // A loop without an early end checks many bytes in one step. Tokens have a thousand.
        if !secret.bytes().fold(true, |legal, b| legal & b.is_ascii_graphic()) {
            return Err(Error::invalid("token", "must be visible ASCII without spaces"));
        }
        let mut header = HeaderValue::try_from([BEARER, secret].concat())
            .map_err(|_| Error::invalid("token", "must be a legal header value"))?;
        header.set_sensitive(true);
        Ok(Self { header, expires_at: expires_at.into(), boundary: None })
    }

    /// Returns the secret. Keep it out of logs.
    pub fn secret(&self) -> &str {
        self.header.to_str().map_or("", |value| &value[BEARER.len()..])
    }

    /// Returns the token with the boundary of its identity; without one, if that isn't known.
    #[cfg(feature = "credential-files")]
    pub(crate) fn with_boundary(self, boundary: Option<Arc<dyn RegionalAccessBoundary>>) -> Self {
        HAS_BOUNDARIES.store(true, Ordering::Relaxed);
        Self { boundary, ..self }
    }

    /// Returns whether [`set_boundary`](Self::set_boundary) must be called for a request with this
    /// token. In a program without boundaries, that is never so.
    #[inline]
    pub(crate) fn needs_boundary(&self) -> bool {
        self.boundary.is_some() || HAS_BOUNDARIES.load(Ordering::Relaxed)
    }

    /// Sets the header of the boundary that belongs to this token. Removes that of another token.
    #[cold]
    pub(crate) fn set_boundary(&self, headers: &mut HeaderMap) {
        match &self.boundary {
            Some(boundary) => boundary.set_header(self, headers),
            None => {
                headers.remove(headers::ALLOWED_LOCATIONS);
            }
        }
    }

    /// Returns the value of an `authorization` header: `Bearer` and the secret, marked sensitive.
    pub fn header_value(&self) -> &HeaderValue {
        &self.header
    }

    /// Returns the instant at which the token expires, by the issuer's clock; `None` if it has no
    /// known expiry.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Replaces the expiry.
    #[cfg(feature = "credential-files")]
    pub(crate) fn with_expiry(self, expires_at: Option<SystemTime>) -> Self {
        Self { expires_at, ..self }
    }

    /// Returns whether both have the same secret.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.header == other.header
    }
}

/// Whether `text` is a whole header value. The scheme's case doesn't matter.
fn has_bearer(text: &str) -> bool {
    text.get(..BEARER.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(BEARER))
}

impl Copyable for Token {
    fn copied(&self) -> Self {
        Self { header: self.header.copied(), ..self.clone() }
    }

    fn bytes(&self) -> usize {
        self.header.bytes()
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
    fn a_token_shows_its_secret_only_on_request() {
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
    fn an_illegal_secret_is_a_permanent_error_that_does_not_show_it() {
        for secret in ["", "hidden\nvalue", "hidden value", "hidden\u{e9}", "hidden\0", "hidden\r\n"] {
            let error = Token::new(secret, None).unwrap_err();
            assert!(!error.is_transient());
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
    }

    #[test]
    fn a_whole_header_value_is_refused_with_advice() {
        for value in ["Bearer hidden", "bearer hidden", "BEARER "] {
            let error = Token::new(value, None).unwrap_err();
            assert_eq!(error.field(), Some("token"));
            assert!(error.to_string().ends_with("\nfix: leave out `Bearer`"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
        assert!(Token::new("Bearer", None).is_ok());
    }

    #[test]
    fn a_clone_shares_the_buffer() {
        let token = Token::new("x".repeat(16 * 1024), None).unwrap();
        let clone = token.clone();
        assert_eq!(token.secret().as_ptr(), clone.secret().as_ptr());
        assert!(token.is_same(&clone));
    }
}
