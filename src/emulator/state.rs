//! Everything that the emulator knows, shared by all its protocols.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use serde_json::{Value, json};

use crate::emulator::clock::{Clock, unix};
use crate::emulator::error::Refusal;
use crate::emulator::faults::Faults;
use crate::emulator::iam::access_tokens::{AccessTokens, Record};
use crate::emulator::iam::account::{Account, Accounts, unique_id_of};
use crate::emulator::iam::jwt::{self, Parsed};
use crate::emulator::iam::key::{KeyRing, SigningKey, blocking};
use crate::emulator::iam::policy::{Policy, PolicyError};
use crate::emulator::journal::Journal;

/// The issuer in ID tokens.
pub(crate) const ISSUER: &str = "https://accounts.google.com";

/// How long an ID token lives.
const ID_TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

pub(crate) struct World {
    /// `http://127.0.0.1:8095`
    pub(crate) endpoint: String,
    /// The authority of the TLS certificate.
    pub(crate) ca_pem: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
    /// "Google's" own keys, which sign ID tokens.
    pub(crate) google: Arc<KeyRing>,
    pub(crate) tokens: AccessTokens,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    policy: ArcSwapOption<Rules>,
    /// Held while the policy is read, changed and written back.
    changing: Mutex<()>,
    /// What a reset goes back to.
    first_policy: Option<Policy>,
    /// The users of the refresh tokens that fixtures were given.
    refresh_tokens: Mutex<HashMap<String, String>>,
    /// What the metadata server hands out again and again.
    reissued: Mutex<HashMap<ReissueKey, (String, SystemTime)>>,
}

/// Principal and scopes.
type ReissueKey = (Arc<str>, Arc<[String]>);

/// The claims of an ID token that vary.
#[derive(Debug)]
pub(crate) struct IdClaims<'a> {
    pub(crate) audience: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) azp: &'a str,
    pub(crate) email: Option<&'a str>,
    /// Whether to tell the organisation, and its number if there is one.
    pub(crate) organization: Option<Option<u64>>,
}

/// A policy and since when it holds, on the timeline.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    since: SystemTime,
}

impl fmt::Debug for World {
    /// Tables of tokens are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Rules {
    /// How long the policy has been in force.
    pub(crate) fn age(&self, world: &World) -> Duration {
        world.clock.now().duration_since(self.since).unwrap_or_default()
    }
}

impl World {
    /// `policy` must be valid.
    pub(crate) fn new(endpoint: String, ca_pem: Option<String>, policy: Option<Policy>) -> Self {
        let world = Self {
            endpoint,
            ca_pem,
            clock: Clock::default(),
            accounts: Accounts::default(),
            google: Arc::default(),
            tokens: AccessTokens::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            policy: ArcSwapOption::empty(),
            changing: Mutex::default(),
            first_policy: policy.clone(),
            refresh_tokens: Mutex::default(),
            reissued: Mutex::default(),
        };
        world.set_policy(policy);
        world
    }

    /// Back to the start, but for keys and refresh tokens: files that were handed out stay good.
    pub(crate) fn reset(&self) {
        self.clock.reset();
        self.tokens.clear();
        self.reissued.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.faults.clear();
        self.journal.clear();
        self.set_policy(self.first_policy.clone());
    }

    pub(crate) fn policy(&self) -> Option<Arc<Rules>> {
        self.policy.load_full()
    }

    /// Puts a valid policy into force, or none.
    pub(crate) fn set_policy(&self, policy: Option<Policy>) {
        let rules = policy.map(|policy| {
            for (email, unique_id) in policy.accounts() {
                self.accounts.declare(email, &unique_id);
            }
            Arc::new(Rules { policy, since: self.clock.now() })
        });
        self.policy.store(rules);
    }

    /// Changes the policy in force, starting from an empty one. Grants made earlier keep their age.
    pub(crate) fn change_policy<T>(
        &self,
        change: impl FnOnce(&mut Policy, Duration) -> T,
    ) -> Result<T, PolicyError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = self.policy();
        let since = rules.as_ref().map_or_else(|| self.clock.now(), |rules| rules.since);
        let age = self.clock.now().duration_since(since).unwrap_or_default();
        let mut policy = rules.map(|rules| rules.policy.clone()).unwrap_or_default();
        let result = change(&mut policy, age);
        policy.validate()?;
        for (email, unique_id) in policy.accounts() {
            self.accounts.declare(email, &unique_id);
        }
        self.policy.store(Some(Arc::new(Rules { policy, since })));
        Ok(result)
    }

    /// The account of that e-mail address or unique id, if it exists. With no policy all do.
    pub(crate) fn account(&self, account: &str) -> Option<Arc<Account>> {
        match self.policy() {
            None => Some(self.accounts.get(account)),
            Some(rules) => self.accounts.find(account).filter(|account| rules.policy.knows(account.email())),
        }
    }

    /// The refresh token of a user; made up if there is none.
    pub(crate) fn refresh_token_of(&self, user: &str) -> String {
        if let Some(rules) = self.policy()
            && let Some(token) = rules.policy.refresh_token_of(user)
        {
            return token.to_owned();
        }
        let mut tokens = self.refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let made = format!("1//emulator-{}", unique_id_of(user));
        tokens.insert(made.clone(), user.to_owned());
        made
    }

    /// The user of a refresh token.
    pub(crate) fn user_of(&self, refresh_token: &str) -> Option<String> {
        let from_policy =
            self.policy().and_then(|rules| rules.policy.user_of(refresh_token).map(str::to_owned));
        from_policy.or_else(|| {
            self.refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner).get(refresh_token).cloned()
        })
    }

    /// A new access token, and when it expires on the timeline.
    pub(crate) fn issue(
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

    /// The token issued before while more than `renewed` of its life is left, and then a new one.
    pub(crate) fn reissue(
        &self,
        principal: &Arc<str>,
        scopes: Arc<[String]>,
        lifetime: Duration,
        renewed: Duration,
    ) -> Result<(String, SystemTime), Refusal> {
        let mut reissued = self.reissued.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(principal), Arc::clone(&scopes));
        let now = self.clock.now();
        if let Some((token, expires)) = reissued.get(&key).filter(|(_, expires)| *expires > now + renewed) {
            return Ok((token.clone(), *expires));
        }
        // Scopes are the caller's choice: what has expired must not pile up.
        reissued.retain(|_, (_, expires)| *expires > now);
        let fresh = self.issue(principal, scopes, lifetime)?;
        reissued.insert(key, fresh.clone());
        Ok(fresh)
    }

    /// An ID token, signed by "Google".
    pub(crate) async fn id_token(&self, wanted: &IdClaims<'_>) -> Result<String, Refusal> {
        let now = self.clock.now();
        let mut claims = json!({
            "iss": ISSUER,
            "aud": wanted.audience,
            "azp": wanted.azp,
            "sub": wanted.subject,
            "iat": unix(self.clock.shown(now)),
            "exp": unix(self.clock.shown(now + ID_TOKEN_LIFETIME)),
        });
        if let Some(email) = wanted.email {
            claims["email"] = email.into();
            claims["email_verified"] = true.into();
        }
        if let Some(number) = wanted.organization {
            claims["google"] = json!({ "organization_number": number });
        }
        let google = Arc::clone(&self.google);
        blocking(move || jwt::sign(&*google.current(now)?, &claims.to_string())).await
    }

    /// Runs `work` with the account's system-managed key, off the async threads.
    pub(crate) async fn with_key<T: Send + 'static>(
        &self,
        account: &Account,
        work: impl FnOnce(&SigningKey) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (ring, now) = (Arc::clone(account.keys()), self.clock.now());
        blocking(move || work(&*ring.current(now)?)).await
    }

    /// The claims of `token` if it is an ID token of this emulator's "Google", live or expired.
    pub(crate) fn id_token_claims(&self, token: &str) -> Option<serde_json::Map<String, Value>> {
        let parsed = Parsed::from_token(token)?;
        let keys = self.google.published();
        parsed.is_signed_by(keys.iter().map(|key| &**key)).then_some(parsed.claims)
    }
}
