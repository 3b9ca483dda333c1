//! What a diagnosis found out about the federated identity that a chain starts from.

use std::fmt::{self, Write};

use super::Impersonation;
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

    /// Returns the command that fixes it, or that shows more, if there is one.
    pub fn command(&self) -> Option<String> {
        self.error()?.federation()?.command()
    }
}

impl fmt::Display for DiagnosedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = PrintableWriter(f);
        write!(f, "{}: ", self.description)?;
        match &self.error {
            None => f.write_str("the subject token is accepted"),
            Some(error) => {
                write!(f, "{}", error.without_advice())?;
                // The line breaks of the report aren't those of a foreign text.
                match error.hint() {
                    Some(hint) => write!(f.0, "\n   fix: {hint}"),
                    None => Ok(()),
                }
            }
        }
    }
}
