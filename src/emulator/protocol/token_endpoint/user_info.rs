//! The pages that tell who the owner of an access token is.

use serde_json::{Value, json};

use super::owner::Owner;
use super::parameters::Parameters;
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::OauthError;
use crate::emulator::state::EmulatorState;

/// Answers `/oauth2/v1/userinfo`, `/oauth2/v2/userinfo` and `/userinfo/v2/me`.
pub(super) fn old(
    state: &EmulatorState,
    parameters: &Parameters,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    answer(state, parameters, record, ["id", "verified_email"])
}

/// Answers `/oauth2/v3/userinfo`, and `/v1/userinfo` on OpenID Connect's own host, with the names of claims.
pub(super) fn current(
    state: &EmulatorState,
    parameters: &Parameters,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    answer(state, parameters, record, ["sub", "email_verified"])
}

/// Returns the owner's id and address. `names` are those of the id and of the mark of a verified address.
fn answer(
    state: &EmulatorState,
    parameters: &Parameters,
    record: &mut JournalRecord<'_>,
    names: [&str; 2],
) -> Result<Value, OauthError> {
    let token = state.identities.live_token(&parameters.access_token);
    let token = token.ok_or_else(|| OauthError::client("invalid_request", "Invalid Credentials"))?;
    record.set_principal(&token.principal);
    let Owner { id, email } = Owner::of(&state.identities, &token);
    let [id_name, verified] = names;
    let mut info = json!({ id_name: id });
    if let Some(email) = email {
        info["email"] = email.into();
        info[verified] = true.into();
    }
    Ok(info)
}
