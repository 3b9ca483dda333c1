//! Grants, and the permissions that they give.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Policy;
use super::condition::Condition;
use super::holder::Holder;
use super::member::Member;
use super::resource::{Moment, Resource};
use super::role::Role;
use crate::emulator::iam::account::project_of;
use crate::{document, json_duration};

/// Grants a role or permissions to some members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Grant {
    pub(super) members: Vec<Member>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Role>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) permissions: BTreeSet<String>,
    /// How long the policy must have been in force before this grant comes into force.
    #[serde(with = "json_duration::serde_text", skip_serializing_if = "Duration::is_zero")]
    pub(super) propagation: Duration,
    #[serde(deserialize_with = "document::optional_object", skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<Condition>,
}

impl Grant {
    pub(super) fn new(propagation: Duration, member: Member, role: Role) -> Self {
        Self { members: vec![member], role: Some(role), propagation, ..Self::default() }
    }

    /// Returns whether the grant is in force for a resource, and if not, why.
    pub(super) fn standing(&self, resource: Resource<'_>, moment: Moment) -> Standing {
        if let Some(left) = self.propagation.checked_sub(moment.age).filter(|left| !left.is_zero()) {
            return Standing::Pending(left);
        }
        match &self.condition {
            Some(condition) if !condition.holds(resource, moment) => Standing::ConditionIsFalse,
            _ => Standing::InForce,
        }
    }
}

/// Whether a grant is in force. The better, the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    InForce,
    /// It comes into force after this time.
    Pending(Duration),
    ConditionIsFalse,
}

impl Policy {
    /// Returns whether `holder` has a permission on an account, by a grant on the account or on its
    /// project.
    pub(crate) fn allows(&self, holder: Holder<'_>, permission: &str, email: &str, moment: Moment) -> bool {
        let on_account = Resource::Account(email);
        self.any_gives(self.grants_on(on_account), holder, permission, on_account, moment)
            || self.any_gives(
                self.grants_on(Resource::Project(project_of(email))),
                holder,
                permission,
                on_account,
                moment,
            )
    }

    /// Returns whether `holder` has a permission on a whole project.
    pub(crate) fn allows_on_project(
        &self,
        holder: Holder<'_>,
        permission: &str,
        project: &str,
        moment: Moment,
    ) -> bool {
        let resource = Resource::Project(project);
        self.any_gives(self.grants_on(resource), holder, permission, resource, moment)
    }

    /// Returns the grants on a resource itself.
    pub(super) fn grants_on(&self, resource: Resource<'_>) -> &[Grant] {
        let grants = match resource {
            Resource::Account(email) => self.service_accounts.get(email).map(|account| &account.grants),
            Resource::Project(project) => self.projects.get(project).map(|project| &project.grants),
        };
        grants.map(Vec::as_slice).unwrap_or_default()
    }

    fn any_gives(
        &self,
        grants: &[Grant],
        holder: Holder<'_>,
        permission: &str,
        resource: Resource<'_>,
        moment: Moment,
    ) -> bool {
        if holder.is_limited {
            return false;
        }
        let gives = |grant: &&Grant| {
            self.contains(grant, permission) && grant.standing(resource, moment) == Standing::InForce
        };
        self.any_includes(grants.iter().filter(gives).flat_map(|grant| &grant.members), holder)
    }

    /// Returns whether a grant contains a permission, whether or not it is in force.
    pub(super) fn contains(&self, grant: &Grant, permission: &str) -> bool {
        grant.permissions.contains(permission)
            || grant.role.as_ref().is_some_and(|role| match role.predefined_permissions() {
                Some(groups) => groups.iter().any(|group| group.contains(&permission)),
                None => self.roles.get(role).is_some_and(|permissions| permissions.contains(permission)),
            })
    }

    /// Returns whether one of `members`, or of the members of their groups, includes `holder`.
    ///
    /// Each group is searched once, however many groups contain it.
    pub(super) fn any_includes<'p>(
        &'p self,
        members: impl Iterator<Item = &'p Member>,
        holder: Holder<'_>,
    ) -> bool {
        let mut groups = Vec::new();
        let mut found = HashSet::new();
        let mut includes = |member: &'p Member, groups: &mut Vec<&'p str>| {
            if let Some(group) = member.as_group().filter(|group| found.insert(*group)) {
                groups.push(group);
            }
            member.includes(holder)
        };
        for member in members {
            if includes(member, &mut groups) {
                return true;
            }
        }
        while let Some(group) = groups.pop() {
            for member in self.members_of(group) {
                if includes(member, &mut groups) {
                    return true;
                }
            }
        }
        false
    }
}
