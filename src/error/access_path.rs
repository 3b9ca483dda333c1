//! The accounts that a request passes through, and the grants that it needs on them.

use crate::{roles, shell};

/// What advice contains in place of a name that isn't known.
const UNKNOWN_ACCOUNT: &str = "ACCOUNT";

/// The way of a request from its caller through the delegates to the target.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessPath {
    /// The principal of the caller's credentials, if it is known.
    pub(crate) caller: Option<Box<str>>,
    /// Whether the caller may be another principal: an identity provider's mapping decides.
    pub(crate) is_caller_likely: bool,
    /// The delegates and the target.
    pub(crate) accounts: Vec<Box<str>>,
}

/// A grant that a hop of the path needs.
pub(crate) struct NeededGrant<'a> {
    pub(crate) role: &'static str,
    pub(crate) account: &'a str,
    /// As policies name it: `user:me@example.com`.
    pub(crate) member: String,
}

impl AccessPath {
    pub(crate) fn target(&self) -> &str {
        self.accounts.last().map_or(UNKNOWN_ACCOUNT, |target| target)
    }

    pub(crate) fn has_delegates(&self) -> bool {
        self.accounts.len() > 1
    }

    /// Returns the caller as policies name it.
    pub(crate) fn calling_member(&self) -> String {
        roles::member(self.caller.as_deref())
    }

    /// Returns the grant of each hop, for a request that needs `permission` on the target.
    pub(crate) fn needed_grants(&self, permission: Option<&str>) -> Vec<NeededGrant<'_>> {
        let mut member = self.calling_member();
        let mut grants = Vec::new();
        for account in &self.accounts {
            let next = roles::service_account_member(account);
            grants.push(NeededGrant {
                role: roles::TOKEN_CREATOR,
                account,
                member: std::mem::replace(&mut member, next),
            });
        }
        if let Some(last) = grants.last_mut() {
            last.role = roles::granted_to(&last.member, permission);
        }
        grants
    }
}

impl NeededGrant<'_> {
    /// Returns the command that adds the grant.
    pub(crate) fn command(&self) -> String {
        add_binding(self.account, &self.member, self.role)
    }
}

/// Returns the command that grants a role on a service account.
pub(crate) fn add_binding(account: &str, member: &str, role: &str) -> String {
    shell::command([
        "gcloud",
        "iam",
        "service-accounts",
        "add-iam-policy-binding",
        &shell::operand(account),
        &format!("--member={member}"),
        &format!("--role={role}"),
    ])
}
