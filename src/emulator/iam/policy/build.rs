//! Builds and changes a policy in code.

use std::time::Duration;

use super::ambiguities::{DisabledAccount, MiddleHop, ProjectInName, UnknownAccount};
use super::error::PolicyError;
use super::grant::Grant;
use super::machine::MetadataServer;
use super::member::Member;
use super::role::Role;
use super::{AccountPolicy, FixedToken, Policy, User};

impl Policy {
    /// Returns a policy without projects, accounts, tokens or grants.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service account without grants.
    #[must_use]
    pub fn account(mut self, email: &str) -> Self {
        self.account_mut(email);
        self
    }

    /// Adds a service account with this unique id, which consists of 1 to 30 digits.
    #[must_use]
    pub fn account_with_id(mut self, email: &str, unique_id: &str) -> Self {
        self.account_mut(email).unique_id = Some(unique_id.to_owned());
        self
    }

    /// Adds a service account that is disabled.
    #[must_use]
    pub fn disabled_account(mut self, email: &str) -> Self {
        self.account_mut(email).disabled = true;
        self
    }

    /// Allows access tokens of this account to live for up to 12 h. Default: up to 1 h.
    ///
    /// At Google, the organization policy
    /// `constraints/iam.allowServiceAccountCredentialLifetimeExtension` allows it.
    #[must_use]
    pub fn long_lifetimes(mut self, email: &str) -> Self {
        self.account_mut(email).long_lifetimes = true;
        self
    }

    /// Allows this account to act as any user for these scopes (domain-wide delegation).
    #[must_use]
    pub fn domain_wide_delegation<S: Into<String>>(
        mut self,
        email: &str,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.account_mut(email).domain_wide_delegation = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Grants `member` a role on an account. Adds the account, and also the member if it is a service
    /// account.
    #[must_use]
    pub fn grant(
        self,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        email: &str,
    ) -> Self {
        self.grant_after(Duration::ZERO, member, role, email)
    }

    /// Grants `member` a role on an account, as [`grant`](Self::grant) does. The grant comes into force
    /// when the policy has been in force for `propagation`.
    #[must_use]
    pub fn grant_after(
        mut self,
        propagation: Duration,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        email: &str,
    ) -> Self {
        let result = self.add_grant(propagation, member, role, email);
        self.keep_error(result);
        self
    }

    /// Grants `member` a role on a project, and therefore on all accounts of the project.
    #[must_use]
    pub fn grant_on_project(
        mut self,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        project: &str,
    ) -> Self {
        let grants = &mut self.projects.entry(project.to_owned()).or_default().grants;
        let path = format!("projects[{project:?}].grants[{}]", grants.len());
        let result = new_grant(Duration::ZERO, member, role, &path).map(|grant| grants.push(grant));
        self.keep_error(result);
        self
    }

    /// Adds a custom role with these permissions.
    #[must_use]
    pub fn role<S: Into<String>>(
        mut self,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        permissions: impl IntoIterator<Item = S>,
    ) -> Self {
        match convert(role, "roles") {
            Ok(role) => {
                self.roles.insert(role, permissions.into_iter().map(Into::into).collect());
            }
            Err(error) => self.keep_error(Err(error)),
        }
        self
    }

    /// Adds a group with these members.
    #[must_use]
    pub fn group<M: TryInto<Member, Error: Into<PolicyError>>>(
        mut self,
        email: &str,
        members: impl IntoIterator<Item = M>,
    ) -> Self {
        let members = members.into_iter().enumerate();
        let members = members.map(|(index, member)| convert(member, &format!("groups[{email:?}][{index}]")));
        match members.collect() {
            Ok(members) => {
                self.groups.insert(email.to_owned(), members);
            }
            Err(error) => self.keep_error(Err(error)),
        }
        self
    }

    /// Adds a bearer token of a principal. It never expires and is valid for all scopes.
    #[must_use]
    pub fn token(self, token: &str, principal: impl TryInto<Member, Error: Into<PolicyError>>) -> Self {
        self.add_token(token, principal, None)
    }

    /// Adds a bearer token of a principal. It never expires and is valid only for these scopes.
    #[must_use]
    pub fn token_with_scopes<S: Into<String>>(
        self,
        token: &str,
        principal: impl TryInto<Member, Error: Into<PolicyError>>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.add_token(token, principal, Some(scopes.into_iter().map(Into::into).collect()))
    }

    /// Adds a user with this refresh token.
    #[must_use]
    pub fn user(mut self, email: &str, refresh_token: &str) -> Self {
        self.users.insert(email.to_owned(), User { refresh_token: Some(refresh_token.to_owned()) });
        self
    }

    /// Disables the API in a project.
    #[must_use]
    pub fn api_disabled(mut self, project: &str) -> Self {
        self.projects.entry(project.to_owned()).or_default().api_disabled = true;
        self
    }

    /// Puts a project into the organization with this number, which ID tokens can contain.
    #[must_use]
    pub fn organization(mut self, project: &str, number: u64) -> Self {
        self.projects.entry(project.to_owned()).or_default().organization = Some(number);
        self
    }

    /// Adds a service account, whose tokens the metadata server returns. Default: the metadata server
    /// has no account.
    #[must_use]
    pub fn metadata_account(mut self, email: &str) -> Self {
        self.account_mut(email);
        self.metadata_server_mut().service_account = Some(email.to_owned());
        self
    }

    /// Adds an attribute of the machine that the metadata server describes: `cluster-name`, for example.
    #[must_use]
    pub fn metadata_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata_server_mut().instance.attributes.insert(name.into(), value.into());
        self
    }

    /// Sets how long grants that are made with IAM's own API take to come into force. Default: 0 s.
    #[must_use]
    pub fn grant_propagation(mut self, propagation: Duration) -> Self {
        self.grant_propagation = propagation;
        self
    }

    /// Sets the permission that an error names if a delegate may not be used. Default:
    /// [`MiddleHop::ImplicitDelegation`].
    #[must_use]
    pub fn middle_hop(mut self, choice: MiddleHop) -> Self {
        self.ambiguities.middle_hop = choice;
        self
    }

    /// Sets the error for accounts that don't exist. Default: [`UnknownAccount::NotFound`].
    #[must_use]
    pub fn unknown_account_error(mut self, choice: UnknownAccount) -> Self {
        self.ambiguities.unknown_account = choice;
        self
    }

    /// Sets the error for disabled delegates and targets. Default:
    /// [`DisabledAccount::PermissionDenied`].
    #[must_use]
    pub fn disabled_account_error(mut self, choice: DisabledAccount) -> Self {
        self.ambiguities.disabled_account = choice;
        self
    }

    /// Sets whether resource names with a project are refused. Default: [`ProjectInName::Refused`].
    #[must_use]
    pub fn project_in_name(mut self, choice: ProjectInName) -> Self {
        self.ambiguities.project_in_name = choice;
        self
    }

    /// Adds a grant on an account. Adds nothing if the member or the role is invalid.
    pub(crate) fn add_grant(
        &mut self,
        propagation: Duration,
        member: impl TryInto<Member, Error: Into<PolicyError>>,
        role: impl TryInto<Role, Error: Into<PolicyError>>,
        email: &str,
    ) -> Result<(), PolicyError> {
        let index = self.service_accounts.get(email).map_or(0, |account| account.grants.len());
        let path = format!("serviceAccounts[{email:?}].grants[{index}]");
        let grant = new_grant(propagation, member, role, &path)?;
        for account in grant.members.iter().filter_map(Member::as_service_account) {
            self.account_mut(account);
        }
        self.account_mut(email).grants.push(grant);
        Ok(())
    }

    /// Removes a member from the grants of a role on an account. Returns `false` if there was no such
    /// grant.
    pub(crate) fn remove_grant(&mut self, member: &str, role: &str, email: &str) -> bool {
        let Some(account) = self.service_accounts.get_mut(email) else { return false };
        let mut found = false;
        for grant in &mut account.grants {
            if grant.role.as_ref().is_some_and(|granted| granted.as_str() == role) {
                let before = grant.members.len();
                grant.members.retain(|existing| existing.as_str() != member);
                found |= grant.members.len() < before;
            }
        }
        account.grants.retain(|grant| !grant.members.is_empty());
        found
    }

    fn add_token(
        mut self,
        token: &str,
        principal: impl TryInto<Member, Error: Into<PolicyError>>,
        scopes: Option<Vec<String>>,
    ) -> Self {
        match convert(principal, &format!("tokens[{}].principal", self.tokens.len())) {
            Ok(principal) => self.tokens.push(FixedToken { token: token.to_owned(), principal, scopes }),
            Err(error) => self.keep_error(Err(error)),
        }
        self
    }

    fn metadata_server_mut(&mut self) -> &mut MetadataServer {
        self.metadata_server.get_or_insert_default()
    }

    pub(super) fn account_mut(&mut self, email: &str) -> &mut AccountPolicy {
        self.service_accounts.entry(email.to_owned()).or_default()
    }

    /// Keeps the first error for [`validate`](Self::validate).
    fn keep_error(&mut self, result: Result<(), PolicyError>) {
        if let Err(error) = result {
            self.first_error.get_or_insert(error);
        }
    }
}

fn new_grant(
    propagation: Duration,
    member: impl TryInto<Member, Error: Into<PolicyError>>,
    role: impl TryInto<Role, Error: Into<PolicyError>>,
    path: &str,
) -> Result<Grant, PolicyError> {
    let member = convert(member, &format!("{path}.members[0]"))?;
    Ok(Grant::new(propagation, member, convert(role, &format!("{path}.role"))?))
}

/// Converts a value. The error contains `path`.
fn convert<T>(value: impl TryInto<T, Error: Into<PolicyError>>, path: &str) -> Result<T, PolicyError> {
    value.try_into().map_err(|error| error.into().at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "sa@p.iam.gserviceaccount.com";

    #[test]
    fn an_invalid_member_or_role_is_reported_with_its_place() {
        let grants = format!("serviceAccounts[{EMAIL:?}].grants");
        for (policy, path) in [
            (Policy::new().grant("me", Role::VIEWER, EMAIL), format!("{grants}[0].members[0]")),
            (Policy::new().grant("allUsers", "", EMAIL), format!("{grants}[0].role")),
            (
                Policy::new().grant("allUsers", Role::VIEWER, EMAIL).grant("me", Role::VIEWER, EMAIL),
                format!("{grants}[1].members[0]"),
            ),
            (
                Policy::new().grant_on_project("me", Role::VIEWER, "p"),
                "projects[\"p\"].grants[0].members[0]".to_owned(),
            ),
            (Policy::new().group("g@x", ["allUsers", "me"]), "groups[\"g@x\"][1]".to_owned()),
            (Policy::new().token("t", "me"), "tokens[0].principal".to_owned()),
            (Policy::new().role("a b", ["x.y.z"]), "roles".to_owned()),
        ] {
            let error = policy.validate().expect_err(&path);
            assert_eq!(error.path(), path, "{error}");
        }
    }
}
