//! Accounts, tokens, keys and policy: they decide who a principal is and what it may do.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::access_tokens::{AccessTokens, Record};
use super::account::{Account, Accounts};
use super::active_policy::{ActivePolicy, PolicyHolder};
use super::federation::aws::credentials::AwsIssuer;
use super::federation::issuers::Issuers;
use super::federation::sign_ins::SignIns;
use super::id_tokens::{IdTokenClaims, IdTokenIssuer};
use super::policy::{Policy, PolicyError};
use super::refresh_tokens::RefreshTokens;
use super::reused_tokens::{IssuedToken, ReusedTokens};
use crate::emulator::clock::Clock;
use crate::emulator::error::ApiError;
use crate::own_hosts::OwnHosts;
use crate::scopes;

/// The time that a token of the policy is said to be valid for: 1 h.
const SHOWN_LIFETIME: Duration = Duration::from_secs(3600);

/// The accounts, their tokens, and the policy in force, with the clock that all of them use.
pub(crate) struct Identities {
    pub(crate) clock: Arc<Clock>,
    pub(crate) own_hosts: Arc<OwnHosts>,
    pub(crate) accounts: Accounts,
    pub(crate) access_tokens: AccessTokens,
    /// "Google", which signs ID tokens.
    pub(crate) google: IdTokenIssuer,
    /// The issuers outside Google Cloud that the emulator plays.
    pub(crate) issuers: Issuers,
    /// AWS, as the emulator plays it.
    pub(crate) aws: AwsIssuer,
    /// People who signed in with a workforce pool.
    pub(crate) sign_ins: SignIns,
    policy: PolicyHolder,
    refresh_tokens: RefreshTokens,
    reused_tokens: ReusedTokens,
}

impl fmt::Debug for Identities {
    /// Leaves out the tables of tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

impl Identities {
    pub(crate) fn new(clock: Arc<Clock>, own_hosts: Arc<OwnHosts>) -> Self {
        Self {
            clock,
            own_hosts,
            accounts: Accounts::default(),
            access_tokens: AccessTokens::default(),
            google: IdTokenIssuer::default(),
            issuers: Issuers::default(),
            aws: AwsIssuer::default(),
            sign_ins: SignIns::default(),
            policy: PolicyHolder::default(),
            refresh_tokens: RefreshTokens::default(),
            reused_tokens: ReusedTokens::default(),
        }
    }

    /// Forgets access tokens. Keys and refresh tokens stay, so credential files stay valid.
    pub(crate) fn forget_tokens(&self) {
        self.access_tokens.clear();
        self.reused_tokens.clear();
        self.refresh_tokens.restore();
    }

    /// Returns the policy in force. Without one, any bearer token has all permissions.
    pub(crate) fn policy(&self) -> Option<Arc<ActivePolicy>> {
        self.policy.get()
    }

    /// Puts a valid policy into force, or none.
    pub(crate) fn set_policy(&self, policy: Option<Policy>) {
        self.policy.set(policy, self.clock.now(), &self.accounts);
    }

    /// Changes the policy in force. If there is none, changes an empty policy. `change` gets the policy's
    /// age.
    pub(crate) fn change_policy<T>(
        &self,
        change: impl FnOnce(&mut Policy, Duration) -> Result<T, PolicyError>,
    ) -> Result<T, PolicyError> {
        self.policy.change(self.clock.now(), &self.accounts, change)
    }

    /// Changes the policy in force. Returns `None` if there is none.
    pub(crate) fn change_existing_policy<T, E: From<PolicyError>>(
        &self,
        change: impl FnOnce(&mut Policy, Duration) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        self.policy.change_existing(self.clock.now(), &self.accounts, change)
    }

    /// Forgets the keys and the access tokens of an account that was deleted.
    pub(crate) fn forget_account(&self, account: &Arc<Account>) {
        self.accounts.remove(account);
        self.access_tokens.forget(account.member());
        self.reused_tokens.clear();
    }

    /// Returns the account with this e-mail address or unique id, if it exists. Without a policy, all
    /// accounts exist.
    pub(crate) fn account(&self, account: &str) -> Option<Arc<Account>> {
        match self.policy() {
            None => Some(self.accounts.get(account)),
            Some(active) => {
                self.accounts.find(account).filter(|account| active.policy.knows(account.email()))
            }
        }
    }

    /// Returns the refresh token of a user. Makes one if the policy has none.
    pub(crate) fn refresh_token_of(&self, user: &str) -> String {
        let active = self.policy();
        let from_policy = active.as_ref().and_then(|active| active.policy.refresh_token_of(user));
        let from_policy = from_policy.filter(|token| !self.is_revoked(token));
        from_policy.map_or_else(|| self.refresh_tokens.make(user), str::to_owned)
    }

    /// Returns the user of a refresh token, unless it has been revoked.
    pub(crate) fn user_of(&self, refresh_token: &str) -> Option<String> {
        if self.is_revoked(refresh_token) {
            return None;
        }
        let active = self.policy();
        let from_policy = active.as_ref().and_then(|active| active.policy.user_of(refresh_token));
        from_policy.map(str::to_owned).or_else(|| self.refresh_tokens.user_of(refresh_token))
    }

    /// Issues an access token.
    pub(crate) fn issue_access_token(
        &self,
        principal: &Arc<str>,
        scopes: Arc<[String]>,
        lifetime: Duration,
    ) -> Result<IssuedToken, ApiError> {
        let now = self.clock.now();
        let expires = now + lifetime;
        let record = Record { principal: Arc::clone(principal), scopes, expires, sts: None };
        Ok((self.access_tokens.issue(record, now)?, expires))
    }

    /// Issues an access token of a user in exchange for the user's refresh token. Returns `None` if that has
    /// been revoked.
    pub(crate) fn exchange_refresh_token(
        &self,
        refresh_token: &str,
        user: &Arc<str>,
        scopes: Arc<[String]>,
        lifetime: Duration,
    ) -> Result<Option<String>, ApiError> {
        let expires = self.clock.now() + lifetime;
        let record = Record { principal: Arc::clone(user), scopes, expires, sts: None };
        self.issue_for_refresh_token(refresh_token, record)
    }

    /// Issues an access token with this record in exchange for a refresh token. Returns `None` if that has
    /// been revoked.
    pub(crate) fn issue_for_refresh_token(
        &self,
        refresh_token: &str,
        record: Record,
    ) -> Result<Option<String>, ApiError> {
        let (now, expires) = (self.clock.now(), record.expires);
        let token = self.access_tokens.issue(record, now)?;
        if self.refresh_tokens.exchanged(refresh_token, &token, expires, now) {
            return Ok(Some(token));
        }
        self.access_tokens.revoke(&token, now);
        Ok(None)
    }

    /// Returns the record of an access token that is live: one that was issued, or one of the policy, which
    /// never expires and counts as valid for another hour. Tokens of a disabled account aren't live.
    pub(crate) fn live_token(&self, token: &str) -> Option<Record> {
        let now = self.clock.now();
        let active = self.policy();
        let policy = active.as_ref().map(|active| &active.policy);
        let record = match self.access_tokens.find(token) {
            Some(record) => record,
            None => {
                let fixed = policy?.fixed_token(token).filter(|_| !self.is_revoked(token))?;
                let all = || [scopes::CLOUD_PLATFORM, scopes::USERINFO_EMAIL].map(str::to_owned).to_vec();
                let scopes = fixed.scopes.clone().unwrap_or_else(all).into();
                let principal = fixed.principal.as_str().into();
                Record { principal, scopes, expires: now + SHOWN_LIFETIME, sts: None }
            }
        };
        let account = record.principal.strip_prefix("serviceAccount:");
        let is_disabled = account.is_some_and(|email| policy.is_some_and(|policy| policy.is_disabled(email)));
        (record.expires > now && !is_disabled).then_some(record)
    }

    /// Ends an access token or a refresh token. A refresh token takes the access tokens along that it was
    /// exchanged for, and each of those takes its refresh token along. Returns `false` if there is no such
    /// token.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        let now = self.clock.now();
        let was_live = self.live_token(token).is_some();
        let is_refresh_token = self.user_of(token).is_some() || self.sign_ins.session(token).is_some();
        let refresh_token = match is_refresh_token {
            true => Some(token.to_owned()),
            false => self.refresh_tokens.source_of(token).filter(|_| was_live),
        };
        if !was_live && refresh_token.is_none() {
            return false;
        }
        let related = refresh_token.map(|token| self.refresh_tokens.revoke(&token)).unwrap_or_default();
        for access_token in related.iter().map(String::as_str).chain([token]) {
            let was_issued = self.access_tokens.revoke(access_token, now);
            self.reused_tokens.forget(access_token);
            if !was_issued {
                // A token of the policy, or a refresh token.
                self.refresh_tokens.revoke(access_token);
            }
        }
        true
    }

    /// Returns whether a token of the policy or a refresh token has been revoked.
    pub(crate) fn is_revoked(&self, token: &str) -> bool {
        self.refresh_tokens.is_revoked(token)
    }

    /// Returns the token that was issued before for the same principal and scopes, if more than `margin`
    /// of its life is left. Otherwise issues a new one.
    pub(crate) fn reuse_access_token(
        &self,
        principal: &Arc<str>,
        scopes: Arc<[String]>,
        lifetime: Duration,
        margin: Duration,
    ) -> Result<IssuedToken, ApiError> {
        self.reused_tokens.get_or_issue(principal, &scopes, self.clock.now(), margin, || {
            self.issue_access_token(principal, Arc::clone(&scopes), lifetime)
        })
    }

    /// Issues an ID token.
    pub(crate) async fn issue_id_token(&self, claims: &IdTokenClaims<'_>) -> Result<String, ApiError> {
        self.google.issue(&self.clock, claims).await
    }

    /// Returns the time left until an instant on the timeline.
    pub(crate) fn time_until(&self, instant: SystemTime) -> Duration {
        instant.duration_since(self.clock.now()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: E6
    #[test]
    fn no_access_token_outlives_its_refresh_token_when_both_are_requested_at_once() {
        let identities = Identities::new(Arc::default(), Arc::default());
        let user: Arc<str> = "user:a@example.com".into();
        for _ in 0..100 {
            let refresh_token = identities.refresh_token_of("a@example.com");
            let exchange =
                || identities.exchange_refresh_token(&refresh_token, &user, Arc::default(), SHOWN_LIFETIME);
            let issued = std::thread::scope(|scope| {
                let exchanges =
                    || std::iter::from_fn(|| exchange().unwrap()).take(10_000).collect::<Vec<_>>();
                let issuing = [scope.spawn(exchanges), scope.spawn(exchanges)];
                assert!(identities.revoke(&refresh_token));
                issuing.map(|issuing| issuing.join().unwrap()).concat()
            });
            assert!(issued.iter().all(|token| identities.live_token(token).is_none()));
            assert!(exchange().unwrap().is_none());
        }
    }
}
