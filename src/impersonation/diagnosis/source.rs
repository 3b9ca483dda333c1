//! What a diagnosis found out about the federated identity that a chain starts from.

use std::fmt::{self, Write};

use super::Impersonation;
use super::fix::{Fix, of_failure};
use crate::Error;
use crate::printable::PrintableWriter;

/// What a [`Diagnosis`](super::Diagnosis) found out about a federated identity: its subject token, and
/// the exchange of that.
///
/// ```
/// use gcp_iam_credentials::diagnosis::Diagnosis;
///
/// fn report(diagnosis: &Diagnosis) {
///     if let Some(error) = diagnosis.source().and_then(|source| source.error()) {
///         println!("no federated token: {error}");
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct DiagnosedSource {
    description: String,
    error: Option<Error>,
}

impl Impersonation {
    /// Exchanges the subject token, if the client's credentials start from a federated identity.
    pub(super) async fn diagnose_source(&self) -> Option<DiagnosedSource> {
        let credentials = self.client.credentials();
        let info = credentials.info();
        info.audience()?;
        let error = credentials.token().await.err();
        // If the credentials impersonate an account, another failure isn't that of the identity.
        let error = error.filter(|error| info.hops().is_empty() || error.federation().is_some());
        let description = info.description().unwrap_or("a federated identity").to_owned();
        Some(DiagnosedSource { description, error })
    }
}

impl DiagnosedSource {
    /// Returns what kind of identity it is, and where its subject tokens come from.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns why there is no token: no subject token, or a refused one. Its text contains a few claims
    /// of the subject token, and what to do. `None` if there is a token.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns what was found out, as text for people: one line.
    pub fn explanation(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.explain(&mut PrintableWriter(&mut text));
        text
    }

    /// Returns what fixes it, if that is known.
    pub fn fix(&self) -> Option<Fix> {
        self.error().and_then(of_failure)
    }

    fn explain(&self, f: &mut impl Write) -> fmt::Result {
        match &self.error {
            None => f.write_str("the subject token is accepted"),
            Some(error) => write!(f, "{}", error.without_advice()),
        }
    }
}

impl fmt::Display for DiagnosedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(PrintableWriter(f), "{}: ", self.description)?;
        self.explain(&mut PrintableWriter(f))?;
        match self.error.as_ref().and_then(Error::hint) {
            Some(hint) => write!(f, "\n   fix: {hint}"),
            None => Ok(()),
        }
    }
}
