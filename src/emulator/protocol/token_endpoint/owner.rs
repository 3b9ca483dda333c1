//! Who an access token belongs to, as OAuth's endpoints show it.

use crate::emulator::iam::access_tokens::Record;
use crate::emulator::iam::account::unique_id_of;
use crate::emulator::iam::identities::Identities;
use crate::scopes::USERINFO_EMAIL;

/// The owner of a token.
pub(super) struct Owner<'a> {
    /// The numeric id.
    pub(super) id: String,
    /// The e-mail address, if there is one and the token's scopes include it.
    pub(super) email: Option<&'a str>,
}

impl<'a> Owner<'a> {
    /// Returns the owner of a token with this record.
    pub(super) fn of(identities: &Identities, record: &'a Record) -> Self {
        let principal: &str = &record.principal;
        let (id, email) = match principal.split_once(':') {
            Some(("serviceAccount", email)) => {
                (identities.accounts.get(email).unique_id().to_owned(), Some(email))
            }
            Some(("user", email)) => (unique_id_of(email), Some(email)),
            // A federated principal has no e-mail address.
            _ => (unique_id_of(principal), None),
        };
        let is_visible = record.scopes.iter().any(|scope| scope == USERINFO_EMAIL || scope == "email");
        Self { id, email: email.filter(|_| is_visible) }
    }
}
