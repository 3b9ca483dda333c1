//! Grants in the form of IAM's own policies: bindings of a role to members.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;

use super::Policy;
use super::condition::Condition;
use super::error::PolicyError;
use super::grant::Grant;
use super::member::Member;
use super::resource::Resource;
use super::role::{Role, predefined_names};
use crate::emulator::fingerprint;
use crate::emulator::iam::account::project_of;

/// The names of roles that manage service accounts. The emulator knows all of them, so that a spelling mistake
/// is found.
const ACCOUNT_ROLES: &str = "roles/iam.serviceAccount";

/// A role, its members, and the condition under which they have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Binding {
    pub(crate) role: Role,
    pub(crate) members: Vec<Member>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<Condition>,
}

/// Who has which role under which condition.
type Held<'a> = (&'a Role, &'a Option<Condition>, &'a Member);

impl Policy {
    /// Returns the bindings on a resource, one for each role and condition.
    ///
    /// Grants of single permissions are left out, because IAM's policies have no form for them.
    pub(crate) fn bindings(&self, resource: Resource<'_>) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = Vec::new();
        let mut places: HashMap<(&Role, &Option<Condition>), usize> = HashMap::new();
        let mut seen: HashSet<Held<'_>> = HashSet::new();
        for grant in self.grants_on(resource) {
            let Some(role) = &grant.role else { continue };
            let place = *places.entry((role, &grant.condition)).or_insert_with(|| {
                let condition = grant.condition.clone();
                bindings.push(Binding { role: role.clone(), members: Vec::new(), condition });
                bindings.len() - 1
            });
            let new = grant.members.iter().filter(|member| seen.insert((role, &grant.condition, member)));
            bindings[place].members.extend(new.cloned());
        }
        bindings
    }

    /// Returns a text that changes whenever the bindings on a resource do.
    pub(crate) fn bindings_etag(&self, resource: Resource<'_>) -> [u8; 8] {
        let bindings = serde_json::to_string(&self.bindings(resource)).unwrap_or_default();
        fingerprint::number(&bindings).to_be_bytes()
    }

    /// Replaces the bindings on a resource. Grants of single permissions stay.
    ///
    /// A member that already had a role keeps it without a pause. The others get it when the policy is
    /// `grant_propagation` older than now, when its age is `age`.
    pub(crate) fn set_bindings(
        &mut self,
        resource: Resource<'_>,
        bindings: Vec<Binding>,
        age: Duration,
    ) -> Result<(), PolicyError> {
        self.check_bindings(&bindings)?;
        let from = match self.grant_propagation {
            Duration::ZERO => Duration::ZERO,
            delay => age.saturating_add(delay),
        };
        let old = self.grants_on(resource).to_vec();
        let had = propagations(&old);
        let mut grants: Vec<Grant> = old.iter().filter(|grant| grant.role.is_none()).cloned().collect();
        for Binding { role, members, condition } in bindings {
            let mut by_propagation: BTreeMap<Duration, Vec<Member>> = BTreeMap::new();
            for member in members {
                let held = had.get(&(&role, &condition, &member)).copied();
                by_propagation.entry(held.unwrap_or(from)).or_default().push(member);
            }
            self.declare(&role, by_propagation.values().flatten());
            grants.extend(by_propagation.into_iter().map(|(propagation, members)| Grant {
                members,
                role: Some(role.clone()),
                propagation,
                condition: condition.clone(),
                ..Grant::default()
            }));
        }
        *self.grants_mut(resource) = grants;
        self.forget_unused_roles();
        Ok(())
    }

    /// Checks that the roles and members of bindings exist.
    fn check_bindings(&self, bindings: &[Binding]) -> Result<(), PolicyError> {
        // Needed only for accounts that the policy doesn't know.
        let projects = LazyCell::new(|| self.project_ids());
        for (index, binding) in bindings.iter().enumerate() {
            let path = format!("policy.bindings[{index}]");
            self.check_bound_role(&binding.role, &format!("{path}.role"))?;
            for (index, member) in binding.members.iter().enumerate() {
                self.check_bound_member(member, |project| projects.contains(project))
                    .map_err(|error| error.at(format!("{path}.members[{index}]")))?;
            }
            if let Some(condition) = &binding.condition {
                condition.check(&format!("{path}.condition"))?;
            }
        }
        Ok(())
    }

    /// The emulator doesn't know all roles of Google, so those of other services count as roles without
    /// permissions.
    fn check_bound_role(&self, role: &Role, path: &str) -> Result<(), PolicyError> {
        let name = role.as_str();
        let of_other_service = name.starts_with("roles/") && !name.starts_with(ACCOUNT_ROLES);
        if of_other_service || role.predefined_permissions().is_some() || self.roles.contains_key(role) {
            return Ok(());
        }
        let known = predefined_names();
        let problem = format!("unknown role {name:?}; known are {known}, and those in roles of the policy");
        Err(PolicyError::new(path, problem))
    }

    /// Accounts of projects that the policy doesn't know are Google's, or exist somewhere else.
    fn check_bound_member(
        &self,
        member: &Member,
        is_known_project: impl Fn(&str) -> bool,
    ) -> Result<(), PolicyError> {
        let problem = match (member.as_service_account(), member.as_group()) {
            (Some(email), _) if !self.knows(email) && is_known_project(project_of(email)) => {
                "service account"
            }
            (_, Some(group)) if !self.groups.contains_key(group) => "group",
            _ => return Ok(()),
        };
        Err(PolicyError::new("", format!("{:?}: this {problem} does not exist", member.as_str())))
    }

    /// Returns the ids of the projects that the policy names, or has accounts of.
    fn project_ids(&self) -> HashSet<&str> {
        let of_accounts = self.service_accounts.keys().map(|email| project_of(email));
        self.projects.keys().map(String::as_str).chain(of_accounts).collect()
    }

    /// Adds what a binding names and the policy doesn't know, but could exist.
    fn declare<'m>(&mut self, role: &Role, members: impl Iterator<Item = &'m Member>) {
        if role.predefined_permissions().is_none() {
            self.roles.entry(role.clone()).or_default();
        }
        for email in members.filter_map(Member::as_service_account) {
            self.account_mut(email);
        }
    }

    /// Forgets the roles of other services that bindings no longer name.
    fn forget_unused_roles(&mut self) {
        let is_foreign = |role: &Role, permissions: &BTreeSet<String>| {
            role.as_str().starts_with("roles/") && permissions.is_empty()
        };
        if !self.roles.iter().any(|(role, permissions)| is_foreign(role, permissions)) {
            return;
        }
        let mut roles = std::mem::take(&mut self.roles);
        let used: HashSet<&Role> = self.all_grants().filter_map(|grant| grant.role.as_ref()).collect();
        roles.retain(|role, permissions| !is_foreign(role, permissions) || used.contains(role));
        self.roles = roles;
    }

    pub(super) fn grants_mut(&mut self, resource: Resource<'_>) -> &mut Vec<Grant> {
        match resource {
            Resource::Account(email) => &mut self.account_mut(email).grants,
            Resource::Project(project) => &mut self.projects.entry(project.to_owned()).or_default().grants,
        }
    }
}

/// Returns from which age of the policy on each member has a role.
fn propagations(grants: &[Grant]) -> HashMap<Held<'_>, Duration> {
    let mut found: HashMap<Held<'_>, Duration> = HashMap::new();
    for grant in grants {
        let Some(role) = &grant.role else { continue };
        for member in &grant.members {
            let earliest = found.entry((role, &grant.condition, member)).or_insert(grant.propagation);
            *earliest = grant.propagation.min(*earliest);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::iam::policy::AccountDetails;

    const EMAIL: &str = "sa@p.iam.gserviceaccount.com";
    const ALICE: &str = "user:alice@example.com";

    fn binding(role: &str, members: &[&str]) -> Binding {
        let members = members.iter().map(|member| member.parse().unwrap()).collect();
        Binding { role: role.parse().unwrap(), members, condition: None }
    }

    fn on_account() -> Resource<'static> {
        Resource::Account(EMAIL)
    }

    #[test]
    fn bindings_that_are_set_are_read_back() {
        let mut policy = Policy::new()
            .grant(ALICE, Role::TOKEN_CREATOR, EMAIL)
            .grant("user:bob@example.com", Role::TOKEN_CREATOR, EMAIL)
            .grant("allUsers", Role::VIEWER, EMAIL);
        let bindings = policy.bindings(on_account());
        let creators = binding("roles/iam.serviceAccountTokenCreator", &[ALICE, "user:bob@example.com"]);
        assert_eq!(bindings, [creators, binding("roles/viewer", &["allUsers"])]);
        let before = policy.bindings_etag(on_account());
        policy.set_bindings(on_account(), bindings.clone(), Duration::ZERO).unwrap();
        assert_eq!(policy.bindings(on_account()), bindings);
        assert_eq!(policy.bindings_etag(on_account()), before);
        policy.set_bindings(on_account(), vec![], Duration::ZERO).unwrap();
        assert_ne!(policy.bindings_etag(on_account()), before);
    }

    #[test]
    fn grants_of_single_permissions_stay_when_bindings_are_replaced() {
        let json = r#"{"serviceAccounts": {"sa@p.iam.gserviceaccount.com": {"grants":
            [{"members": ["user:alice@example.com"], "permissions": ["iam.serviceAccounts.signBlob"]}]}}}"#;
        let mut policy = Policy::from_json(json).unwrap();
        assert_eq!(policy.bindings(on_account()), []);
        policy.set_bindings(on_account(), vec![binding("roles/viewer", &[ALICE])], Duration::ZERO).unwrap();
        assert_eq!(policy.grants_on(on_account()).len(), 2);
    }

    #[test]
    fn only_new_members_wait_for_the_propagation() {
        let minute = Duration::from_secs(60);
        let mut policy = Policy::new().grant(ALICE, Role::VIEWER, EMAIL).grant_propagation(minute);
        let both = binding("roles/viewer", &[ALICE, "user:bob@example.com"]);
        policy.set_bindings(on_account(), vec![both.clone()], minute * 5).unwrap();
        policy.set_bindings(on_account(), vec![both.clone()], minute * 7).unwrap();
        let waits: Vec<_> = policy.grants_on(on_account()).iter().map(|grant| grant.propagation).collect();
        assert_eq!(waits, [Duration::ZERO, minute * 6]);
        assert_eq!(policy.bindings(on_account()), [both]);
    }

    #[test]
    fn what_does_not_exist_is_named_with_its_place() {
        let mut policy = Policy::new().account(EMAIL);
        for (binding, place) in [
            (binding("roles/iam.serviceAccountTokenCreater", &[ALICE]), "role"),
            (binding("projects/p/roles/mine", &[ALICE]), "role"),
            (binding("roles/viewer", &[ALICE, "group:g@example.com"]), "members[1]"),
            (binding("roles/viewer", &["serviceAccount:x@p.iam.gserviceaccount.com"]), "members[0]"),
        ] {
            let error = policy.set_bindings(on_account(), vec![binding], Duration::ZERO).unwrap_err();
            assert_eq!(error.path(), format!("policy.bindings[0].{place}"), "{error}");
        }
        let agent = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com";
        let foreign = binding("roles/pubsub.publisher", &[agent]);
        policy.set_bindings(on_account(), vec![foreign.clone()], Duration::ZERO).unwrap();
        assert_eq!(policy.bindings(on_account()), [foreign]);
        policy.validate().unwrap();
    }

    #[test]
    fn roles_of_other_services_are_kept_as_long_as_they_are_named() {
        let mut policy = Policy::new().role("projects/p/roles/mine", [""; 0]).account(EMAIL);
        let set = |policy: &mut Policy, role: &str| {
            policy.set_bindings(on_account(), vec![binding(role, &[ALICE])], Duration::ZERO).unwrap();
            policy.roles.keys().map(|role| role.as_str().to_owned()).collect::<Vec<_>>()
        };
        for number in 0..10 {
            let role = format!("roles/run.role{number}");
            assert_eq!(set(&mut policy, &role), ["projects/p/roles/mine", &role]);
        }
        policy.delete_account(EMAIL, "1");
        policy.create_account(EMAIL, AccountDetails::default());
        set(&mut policy, "roles/viewer");
        policy.delete_account(EMAIL, "2");
        policy.undelete_account("1").unwrap();
        policy.validate().unwrap();
        assert_eq!(policy.bindings(on_account()), [binding("roles/run.role9", &[ALICE])]);
    }
}
