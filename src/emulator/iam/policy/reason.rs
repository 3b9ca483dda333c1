//! Why a policy allows something, or why it nearly does: for people who look at it.

use super::Policy;
use super::grant::{Grant, Standing};
use super::holder::Holder;
use super::member::Member;
use super::permissions::ON_TOKENS;
use super::resource::{Moment, Resource};
use crate::emulator::iam::account::project_of;

/// A grant that gives a permission, or that would give it if it were in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason<'p> {
    /// The member of the grant that is the holder, or that includes it.
    pub(crate) member: &'p Member,
    /// The role, or the permissions of a grant without one.
    pub(crate) gives: String,
    /// The project, if the grant isn't on the account itself.
    pub(crate) project: Option<&'p str>,
    pub(crate) standing: Standing,
}

/// A member that may get tokens or signatures of accounts by a grant, whether or not it is in force.
#[derive(Clone, Debug)]
pub(crate) struct Access<'p> {
    pub(crate) member: &'p Member,
    pub(crate) on: Resource<'p>,
    /// The role, or the permissions of a grant without one.
    pub(crate) gives: String,
}

impl Policy {
    /// Returns the grant by which `holder` has a permission on an account. If there is none, returns the one that
    /// is nearest to giving it.
    ///
    /// It is in force if and only if [`allows`](Self::allows) is true.
    pub(crate) fn reason<'p>(
        &'p self,
        holder: Holder<'_>,
        permission: &str,
        email: &'p str,
        moment: Moment,
    ) -> Option<Reason<'p>> {
        if holder.is_limited {
            return None;
        }
        let (account, project) = (Resource::Account(email), project_of(email));
        let on_account = self.grants_on(account).iter().map(|grant| (grant, None));
        let on_project = self.grants_on(Resource::Project(project)).iter();
        let reasons = on_account.chain(on_project.map(|grant| (grant, Some(project))));
        let reasons =
            reasons.filter(|(grant, _)| self.contains(grant, permission)).filter_map(|(grant, project)| {
                let member = grant
                    .members
                    .iter()
                    .find(|member| self.any_includes(std::iter::once(*member), holder))?;
                Some(Reason {
                    member,
                    gives: grant.gives(),
                    project,
                    standing: grant.standing(account, moment),
                })
            });
        reasons.min_by_key(|reason| reason.standing)
    }

    /// Returns who may get tokens or signatures of which accounts, one for each member of each grant.
    pub(crate) fn accesses(&self) -> impl Iterator<Item = Access<'_>> {
        let on_accounts = self.service_accounts.iter().flat_map(|(email, account)| {
            account.grants.iter().map(|grant| (Resource::Account(email), grant))
        });
        let on_projects = self
            .projects
            .iter()
            .flat_map(|(id, project)| project.grants.iter().map(|grant| (Resource::Project(id), grant)));
        on_accounts
            .chain(on_projects)
            .filter(|(_, grant)| ON_TOKENS.iter().any(|permission| self.contains(grant, permission)))
            .flat_map(|(on, grant)| {
                grant.members.iter().map(move |member| Access { member, on, gives: grant.gives() })
            })
    }

    /// Returns the members of each group, and the group.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = (&Member, &str)> {
        self.groups.iter().flat_map(|(group, members)| members.iter().map(|member| (member, group.as_str())))
    }

    /// Returns the name of an account for people, or an empty text.
    pub(crate) fn display_name(&self, email: &str) -> &str {
        self.service_accounts.get(email).map(|account| account.display_name.as_str()).unwrap_or_default()
    }
}

impl Grant {
    /// Returns the role, or the permissions of a grant without one.
    fn gives(&self) -> String {
        match &self.role {
            Some(role) => role.to_string(),
            None => self.permissions.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        }
    }
}
