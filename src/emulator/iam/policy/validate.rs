//! Checks what the types can't express: references, unique ids, cycles of groups.

use std::collections::HashSet;

use super::error::PolicyError;
use super::grant::Grant;
use super::machine::MetadataServer;
use super::member::Member;
use super::permissions;
use super::role::{Role, predefined_names};
use super::{AccountPolicy, FixedToken, Policy};
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

    // Places are written when there is an error: most policies are valid, and some are large.

    fn check_accounts(&self) -> Result<(), PolicyError> {
        let mut ids = HashSet::new();
        self.service_accounts.iter().try_for_each(|(email, account)| {
            let inside = |error: PolicyError| error.inside(&format!("serviceAccounts[{email:?}]"));
            self.check_account(email, account, &mut ids).map_err(inside)
        })
    }

    fn check_account<'p>(
        &self,
        email: &str,
        account: &'p AccountPolicy,
        ids: &mut HashSet<&'p str>,
    ) -> Result<(), PolicyError> {
        if !email.contains('@') || !is_well_formed(email) {
            return Err(PolicyError::new("", "expected the e-mail address of a service account"));
        }
        if let Some(id) = &account.unique_id {
            if id.is_empty() || id.len() > 30 || !id.bytes().all(|b| b.is_ascii_digit()) {
                return Err(PolicyError::new("uniqueId", format!("expected 1 to 30 digits, got {id:?}")));
            }
            if !ids.insert(id) {
                return Err(PolicyError::new("uniqueId", "another account has this unique id"));
            }
        }
        self.check_grants(&account.grants)
    }

    fn check_projects(&self) -> Result<(), PolicyError> {
        self.projects.iter().try_for_each(|(name, project)| {
            let checked = match name.is_empty() || name.contains(['/', '@', ' ']) {
                true => Err(PolicyError::new("", "expected a project id")),
                false => self.check_grants(&project.grants),
            };
            checked.map_err(|error| error.inside(&format!("projects[{name:?}]")))
        })
    }

    fn check_groups(&self) -> Result<(), PolicyError> {
        for (group, members) in &self.groups {
            for (index, member) in members.iter().enumerate() {
                self.check_member(member).map_err(|error| error.at(format!("groups[{group:?}][{index}]")))?;
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
        let mut seen = HashSet::new();
        self.tokens.iter().enumerate().try_for_each(|(index, fixed)| {
            self.check_token(fixed, &mut seen).map_err(|error| error.inside(&format!("tokens[{index}]")))
        })
    }

    fn check_token<'p>(&self, fixed: &'p FixedToken, seen: &mut HashSet<&'p str>) -> Result<(), PolicyError> {
        if fixed.token.is_empty() || !fixed.token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(PolicyError::new("token", "a token consists of visible ASCII without spaces"));
        }
        if !seen.insert(&fixed.token) {
            return Err(PolicyError::new("token", "another entry has this token"));
        }
        if !fixed.principal.is_principal() {
            let problem = "a principal is user:…, serviceAccount:… or principal://…";
            return Err(PolicyError::new("principal", problem));
        }
        self.check_member(&fixed.principal).map_err(|error| error.at("principal"))
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

    fn check_grants(&self, grants: &[Grant]) -> Result<(), PolicyError> {
        grants.iter().enumerate().try_for_each(|(index, grant)| {
            self.check_grant(grant).map_err(|error| error.inside(&format!("grants[{index}]")))
        })
    }

    fn check_grant(&self, grant: &Grant) -> Result<(), PolicyError> {
        if grant.members.is_empty() {
            return Err(PolicyError::new("members", "a grant needs members"));
        }
        for (index, member) in grant.members.iter().enumerate() {
            self.check_member(member).map_err(|error| error.at(format!("members[{index}]")))?;
        }
        if let Some(condition) = &grant.condition {
            condition.check("condition")?;
        }
        match &grant.role {
            Some(_) if !grant.permissions.is_empty() => {
                Err(PolicyError::new("", "a grant has a role or permissions, not both"))
            }
            Some(role) => self.check_role(role),
            None if grant.permissions.is_empty() => {
                Err(PolicyError::new("", "a grant needs a role or permissions"))
            }
            None => grant.permissions.iter().try_for_each(|name| check_permission(name, "permissions")),
        }
    }

    fn check_role(&self, role: &Role) -> Result<(), PolicyError> {
        if role.predefined_permissions().is_some() || self.roles.contains_key(role) {
            return Ok(());
        }
        let known = predefined_names();
        let problem = format!("unknown role {:?}; known are {known} and those in roles", role.as_str());
        Err(PolicyError::new("role", problem))
    }

    fn check_member(&self, member: &Member) -> Result<(), PolicyError> {
        let problem = match (member.as_service_account(), member.as_group()) {
            (Some(email), _) if !self.knows(email) => "this account is not among serviceAccounts",
            (_, Some(group)) if !self.groups.contains_key(group) => "this group is not among groups",
            _ => return Ok(()),
        };
        Err(PolicyError::new("", format!("{:?}: {problem}", member.as_str())))
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
