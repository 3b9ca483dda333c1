//! Everything that the emulator knows, shared by all its protocols.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::access_token::{AccessTokens, Record};
use super::account::{Account, Accounts};
use super::clock::{Clock, unix};
use super::fault::Faults;
use super::journal::Journal;
use super::jwt::{self, Parsed};
use super::key::{KeyRing, SigningKey, blocking};
use super::refusal::Refusal;

/// The issuer in ID tokens.
pub(super) const ISSUER: &str = "https://accounts.google.com";

/// How long an ID token lives.
const ID_TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct World {
    /// `http://127.0.0.1:8095`
    pub(super) endpoint: String,
    pub(super) clock: Clock,
    pub(super) accounts: Accounts,
    /// "Google's" own keys, which sign ID tokens.
    pub(super) google: Arc<KeyRing>,
    pub(super) tokens: AccessTokens,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
}

/// The claims of an ID token that vary.
#[derive(Debug)]
pub(super) struct IdClaims<'a> {
    pub(super) audience: &'a str,
    pub(super) include_email: bool,
    /// `azp` is the e-mail address instead of the unique id.
    pub(super) email_azp: bool,
}

impl World {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            clock: Clock::default(),
            accounts: Accounts::default(),
            google: Arc::default(),
            tokens: AccessTokens::default(),
            faults: Faults::default(),
            journal: Journal::default(),
        }
    }

    /// Back to the start, but for the keys: key files that were handed out stay good.
    pub(super) fn reset(&self) {
        self.clock.reset();
        self.tokens.clear();
        self.faults.clear();
        self.journal.clear();
    }

    /// A new access token, and when it expires on the timeline.
    pub(super) fn issue(
        &self,
        principal: &Arc<str>,
        scopes: Arc<[String]>,
        lifetime: Duration,
    ) -> Result<(String, SystemTime), Refusal> {
        let now = self.clock.now();
        let expires = now + lifetime;
        let token = self.tokens.issue(Record { principal: Arc::clone(principal), scopes, expires }, now)?;
        Ok((token, expires))
    }

    /// An ID token for `account`, signed by "Google".
    pub(super) async fn id_token(&self, account: &Account, wanted: &IdClaims<'_>) -> Result<String, Refusal> {
        let now = self.clock.now();
        let mut claims = json!({
            "iss": ISSUER,
            "aud": wanted.audience,
            "azp": if wanted.email_azp { account.email() } else { account.unique_id() },
            "sub": account.unique_id(),
            "iat": unix(self.clock.shown(now)),
            "exp": unix(self.clock.shown(now + ID_TOKEN_LIFETIME)),
        });
        if wanted.include_email {
            claims["email"] = account.email().into();
            claims["email_verified"] = true.into();
        }
        let google = Arc::clone(&self.google);
        blocking(move || jwt::sign(&*google.current(now)?, &claims.to_string())).await
    }

    /// Runs `work` with the account's system-managed key, off the async threads.
    pub(super) async fn with_key<T: Send + 'static>(
        &self,
        account: &Account,
        work: impl FnOnce(&SigningKey) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (ring, now) = (Arc::clone(account.keys()), self.clock.now());
        blocking(move || work(&*ring.current(now)?)).await
    }

    /// The claims of `token` if it is an ID token of this emulator's "Google", live or expired.
    pub(super) fn id_token_claims(&self, token: &str) -> Option<serde_json::Map<String, Value>> {
        let parsed = Parsed::from_token(token)?;
        let keys = self.google.published();
        parsed.is_signed_by(keys.iter().map(|key| &**key)).then_some(parsed.claims)
    }
}
