//! What an adapter checks before it gives tokens away.

use gcp_iam_credentials::source::TokenKind;
use gcp_iam_credentials::{Credentials, Error};

/// Checks that the tokens are access tokens, as far as that is known: an ID token or a self-signed JWT
/// must not get to an API that expects an access token.
pub(crate) fn access_tokens(credentials: &Credentials) -> Result<(), Error> {
    match credentials.info().token_kind() {
        None | Some(TokenKind::AccessToken) => Ok(()),
        Some(kind) => Err(refused(format!("credentials must be for access tokens, got {kind:?}"))),
    }
}

/// Returns the host of an API, such as `storage`, in the universe of the credentials.
pub(crate) fn host(api: &str, credentials: &Credentials) -> String {
    let info = credentials.info();
    format!("{api}.{}", info.universe_domain().unwrap_or("googleapis.com"))
}

pub(crate) fn refused(problem: impl Into<String>) -> Error {
    Error::permanent(problem.into())
}
