//! Service accounts: their names and their keys.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::bounded_map::{BoundedMap, HeapBytes, MAP_BYTES};
use super::key_ring::KeyRing;
use crate::emulator::fingerprint;

/// The project of accounts whose e-mail address doesn't name one.
pub(crate) const DEFAULT_PROJECT: &str = "emulator";

/// One service account. Its access rules are in the policy.
pub(crate) struct Account {
    email: Arc<str>,
    /// `serviceAccount:{email}`
    member: Arc<str>,
    unique_id: Arc<str>,
    keys: Arc<KeyRing>,
}

impl Account {
    fn new(email: &str, unique_id: String) -> Self {
        Self {
            email: email.into(),
            member: format!("serviceAccount:{email}").into(),
            unique_id: unique_id.into(),
            keys: Arc::default(),
        }
    }

    pub(crate) fn email(&self) -> &str {
        &self.email
    }

    pub(crate) fn member(&self) -> &Arc<str> {
        &self.member
    }

    pub(crate) fn unique_id(&self) -> &str {
        &self.unique_id
    }

    pub(crate) fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    pub(crate) fn project(&self) -> &str {
        project_of(&self.email)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("email", &self.email).finish_non_exhaustive()
    }
}

impl HeapBytes for Arc<Account> {
    fn heap_bytes(&self) -> usize {
        ACCOUNT_BYTES + self.email.len()
    }
}

/// About how much memory an account takes with its key, besides its name.
const ACCOUNT_BYTES: usize = 2048;

/// The accounts: those of the policy, and those that earlier policies, and without a policy requests, have named.
/// Only the newest of the others stay, as many as take [`MAP_BYTES`].
#[derive(Debug, Default)]
pub(crate) struct Accounts(RwLock<Tables>);

#[derive(Debug, Default)]
struct Tables {
    by_email: HashMap<Arc<str>, Arc<Account>>,
    by_id: HashMap<Arc<str>, Arc<Account>>,
    /// Those that were deleted, by unique id: they get their keys back when they are restored.
    deleted: BoundedMap<Arc<str>, Arc<Account>>,
    /// The addresses of the policy's accounts.
    named: HashSet<Arc<str>>,
    /// The addresses of other accounts, the oldest first. Some may have been named or deleted meanwhile.
    unnamed: VecDeque<Arc<str>>,
    /// The size of the accounts in `unnamed`.
    unnamed_bytes: usize,
}

impl Accounts {
    /// Returns the account with this e-mail address or unique id, if it has been created.
    pub(crate) fn find(&self, account: &str) -> Option<Arc<Account>> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tables.by_email.get(account).or_else(|| tables.by_id.get(account)).cloned()
    }

    /// Returns the account with this e-mail address or unique id. Creates it if necessary.
    pub(crate) fn get(&self, account: &str) -> Arc<Account> {
        if let Some(found) = self.find(account) {
            return found;
        }
        if account.bytes().all(|b| b.is_ascii_digit()) {
            let email = format!("unique-id-{account}@{DEFAULT_PROJECT}.iam.gserviceaccount.com");
            self.add(&email, account.to_owned())
        } else {
            self.add(account, unique_id_of(account))
        }
    }

    /// Creates the accounts of a policy, or changes their unique ids. They keep their keys. An account that was
    /// deleted is restored if it has that unique id.
    pub(crate) fn declare<'a>(&self, accounts: impl IntoIterator<Item = (&'a str, String)>) {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let named = accounts.into_iter().map(|(email, unique_id)| tables.declare(email, unique_id)).collect();
        let before = std::mem::replace(&mut tables.named, named);
        for email in before {
            if !tables.named.contains(&email) {
                tables.add_unnamed(email);
            }
        }
    }

    /// Removes a deleted account. A new account of the same name gets new keys.
    pub(crate) fn remove(&self, account: &Arc<Account>) {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tables.by_email.remove(account.email());
        tables.by_id.remove(account.unique_id());
        tables.deleted.insert(Arc::clone(&account.unique_id), Arc::clone(account), |_| false);
        tables.named.remove(account.email());
    }

    /// Returns the addresses of all accounts so far, in order.
    pub(crate) fn emails(&self) -> Vec<Arc<str>> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut emails: Vec<_> = tables.by_email.keys().cloned().collect();
        emails.sort_unstable();
        emails
    }

    /// Returns the account with this e-mail address. Creates it with this unique id if necessary.
    fn add(&self, email: &str, unique_id: String) -> Arc<Account> {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = tables.by_email.get(email) {
            return Arc::clone(found);
        }
        let account = Arc::new(Account::new(email, unique_id));
        tables.insert(&account);
        tables.add_unnamed(Arc::clone(&account.email));
        account
    }
}

impl Tables {
    /// Creates an account, or changes its unique id. Returns its address.
    fn declare(&mut self, email: &str, unique_id: String) -> Arc<str> {
        let known = self.by_email.get(email).or_else(|| self.by_id.get(email)).cloned();
        if let Some(account) = known.as_ref().filter(|account| account.unique_id() == unique_id) {
            return Arc::clone(&account.email);
        }
        let deleted = self.deleted.remove(unique_id.as_str()).filter(|account| account.email() == email);
        let mut account = Account::new(email, unique_id);
        if let Some(known) = known {
            self.by_id.remove(known.unique_id());
            account.keys = Arc::clone(&known.keys);
        }
        let account = deleted.unwrap_or_else(|| Arc::new(account));
        self.insert(&account);
        Arc::clone(&account.email)
    }

    fn insert(&mut self, account: &Arc<Account>) {
        self.by_email.insert(Arc::clone(&account.email), Arc::clone(account));
        self.by_id.insert(Arc::clone(&account.unique_id), Arc::clone(account));
    }

    /// Adds the address of an account that isn't the policy's, and forgets the oldest ones if there are too many.
    fn add_unnamed(&mut self, email: Arc<str>) {
        self.unnamed_bytes += ACCOUNT_BYTES + email.len();
        self.unnamed.push_back(email);
        while self.unnamed_bytes > MAP_BYTES && self.unnamed.len() > 1 {
            let Some(oldest) = self.unnamed.pop_front() else { return };
            self.unnamed_bytes -= ACCOUNT_BYTES + oldest.len();
            if !self.named.contains(&oldest)
                && let Some(account) = self.by_email.remove(&oldest)
            {
                self.by_id.remove(account.unique_id());
            }
        }
    }
}

/// Returns the project that an e-mail address names, or [`DEFAULT_PROJECT`].
pub(crate) fn project_of(email: &str) -> &str {
    let Some((local, domain)) = email.split_once('@') else { return DEFAULT_PROJECT };
    if let Some(project) = domain.strip_suffix(".iam.gserviceaccount.com") {
        return project;
    }
    if domain == "appspot.gserviceaccount.com" {
        return local;
    }
    DEFAULT_PROJECT
}

/// Returns a unique id of 21 digits, the same for the same e-mail address in every run.
pub(crate) fn unique_id_of(email: &str) -> String {
    format!("1{:020}", fingerprint::number(email))
}

/// Returns a project number of 12 digits, the same for the same project in every run.
pub(crate) fn project_number_of(project: &str) -> u64 {
    100_000_000_000 + fingerprint::number(project) % 900_000_000_000
}

/// Whether `text` looks like a service account's e-mail address or unique id.
pub(crate) fn is_well_formed(text: &str) -> bool {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.len() <= 30;
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'@' | b':');
    match text.split_once('@') {
        Some((local, domain)) => {
            text.len() <= 320
                && text.bytes().all(legal)
                && !local.is_empty()
                && domain.contains('.')
                && !domain.contains('@')
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_address_and_by_unique_id() {
        let accounts = Accounts::default();
        let made = accounts.get("sa@p.iam.gserviceaccount.com");
        assert_eq!(made.unique_id().len(), 21);
        assert_eq!(made.project(), "p");
        let found = accounts.get(made.unique_id());
        assert_eq!(found.email(), "sa@p.iam.gserviceaccount.com");
        assert!(accounts.find("other@p.iam.gserviceaccount.com").is_none());
    }

    #[test]
    fn an_unknown_unique_id_keeps_its_number() {
        let accounts = Accounts::default();
        let made = accounts.get("115512345678901234567");
        assert_eq!(made.unique_id(), "115512345678901234567");
        assert_eq!(accounts.get(made.email()).unique_id(), "115512345678901234567");
    }

    /// conf: S10
    #[test]
    fn the_oldest_accounts_that_no_policy_names_are_forgotten_and_the_policys_never() {
        let accounts = Accounts::default();
        let email = |number: usize| format!("sa-{number:06}@p.iam.gserviceaccount.com");
        let policy = |numbers: std::ops::Range<usize>| {
            let emails: Vec<_> = numbers.map(email).collect();
            accounts.declare(emails.iter().map(|email| (email.as_str(), unique_id_of(email))));
        };
        let kept = MAP_BYTES / (ACCOUNT_BYTES + email(0).len());
        // Named by a request, by a policy, and by a policy before it.
        accounts.get(&email(0));
        policy(10..20);
        policy(0..10);
        let of_policy = accounts.find(&email(0)).unwrap();
        for number in 20..20 + kept {
            accounts.get(&email(number));
        }
        assert!(Arc::ptr_eq(&accounts.find(&email(0)).unwrap(), &of_policy), "the policy's accounts stay");
        assert!((10..20).all(|number| accounts.find(&email(number)).is_none()), "these were the oldest");
        assert!(accounts.find(&email(20)).is_some() && accounts.find(&email(19 + kept)).is_some());
        assert_eq!(accounts.emails().len(), kept + 10);
        accounts.get(&email(20 + kept));
        assert!(accounts.find(&email(20)).is_none() && accounts.find(&unique_id_of(&email(20))).is_none());

        // Other policies, one after the other.
        (0..kept).step_by(kept / 3).for_each(|start| policy(start..start + kept / 3));
        let tables = accounts.0.read().unwrap();
        assert!(tables.by_email.len() <= kept + kept / 3, "{}", tables.by_email.len());
        assert_eq!(tables.by_email.len(), tables.by_id.len());
        assert!(tables.unnamed.len() <= kept);
    }

    #[test]
    fn well_formed_names_are_recognized() {
        for good in ["sa@p.iam.gserviceaccount.com", "1234567890", "x@example.com.iam.gserviceaccount.com"] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in ["", "sa", "@p.com", "sa@", "sa@p", "a@b@c.d", "sä@p.com", "sa@p.com ", "a/b@p.com"] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
