//! Checks what the types can't express: references, unique ids, cycles of groups.

use std::collections::BTreeSet;

use super::Policy;
use super::error::PolicyError;
use super::grant::Grant;
use super::machine::MetadataServer;
use super::member::Member;
use super::permissions;
use super::role::{Role, predefined_names};
use crate::emulator::iam::account::is_well_formed;

impl Policy {
    /// Checks that names are well formed, that accounts, groups and roles exist, and that no group
    /// contains itself.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] for the first invalid place.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if let Some(error) = &self.first_error {
            return Err(error.clone());
        }
        self.check_accounts()?;
        self.check_projects()?;
        self.check_groups()?;
        self.check_roles()?;
        self.check_tokens()?;
        self.check_federation()?;
        self.check_metadata_server()
    }

    fn check_accounts(&self) -> Result<(), PolicyError> {
        let mut ids = BTreeSet::new();
        for (email, account) in &self.service_accounts {
            let path = format!("serviceAccounts[{email:?}]");
            if !email.contains('@') || !is_well_formed(email) {
                return Err(PolicyError::new(path, "expected the e-mail address of a service account"));
            }
            if let Some(id) = &account.unique_id {
                let path = format!("{path}.uniqueId");
                if id.is_empty() || id.len() > 30 || !id.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(PolicyError::new(path, format!("expected 1 to 30 digits, got {id:?}")));
                }
                if !ids.insert(id) {
                    return Err(PolicyError::new(path, "another account has this unique id"));
                }
            }
            self.check_grants(&account.grants, &path)?;
        }
        Ok(())
    }

    fn check_projects(&self) -> Result<(), PolicyError> {
        for (name, project) in &self.projects {
            let path = format!("projects[{name:?}]");
            if name.is_empty() || name.contains(['/', '@', ' ']) {
                return Err(PolicyError::new(path, "expected a project id"));
            }
            self.check_grants(&project.grants, &path)?;
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), PolicyError> {
        for (group, members) in &self.groups {
            for (index, member) in members.iter().enumerate() {
                self.check_member(member, &format!("groups[{group:?}][{index}]"))?;
            }
        }
        self.check_cycles()
    }

    fn check_roles(&self) -> Result<(), PolicyError> {
        for (role, permissions) in &self.roles {
            let path = format!("roles[{:?}]", role.as_str());
            if role.predefined_permissions().is_some() {
                return Err(PolicyError::new(path, "this role is predefined"));
            }
            permissions.iter().try_for_each(|permission| check_permission(permission, &path))?;
        }
        Ok(())
    }

    fn check_tokens(&self) -> Result<(), PolicyError> {
        let mut seen = BTreeSet::new();
        for (index, fixed) in self.tokens.iter().enumerate() {
            let path = format!("tokens[{index}]");
            if fixed.token.is_empty() || !fixed.token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(PolicyError::new(
                    format!("{path}.token"),
                    "a token consists of visible ASCII without spaces",
                ));
            }
            if !seen.insert(&fixed.token) {
                return Err(PolicyError::new(format!("{path}.token"), "another entry has this token"));
            }
            let path = format!("{path}.principal");
            if !fixed.principal.is_principal() {
                let problem = "a principal is user:…, serviceAccount:… or principal://…";
                return Err(PolicyError::new(path, problem));
            }
            self.check_member(&fixed.principal, &path)?;
        }
        Ok(())
    }

    fn check_metadata_server(&self) -> Result<(), PolicyError> {
        match self.metadata_server() {
            Some(email) if !self.knows(email) => Err(PolicyError::new(
                "metadataServer.serviceAccount",
                format!("{email:?} is not among serviceAccounts"),
            )),
            _ => self.metadata_server.as_ref().map_or(Ok(()), MetadataServer::check),
        }
    }

    fn check_grants(&self, grants: &[Grant], path: &str) -> Result<(), PolicyError> {
        for (index, grant) in grants.iter().enumerate() {
            let path = format!("{path}.grants[{index}]");
            if grant.members.is_empty() {
                return Err(PolicyError::new(format!("{path}.members"), "a grant needs members"));
            }
            for (index, member) in grant.members.iter().enumerate() {
                self.check_member(member, &format!("{path}.members[{index}]"))?;
            }
            if let Some(condition) = &grant.condition {
                condition.check(&format!("{path}.condition"))?;
            }
            match &grant.role {
                Some(_) if !grant.permissions.is_empty() => {
                    return Err(PolicyError::new(path, "a grant has a role or permissions, not both"));
                }
                Some(role) => self.check_role(role, &format!("{path}.role"))?,
                None if grant.permissions.is_empty() => {
                    return Err(PolicyError::new(path, "a grant needs a role or permissions"));
                }
                None => grant.permissions.iter().try_for_each(|permission| {
                    check_permission(permission, &format!("{path}.permissions"))
                })?,
            }
        }
        Ok(())
    }

    fn check_role(&self, role: &Role, path: &str) -> Result<(), PolicyError> {
        if role.predefined_permissions().is_some() || self.roles.contains_key(role) {
            return Ok(());
        }
        let known = predefined_names();
        let problem = format!("unknown role {:?}; known are {known} and those in roles", role.as_str());
        Err(PolicyError::new(path, problem))
    }

    fn check_member(&self, member: &Member, path: &str) -> Result<(), PolicyError> {
        let problem = match (member.as_service_account(), member.as_group()) {
            (Some(email), _) if !self.knows(email) => "this account is not among serviceAccounts",
            (_, Some(group)) if !self.groups.contains_key(group) => "this group is not among groups",
            _ => return Ok(()),
        };
        Err(PolicyError::new(path, format!("{:?}: {problem}", member.as_str())))
    }
}

fn check_permission(permission: &str, path: &str) -> Result<(), PolicyError> {
    let formed = permission.split('.').count() >= 3 && permission.split('.').all(|part| !part.is_empty());
    let (on, known) = match permission {
        _ if permission.starts_with("iam.serviceAccountKeys.") => ("keys", &permissions::ON_KEYS[..]),
        _ => ("service accounts", &permissions::ON_ACCOUNTS[..]),
    };
    let checked =
        ["iam.serviceAccounts.", "iam.serviceAccountKeys."].iter().any(|of| permission.starts_with(of));
    if formed && (!checked || known.contains(&permission)) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(PolicyError::new(path, format!("unknown permission {permission:?}; those on {on} are {known}")))
}
