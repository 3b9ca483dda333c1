//! The policy in force, for tests in Rust.

use std::time::Duration;

use crate::emulator::control::commands::Commands;
use crate::emulator::iam::policy::{Member, Policy, PolicyError, Role};

/// Reads and changes the policy in force. [`Emulator::policy`](crate::emulator::Emulator::policy)
/// returns it.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
///
/// let email = "sa@p.iam.gserviceaccount.com";
/// let policy = Policy::new().account(email);
/// let emulator = Emulator::builder().policy(policy).start().await?;
///
/// let alice = "user:alice@example.com";
/// emulator.policy().grant(alice, Role::TOKEN_CREATOR, email)?;
/// assert!(emulator.policy().revoke(alice, Role::TOKEN_CREATOR, email)?);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PolicyControl<'a>(&'a Commands);

impl<'a> PolicyControl<'a> {
    pub(crate) fn new(commands: &'a Commands) -> Self {
        Self(commands)
    }

    /// Returns the policy in force. It is `None` if there is none: any bearer token has all permissions
    /// then.
    pub fn get(&self) -> Option<Policy> {
        self.0.policy()
    }

    /// Replaces the policy in force. `None` removes it. Issued tokens stay valid.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if the policy is invalid. The old one then stays in force.
    pub fn set(&self, policy: impl Into<Option<Policy>>) -> Result<(), PolicyError> {
        self.0.set_policy(policy.into())
    }

    /// Grants `member` a role on an account. Adds the account to the policy, and also the member if it
    /// is a service account.
    ///
    /// If no policy is in force, this puts a new one into force. From then on, every permission needs
    /// a grant.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if the member, the role or the account is invalid. Then nothing changes.
    pub fn grant(
        &self,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        email: &str,
    ) -> Result<(), PolicyError> {
        self.0.grant(Duration::ZERO, member, role, email)
    }

    /// Grants `member` a role on an account, as [`grant`](Self::grant) does. The grant comes into force
    /// after `propagation`, counted from now.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if the member, the role or the account is invalid. Then nothing changes.
    pub fn grant_after(
        &self,
        propagation: Duration,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        email: &str,
    ) -> Result<(), PolicyError> {
        self.0.grant(propagation, member, role, email)
    }

    /// Revokes a role of `member` on an account at once. Returns `false` if there was no such grant.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if the member or the role is invalid.
    pub fn revoke(
        &self,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        email: &str,
    ) -> Result<bool, PolicyError> {
        let member = member.try_into().map_err(Into::into)?;
        let role = role.try_into().map_err(Into::into)?;
        self.0.revoke(member.as_str(), role.as_str(), email)
    }
}
