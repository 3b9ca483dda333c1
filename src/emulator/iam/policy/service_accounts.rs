//! Creates, changes and deletes the accounts of a policy.

use std::borrow::Cow;

use serde::Serialize;

use super::grant::Grant;
use super::member::Member;
use super::{AccountPolicy, Policy};
use crate::emulator::iam::account::{project_number_of, project_of, unique_id_of};

/// What people call an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountDetails {
    pub(crate) display_name: String,
    pub(crate) description: String,
}

/// How many deleted accounts can be restored. The oldest ones are forgotten.
const MOST_DELETED: usize = 1000;

/// An account that was deleted, and can be restored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeletedAccount {
    email: String,
    account: AccountPolicy,
    /// Greater than that of all accounts that were deleted before.
    number: u64,
}

impl Policy {
    pub(crate) fn details_of(&self, email: &str) -> AccountDetails {
        let account = self.service_accounts.get(email);
        account.map_or_else(AccountDetails::default, |account| AccountDetails {
            display_name: account.display_name.clone(),
            description: account.description.clone(),
        })
    }

    /// Returns the addresses of a project's accounts in their order, starting after `after`.
    pub(crate) fn accounts_of<'p>(&'p self, project: &'p str, after: &str) -> impl Iterator<Item = &'p str> {
        let from = (std::ops::Bound::Excluded(after.to_owned()), std::ops::Bound::Unbounded);
        let emails = self.service_accounts.range::<String, _>(from).map(|(email, _)| email.as_str());
        emails.filter(move |email| project_of(email) == project)
    }

    /// Adds an account without grants. A new account never gets the unique id of a deleted one. Returns `false`
    /// if the account exists.
    pub(crate) fn create_account(&mut self, email: &str, details: AccountDetails) -> bool {
        if self.knows(email) {
            return false;
        }
        let unique_id = (1..)
            .map(|number| format!("{email}#{number}"))
            .map(|seed| unique_id_of(&seed))
            .find(|id| !self.deleted.contains_key(id));
        let was_deleted = self.deleted.values().any(|deleted| deleted.email == email);
        let account = self.account_mut(email);
        account.unique_id = unique_id.filter(|_| was_deleted);
        account.display_name = details.display_name;
        account.description = details.description;
        true
    }

    pub(crate) fn set_details(&mut self, email: &str, details: AccountDetails) {
        if let Some(account) = self.service_accounts.get_mut(email) {
            account.display_name = details.display_name;
            account.description = details.description;
        }
    }

    pub(crate) fn set_disabled(&mut self, email: &str, disabled: bool) {
        if let Some(account) = self.service_accounts.get_mut(email) {
            account.disabled = disabled;
        }
    }

    /// Deletes an account. Grants to it stay, but name it as deleted, so that a new account of that name doesn't
    /// get them.
    pub(crate) fn delete_account(&mut self, email: &str, unique_id: &str) {
        let Some(account) = self.service_accounts.remove(email) else { return };
        self.put_away(email, unique_id, account);
        let member = format!("serviceAccount:{email}");
        // The account can have grants on itself, so this comes after it was put away.
        self.rename_members(&member, &deleted_member(email, unique_id));
        for members in self.groups.values_mut() {
            members.retain(|existing| existing.as_str() != member);
        }
        self.tokens.retain(|fixed| fixed.principal.as_str() != member);
        if let Some(server) = &mut self.metadata_server {
            server.service_account.take_if(|account| account == email);
        }
    }

    fn put_away(&mut self, email: &str, unique_id: &str, account: AccountPolicy) {
        let number = self.deleted.values().map(|deleted| deleted.number + 1).max().unwrap_or_default();
        self.deleted
            .insert(unique_id.to_owned(), DeletedAccount { email: email.to_owned(), account, number });
        if self.deleted.len() > MOST_DELETED {
            self.deleted.retain(|_, deleted| deleted.number + MOST_DELETED as u64 > number);
        }
    }

    /// Restores a deleted account with its grants and returns its address. Returns `None` if there is none, or
    /// if there is a new account of the same name.
    pub(crate) fn undelete_account(&mut self, unique_id: &str) -> Option<String> {
        let deleted = self.deleted.get(unique_id).filter(|deleted| !self.knows(&deleted.email))?;
        let DeletedAccount { email, mut account, .. } = deleted.clone();
        self.deleted.remove(unique_id);
        account.unique_id = Some(unique_id.to_owned());
        self.service_accounts.insert(email.clone(), account);
        self.rename_members(&deleted_member(&email, unique_id).to_string(), &Member::of_account(&email));
        Some(email)
    }

    pub(crate) fn deleted_email(&self, unique_id: &str) -> Option<&str> {
        self.deleted.get(unique_id).map(|deleted| deleted.email.as_str())
    }

    pub(crate) fn set_api_disabled(&mut self, project: &str, disabled: bool) {
        self.projects.entry(project.to_owned()).or_default().api_disabled = disabled;
    }

    /// Returns the id of a project that is named by its id or its number, if the policy knows it.
    pub(crate) fn project_id<'a>(&'a self, project: &'a str) -> Option<&'a str> {
        if self.knows_project(project) {
            return Some(project);
        }
        let number: u64 = project.parse().ok()?;
        let of_accounts = self.service_accounts.keys().map(|email| project_of(email));
        let by_number = |id: &&str| match self.projects.get(*id) {
            Some(of_policy) => of_policy.number.unwrap_or_else(|| project_number_of(id)) == number,
            None => project_number_of(id) == number,
        };
        self.projects.keys().map(String::as_str).chain(of_accounts).find(by_number)
    }

    /// Returns all grants, also those on deleted accounts.
    pub(super) fn all_grants(&self) -> impl Iterator<Item = &Grant> {
        let on_accounts = self.service_accounts.values().map(|account| &account.grants);
        let on_projects = self.projects.values().map(|project| &project.grants);
        let deleted = self.deleted.values().map(|deleted| &deleted.account.grants);
        on_accounts.chain(on_projects).chain(deleted).flatten()
    }

    fn rename_members(&mut self, old: &str, new: &Member) {
        let on_accounts = self.service_accounts.values_mut().map(|account| &mut account.grants);
        let on_projects = self.projects.values_mut().map(|project| &mut project.grants);
        let deleted = self.deleted.values_mut().map(|deleted| &mut deleted.account.grants);
        let grants = on_accounts.chain(on_projects).chain(deleted).flatten();
        for member in grants.flat_map(|grant| &mut grant.members) {
            if member.as_str() == old {
                *member = new.clone();
            }
        }
    }
}

fn deleted_member(email: &str, unique_id: &str) -> Member {
    Member(Cow::Owned(format!("deleted:serviceAccount:{email}?uid={unique_id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_deleted_accounts_are_kept() {
        let mut policy = Policy::new();
        let email = "sa@p.iam.gserviceaccount.com";
        let mut ids = Vec::new();
        for _ in 0..MOST_DELETED + 5 {
            policy.create_account(email, AccountDetails::default());
            let id = policy.accounts().next().unwrap().1;
            policy.delete_account(email, &id);
            ids.push(id);
        }
        assert_eq!(policy.deleted.len(), MOST_DELETED);
        assert!(ids[5..].iter().all(|id| policy.deleted_email(id) == Some(email)));
        assert_eq!(policy.undelete_account(&ids[4]), None);
    }
}
