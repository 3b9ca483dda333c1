//! A subject token, and where it comes from.

use std::fmt;

use tokio::time::Instant;

use crate::Error;
use crate::source::BoxFuture;

/// A token of another platform, which proves a federated identity to Google.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SubjectToken(Box<str>);

impl SubjectToken {
    /// Takes the token out of `text`, without the spaces and line ends around it. Returns `None` if
    /// nothing is left.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let token = text.trim_ascii();
        (!token.is_empty()).then(|| Self(token.into()))
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectToken(..)")
    }
}

/// Fetches one subject token at a time. It caches nothing.
pub(crate) trait SubjectTokenSource: Send + Sync {
    /// Fetches the current subject token until `deadline`.
    ///
    /// # Errors
    ///
    /// Transient if a later fetch may succeed without a change by a person. The error contains no
    /// part of the token, nor of what was read.
    fn fetch(&self, deadline: Instant) -> BoxFuture<'_, Result<SubjectToken, Error>>;

    /// Fetches a subject token after `refused` was refused. A source that keeps tokens doesn't return
    /// that one again if it can get another.
    fn fetch_other<'a>(
        &'a self,
        _refused: &'a SubjectToken,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<SubjectToken, Error>> {
        self.fetch(deadline)
    }

    /// Returns a number that changes when another program replaces the tokens: see
    /// [`TokenSource::revision`](crate::TokenSource::revision). Default: always 0.
    fn revision(&self) -> u64 {
        0
    }

    /// Returns the kind of source.
    fn kind(&self) -> SubjectTokenKind;

    /// Returns where the tokens come from, for people: `the file /var/run/token`. It contains no
    /// secret.
    fn origin(&self) -> String;
}

/// The kinds of sources of subject tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectTokenKind {
    File,
    Url,
    Executable,
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "nothing makes one"))]
    Aws,
    /// A client certificate (X.509).
    #[cfg_attr(not(feature = "_tls"), expect(dead_code, reason = "nothing makes one"))]
    Certificate,
    /// A closure in the program.
    Programmatic,
}

impl SubjectTokenKind {
    /// Returns the name that Google's libraries report to the token service.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Url => "url",
            Self::Executable => "executable",
            Self::Aws => "aws",
            Self::Certificate => "x509",
            Self::Programmatic => "programmatic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: F1
    #[test]
    fn the_line_end_after_a_token_is_not_a_part_of_it() {
        for text in ["a.b.c", "a.b.c\n", " a.b.c\r\n", "\t\na.b.c"] {
            assert_eq!(SubjectToken::new(text).unwrap().secret(), "a.b.c", "{text:?}");
        }
        for text in ["", "\n", " \r\n\t"] {
            assert_eq!(SubjectToken::new(text), None, "{text:?}");
        }
        assert_eq!(format!("{:?}", SubjectToken::new("hidden")), "Some(SubjectToken(..))");
    }
}
