//! What a policy says about accounts, tokens and projects. Grants are in `grant.rs`.

use std::collections::BTreeMap;

use super::ambiguities::Ambiguities;
use super::machine::Machine;
use super::member::Member;
use super::{FixedToken, Policy};
use crate::emulator::iam::account::{project_number_of, project_of, unique_id_of};

impl Policy {
    /// Returns the e-mail address and the unique id of each account.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&str, String)> {
        self.service_accounts.iter().map(|(email, account)| {
            (email.as_str(), account.unique_id.clone().unwrap_or_else(|| unique_id_of(email)))
        })
    }

    pub(crate) fn knows(&self, email: &str) -> bool {
        self.service_accounts.contains_key(email)
    }

    /// Returns the members of a group. A group that isn't in the policy has none.
    pub(super) fn members_of(&self, group: &str) -> &[Member] {
        self.groups.get(group).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn is_disabled(&self, email: &str) -> bool {
        self.service_accounts.get(email).is_some_and(|account| account.disabled)
    }

    pub(crate) fn allows_long_lifetimes(&self, email: &str) -> bool {
        self.service_accounts.get(email).is_some_and(|account| account.long_lifetimes)
    }

    /// Returns whether the account may act as any user for all of `scopes`.
    pub(crate) fn may_act_as_users(&self, email: &str, scopes: &[String]) -> bool {
        self.service_accounts
            .get(email)
            .is_some_and(|account| scopes.iter().all(|scope| account.domain_wide_delegation.contains(scope)))
    }

    pub(crate) fn fixed_token(&self, token: &str) -> Option<&FixedToken> {
        self.tokens.iter().find(|fixed| fixed.token == token)
    }

    /// Returns the user of a refresh token.
    pub(crate) fn user_of(&self, refresh_token: &str) -> Option<&str> {
        let mut users = self.users.iter();
        users
            .find(|(_, user)| user.refresh_token.as_deref() == Some(refresh_token))
            .map(|(email, _)| email.as_str())
    }

    pub(crate) fn refresh_token_of(&self, email: &str) -> Option<&str> {
        self.users.get(email)?.refresh_token.as_deref()
    }

    pub(crate) fn is_api_disabled(&self, project: &str) -> bool {
        self.projects.get(project).is_some_and(|project| project.api_disabled)
    }

    /// Returns whether the policy contains this project, or an account of it.
    pub(crate) fn knows_project(&self, project: &str) -> bool {
        self.projects.contains_key(project)
            || self.service_accounts.keys().any(|email| project_of(email) == project)
    }

    pub(crate) fn project_number(&self, project: &str) -> u64 {
        let number = self.projects.get(project).and_then(|project| project.number);
        number.unwrap_or_else(|| project_number_of(project))
    }

    pub(crate) fn organization_of(&self, project: &str) -> Option<u64> {
        self.projects.get(project).and_then(|project| project.organization)
    }

    pub(crate) fn metadata_server(&self) -> Option<&str> {
        self.metadata_server.as_ref()?.service_account.as_deref()
    }

    /// Returns the attributes of the machine's project.
    pub(crate) fn project_attributes(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata_server.as_ref().map(|server| &server.project_attributes)
    }

    /// Returns what the metadata server says about its machine.
    pub(crate) fn machine(&self) -> Option<&Machine> {
        self.metadata_server.as_ref().map(|server| &server.instance)
    }

    pub(crate) fn ambiguities(&self) -> &Ambiguities {
        &self.ambiguities
    }
}
