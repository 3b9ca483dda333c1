//! Whether a grant is there.

use std::time::Duration;

use super::{Grant, Policy, role};
use crate::emulator::iam::account::project_of;

impl Policy {
    /// Whether `principal` has a permission on an account, by a grant on it or on its project, when
    /// the policy has been in force for `age`.
    pub(crate) fn allows(&self, principal: &str, permission: &str, email: &str, age: Duration) -> bool {
        let on_account = self.service_accounts.get(email).map(|rules| rules.grants.as_slice());
        on_account.is_some_and(|grants| self.any_gives(grants, principal, permission, age))
            || self.allows_on_project(principal, permission, project_of(email), age)
    }

    /// Whether `principal` has a permission on a whole project.
    pub(crate) fn allows_on_project(
        &self,
        principal: &str,
        permission: &str,
        project: &str,
        age: Duration,
    ) -> bool {
        let grants = self.projects.get(project).map(|project| project.grants.as_slice());
        grants.is_some_and(|grants| self.any_gives(grants, principal, permission, age))
    }

    fn any_gives(&self, grants: &[Grant], principal: &str, permission: &str, age: Duration) -> bool {
        grants.iter().any(|grant| {
            grant.propagation <= age
                && self.has(grant, permission)
                && grant.members.iter().any(|member| self.includes(member, principal))
        })
    }

    fn has(&self, grant: &Grant, permission: &str) -> bool {
        grant.permissions.contains(permission)
            || grant.role.as_deref().is_some_and(|role| {
                role::predefined(role, permission).unwrap_or_else(|| {
                    self.roles.get(role).is_some_and(|permissions| permissions.contains(permission))
                })
            })
    }

    /// Whether `member` of a grant stands for `principal`. Groups have no cycles: validation saw to it.
    fn includes(&self, member: &str, principal: &str) -> bool {
        if member == principal || member == "allUsers" || member == "allAuthenticatedUsers" {
            return true;
        }
        match member.split_once(':') {
            Some(("group", group)) => self
                .groups
                .get(group)
                .is_some_and(|members| members.iter().any(|member| self.includes(member, principal))),
            Some(("domain", domain)) => principal
                .strip_prefix("user:")
                .and_then(|email| email.split_once('@'))
                .is_some_and(|(_, of_user)| of_user == domain),
            _ => false,
        }
    }
}
