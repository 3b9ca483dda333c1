//! Who an access token belongs to, as OAuth's endpoints show it.

use crate::emulator::iam::account::unique_id_of;
use crate::emulator::iam::identities::Identities;
use crate::scopes::USERINFO_EMAIL;

/// The numeric id and the e-mail address of a token's owner.
pub(super) struct Owner<'a> {
    pub(super) id: String,
    pub(super) email: &'a str,
}

impl<'a> Owner<'a> {
    /// Returns the owner of a token of this principal.
    pub(super) fn of(identities: &Identities, principal: &'a str) -> Self {
        let (kind, email) = principal.split_once(':').unwrap_or_default();
        let id = match kind {
            "serviceAccount" => identities.accounts.get(email).unique_id().to_owned(),
            _ => unique_id_of(email),
        };
        Self { id, email }
    }
}

/// Returns whether a token with these scopes may see the e-mail address of its owner.
pub(super) fn may_see_email(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| scope == USERINFO_EMAIL || scope == "email")
}
