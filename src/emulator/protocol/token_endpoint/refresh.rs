//! The refresh-token grant: exchanges a user's refresh token for an access token.

use std::sync::Arc;

use serde_json::Value;

use super::{LIFETIME, TokenForm, access_token_reply, split};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::iam::account::unique_id_of;
use crate::emulator::iam::id_tokens::IdTokenClaims;
use crate::emulator::iam::identities::Identities;
use crate::scopes::{self, check::are_scopes};

/// The scopes that every user has consented to: the emulator has no consent page.
const CONSENTED: [&str; 3] = ["openid", scopes::USERINFO_EMAIL, scopes::CLOUD_PLATFORM];

/// Returns an access token, and an ID token if `openid` is among the scopes.
pub(super) async fn grant(
    identities: &Identities,
    form: &TokenForm,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    if form.client_id.is_empty() || form.client_secret.is_empty() {
        return Err(OauthError::client("invalid_client", "The OAuth client was not found."));
    }
    let ended = || OauthError::grant("Token has been expired or revoked.");
    let user = identities.user_of(&form.refresh_token).ok_or_else(ended)?;
    let principal: Arc<str> = format!("user:{user}").into();
    record.set_principal(&principal);
    let scopes = match split(&form.scope) {
        none if none.is_empty() => CONSENTED.map(str::to_owned).to_vec(),
        requested => requested,
    };
    if !are_scopes(&scopes) {
        return Err(OauthError::new("invalid_scope", "Some requested scopes were invalid."));
    }
    let token = identities.exchange_refresh_token(
        &form.refresh_token,
        &principal,
        scopes.clone().into(),
        LIFETIME,
    )?;
    let token = token.ok_or_else(ended)?;
    let mut reply = access_token_reply(&token);
    reply["scope"] = scopes.join(" ").into();
    if scopes.iter().any(|scope| scope == "openid") {
        let claims = IdTokenClaims {
            audience: &form.client_id,
            subject: &unique_id_of(&user),
            azp: &form.client_id,
            email: Some(&user),
            google: None,
        };
        reply["id_token"] = identities.issue_id_token(&claims).await?.into();
    }
    Ok(reply)
}
