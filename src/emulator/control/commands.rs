//! The commands that control a running emulator.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::FromRef;
use serde_json::Value;

use super::credential_files;
use super::external_account_file::ExternalAccountFile;
use super::sign_in_file;
use crate::emulator::clock::{Clock, Skew};
use crate::emulator::error::ApiError;
use crate::emulator::faults::{ActiveFault, Fault, FaultId, PlatformFault};
use crate::emulator::iam::account::Account;
use crate::emulator::iam::authorization::{self, Chain};
use crate::emulator::iam::federation::external_identity::{
    ExternalIdentity, KUBERNETES_LIFETIME, WantedToken,
};
use crate::emulator::iam::key_ring::{KeyRing, blocking};
use crate::emulator::iam::policy::{Member, Policy, PolicyError, Role};
use crate::emulator::journal::JournalEntry;
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;
use crate::service_account_path;

/// The commands of the handle and of the control pages.
#[derive(Clone, Debug)]
pub(crate) struct Commands(Arc<EmulatorState>);

/// Whose signing key a command rotates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyOwner<'a> {
    /// "Google", which signs ID tokens.
    Google,
    /// The account with that e-mail address or unique id.
    Account(&'a str),
}

/// A question to the policy: may `principal` do this?
#[derive(Debug)]
pub(crate) struct Check<'a> {
    pub(crate) principal: &'a str,
    pub(crate) method: Method,
    pub(crate) service_account: &'a str,
    pub(crate) delegates: &'a [String],
}

impl FromRef<Arc<EmulatorState>> for Commands {
    fn from_ref(state: &Arc<EmulatorState>) -> Self {
        Self::new(Arc::clone(state))
    }
}

impl Commands {
    pub(crate) fn new(state: Arc<EmulatorState>) -> Self {
        Self(state)
    }

    pub(crate) fn state(&self) -> &EmulatorState {
        &self.0
    }

    /// Returns the entries of the journal, the oldest first. If `method` is set, only those of this method.
    pub(crate) fn journal(&self, method: Option<Method>) -> Vec<JournalEntry> {
        let mut entries = self.0.journal.entries();
        entries.retain(|entry| method.is_none_or(|method| entry.method == method));
        entries
    }

    pub(crate) fn clear_journal(&self) {
        self.0.journal.clear();
    }

    pub(crate) fn faults(&self) -> Vec<ActiveFault> {
        self.0.faults.list()
    }

    pub(crate) fn inject_fault(&self, fault: Fault) -> FaultId {
        self.0.faults.inject(fault)
    }

    /// Returns `false` if the fault isn't in force.
    pub(crate) fn clear_fault(&self, id: FaultId) -> bool {
        self.0.faults.clear(id)
    }

    pub(crate) fn clear_faults(&self) {
        self.0.faults.clear_all();
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Returns the time that clients are told.
    pub(crate) fn now(&self) -> SystemTime {
        self.0.clock.shown(self.0.clock.now())
    }

    pub(crate) fn advance_clock(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    pub(crate) fn set_clock_skew(&self, skew: Skew) {
        self.0.clock.set_skew(skew);
    }

    pub(crate) fn policy(&self) -> Option<Policy> {
        self.0.identities.policy().map(|active| active.policy.clone())
    }

    /// Validates a policy and puts it into force. Tokens stay valid.
    pub(crate) fn set_policy(&self, policy: Option<Policy>) -> Result<(), PolicyError> {
        policy.as_ref().map_or(Ok(()), Policy::validate)?;
        self.0.identities.set_policy(policy);
        Ok(())
    }

    /// Adds a grant that comes into force after `propagation`, counted from now.
    pub(crate) fn grant(
        &self,
        propagation: Duration,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        email: &str,
    ) -> Result<(), PolicyError> {
        self.0.identities.change_policy(|policy, age| {
            // Without propagation the grant is in force at once, whatever the policy's age.
            let from = if propagation.is_zero() { Duration::ZERO } else { age.saturating_add(propagation) };
            policy.add_grant(from, member, role, email)
        })
    }

    /// Removes a member from a role on an account. Returns `false` if there was no such grant.
    pub(crate) fn revoke(&self, member: &str, role: &str, email: &str) -> Result<bool, PolicyError> {
        if self.0.identities.policy().is_none() {
            return Ok(false);
        }
        self.0.identities.change_policy(|policy, _| Ok(policy.remove_grant(member, role, email)))
    }

    /// Returns the target if the request would be allowed, otherwise the error that it would get.
    pub(crate) fn check(&self, check: &Check<'_>) -> Result<Result<Arc<Account>, ApiError>, ApiError> {
        let identities = &self.0.identities;
        let name = service_account_path("-", check.service_account);
        let chain = Chain::parse(identities, check.delegates, &name)?;
        Ok(authorization::foresee(identities, check.principal, check.method, &chain))
    }

    /// Replaces a signing key and returns the id of the new one.
    pub(crate) async fn rotate_key(&self, owner: KeyOwner<'_>) -> Result<String, ApiError> {
        let (ring, now) = (self.key_ring(owner)?, self.0.clock.now());
        blocking(move || ring.rotate(now).map(|key| key.id().to_owned())).await
    }

    /// Generates a signing key, if there is none yet.
    pub(crate) async fn prepare_key(&self, email: &str) -> Result<(), ApiError> {
        self.key_ring(KeyOwner::Account(email))?.with_current(self.0.clock.now(), |_| Ok(())).await
    }

    /// Returns the existing keys as a JSON Web Key Set, the signing key first. Generates none.
    pub(crate) fn jwks(&self, owner: KeyOwner<'_>) -> Value {
        self.key_ring(owner).unwrap_or_default().jwks()
    }

    /// Returns a service account's key file. Blocks while it generates the key, once per account.
    pub(crate) fn service_account_file(&self, email: &str) -> Result<Value, ApiError> {
        let account = self.account(email)?;
        credential_files::service_account(&self.0, &account)
    }

    /// Returns a user's credential file.
    pub(crate) fn authorized_user_file(&self, user: &str) -> Value {
        credential_files::authorized_user(&self.0, user)
    }

    /// Returns a credential file that impersonates `target` through `delegates`.
    pub(crate) fn impersonated_file(&self, source: Value, target: &str, delegates: &[&str]) -> Value {
        credential_files::impersonated(&self.0, source, target, delegates)
    }

    /// Returns the credential file of an external account.
    pub(crate) fn external_account_file(
        &self,
        name: &str,
        file: &ExternalAccountFile,
    ) -> Result<Value, ApiError> {
        file.to_json(&self.0, name)
    }

    /// Returns a token of an external account, with the fault of its platform in force.
    pub(crate) async fn external_account_token(&self, name: &str) -> Result<String, ApiError> {
        let identity = ExternalIdentity::find(&self.0.identities, name)?;
        let kinds = PlatformFault::OF_TOKENS;
        let fault = self.0.faults.apply_platform(&kinds, Method::ExternalAccount, name);
        let fault = fault.and_then(|fault| fault.platform_fault());
        let wanted = WantedToken { audience: None, lifetime: KUBERNETES_LIFETIME, fault };
        Ok(identity.issue(&wanted).await?.token)
    }

    /// Returns the credential file of a person who signed in with a workforce pool.
    pub(crate) fn external_account_authorized_user_file(&self, name: &str) -> Result<Value, ApiError> {
        sign_in_file::authorized_user(&self.0, name)
    }

    /// Returns the file that says where a person signs in.
    pub(crate) fn login_config_file(&self, name: &str) -> Result<Value, ApiError> {
        sign_in_file::login_config(&self.0, name)
    }

    /// Restores the state at the start, except that keys and refresh tokens stay valid.
    pub(crate) fn reset(&self) {
        self.0.reset();
    }

    fn key_ring(&self, owner: KeyOwner<'_>) -> Result<Arc<KeyRing>, ApiError> {
        Ok(match owner {
            KeyOwner::Google => Arc::clone(self.0.identities.google.keys()),
            KeyOwner::Account(account) => Arc::clone(self.account(account)?.keys()),
        })
    }

    fn account(&self, account: &str) -> Result<Arc<Account>, ApiError> {
        self.0.identities.account(account).ok_or_else(|| ApiError::unknown_account(account))
    }
}
