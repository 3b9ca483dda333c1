//! The JWT-bearer grant: exchanges an assertion that a service account signed for a token.

use std::sync::Arc;

use http::Uri;
use serde_json::{Value, json};

use super::{LIFETIME, access_token_reply, split};
use crate::emulator::api::record::JournalRecord;
use crate::emulator::error::{INVALID_SIGNATURE, OauthError};
use crate::emulator::iam::account::Account;
use crate::emulator::iam::id_tokens::IdTokenClaims;
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::jwt::{CLOCK_SKEW, Parsed, Validity};
use crate::emulator::state::EmulatorState;
use crate::scopes::check::are_scopes;

/// The longest time between `iat` and `exp`, in seconds: 1 h.
const LONGEST_ASSERTION: i64 = 3600;

/// The audiences of Google's own token endpoints, which some libraries use without reading the key file.
const GOOGLE_AUDIENCES: [&str; 4] = [
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v3/token",
    "https://www.googleapis.com/oauth2/v4/token",
];

/// Returns an ID token if the assertion has a `target_audience`, otherwise an access token.
pub(super) async fn grant(
    state: &EmulatorState,
    assertion: &Parsed<'_>,
    record: &mut JournalRecord<'_>,
) -> Result<Value, OauthError> {
    let identities = &state.identities;
    let account = account_of(identities, assertion)?;
    check_audience(state, assertion)?;
    check_times(state, assertion)?;
    record.set_principal(account.member());
    if let Some(audience) = assertion.text("target_audience") {
        let claims = IdTokenClaims {
            audience,
            subject: account.unique_id(),
            azp: account.email(),
            email: Some(account.email()),
            google: None,
        };
        return Ok(json!({ "id_token": identities.issue_id_token(&claims).await? }));
    }
    let scopes = split(assertion.text("scope").unwrap_or_default());
    if scopes.is_empty() || !are_scopes(&scopes) {
        return Err(OauthError::new("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    let principal = match assertion.text("sub") {
        Some(user) if user != account.email() => {
            check_delegation(identities, &account, &scopes)?;
            format!("user:{user}").into()
        }
        _ => Arc::clone(account.member()),
    };
    let (token, _) = identities.issue_access_token(&principal, scopes.into(), LIFETIME)?;
    Ok(access_token_reply(&token))
}

/// Returns the account that signed the assertion.
fn account_of(identities: &Identities, assertion: &Parsed<'_>) -> Result<Arc<Account>, OauthError> {
    let active = identities.policy();
    let policy = active.as_ref().map(|active| &active.policy);
    let account = assertion
        .text("iss")
        .and_then(|issuer| identities.accounts.find(issuer))
        .filter(|account| policy.is_none_or(|policy| policy.knows(account.email())))
        .ok_or_else(|| OauthError::grant("Invalid grant: account not found"))?;
    if policy.is_some_and(|policy| policy.is_disabled(account.email())) {
        return Err(OauthError::grant("Invalid grant: account disabled"));
    }
    if !account.keys().has_signed(assertion) {
        return Err(OauthError::grant(INVALID_SIGNATURE));
    }
    Ok(account)
}

fn check_audience(state: &EmulatorState, assertion: &Parsed<'_>) -> Result<(), OauthError> {
    let audience = assertion.text("aud").unwrap_or_default();
    if is_own_endpoint(state, audience) || GOOGLE_AUDIENCES.contains(&audience) {
        return Ok(());
    }
    Err(OauthError::grant("Invalid JWT: Failed audience check."))
}

/// Returns whether a URL is this endpoint's, under any of the emulator's names.
fn is_own_endpoint(state: &EmulatorState, url: &str) -> bool {
    let is_endpoint =
        |url: Uri| state.own_hosts.contain_url(&url) && url.path() == "/token" && url.query().is_none();
    url.parse().is_ok_and(is_endpoint)
}

fn check_times(state: &EmulatorState, assertion: &Parsed<'_>) -> Result<(), OauthError> {
    let longest = LONGEST_ASSERTION + CLOCK_SKEW;
    if assertion.validity(state.clock.shown_unix(), longest) == Validity::Valid {
        return Ok(());
    }
    Err(OauthError::grant(
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check \
         your iat and exp values in the JWT claim.",
    ))
}

/// Checks that the account may act as any user for these scopes.
fn check_delegation(identities: &Identities, account: &Account, scopes: &[String]) -> Result<(), OauthError> {
    match identities.policy() {
        Some(active) if !active.policy.may_act_as_users(account.email(), scopes) => Err(OauthError::client(
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized \
             for any of the scopes requested.",
        )),
        _ => Ok(()),
    }
}
