//! Random changes of a policy, as administrators make them, compared with a model.
//!
//! The model knows accounts by their unique ids, so it needs no `deleted:` members and no names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use super::{AccountDetails, Binding, Member, Moment, Policy, Resource, Role};
use crate::emulator::iam::account::unique_id_of;
use crate::random::{Random, setting};
use crate::roles::SIGN_BLOB;

const EMAILS: [&str; 3] =
    ["a@p.iam.gserviceaccount.com", "b@p.iam.gserviceaccount.com", "c@p.iam.gserviceaccount.com"];
const USERS: [&str; 2] = ["user:x@example.com", "user:y@example.com"];

const PROPAGATION: Duration = Duration::from_secs(60);

/// An account's unique id, or a user.
type Id = String;

#[derive(Default)]
struct Model {
    /// The accounts that exist: their addresses and unique ids.
    live: BTreeMap<&'static str, Id>,
    /// The accounts that were deleted: their unique ids and addresses.
    deleted: BTreeMap<Id, &'static str>,
    /// Who may sign as which account, from which age of the policy on.
    grants: BTreeMap<Id, BTreeMap<Id, Duration>>,
}

impl Model {
    /// Returns whom a member of a binding stands for.
    fn id_of(&self, member: &Member) -> Id {
        let text = member.as_str();
        match (member.as_service_account(), text.split_once("?uid=")) {
            (Some(email), _) => self.live[email].clone(),
            (None, Some((_, id))) => id.to_owned(),
            (None, None) => text.to_owned(),
        }
    }
}

struct World {
    policy: Policy,
    model: Model,
    random: Random,
    age: Duration,
    /// How many changes of each kind took effect, so that a test that does nothing is noticed.
    done: BTreeSet<&'static str>,
}

impl World {
    fn new(seed: u64) -> Self {
        let policy = Policy::new().grant_propagation(PROPAGATION);
        let random = Random::new(seed);
        Self { policy, model: Model::default(), random, age: Duration::ZERO, done: BTreeSet::new() }
    }

    fn step(&mut self) {
        self.age += self.random.millis(0..40_000);
        match self.random.within(0..10) {
            0 | 1 => self.create(),
            2 => self.delete(),
            3 => self.undelete(),
            _ => self.set_bindings(),
        }
    }

    fn create(&mut self) {
        let email = *self.random.choose(&EMAILS);
        let created = self.policy.create_account(email, AccountDetails::default());
        assert_eq!(created, !self.model.live.contains_key(email));
        if created {
            let id = self.policy.accounts().find(|(known, _)| *known == email).unwrap().1;
            assert!(!self.model.deleted.contains_key(&id), "a unique id is used twice");
            self.done.insert(if id == unique_id_of(email) { "create" } else { "create again" });
            self.model.live.insert(email, id);
        }
    }

    fn delete(&mut self) {
        let email = *self.random.choose(&EMAILS);
        if let Some(id) = self.model.live.remove(email) {
            self.policy.delete_account(email, &id);
            self.model.deleted.insert(id, email);
            self.done.insert("delete");
        }
    }

    fn undelete(&mut self) {
        let ids: Vec<_> = self.model.deleted.keys().cloned().collect();
        let Some(id) = ids.get(self.random.within(0..8) as usize) else { return };
        let email = self.model.deleted[id];
        let restored = self.policy.undelete_account(id);
        assert_eq!(restored.is_some(), !self.model.live.contains_key(email));
        if restored.is_some() {
            self.model.deleted.remove(id);
            self.model.live.insert(email, id.clone());
            self.done.insert("undelete");
        }
    }

    /// Reads the bindings on an account, removes some members, adds some, and writes the bindings.
    fn set_bindings(&mut self) {
        let email = *self.random.choose(&EMAILS);
        let Some(target) = self.model.live.get(email).cloned() else { return };
        let resource = Resource::Account(email);
        let read = self.policy.bindings(resource);
        let mut members: Vec<Member> =
            read.first().map(|binding| binding.members.clone()).unwrap_or_default();
        members.retain(|_| self.random.chance(0.8));
        let accounts = self.model.live.keys().map(|email| Member::of_account(email));
        for member in accounts.chain(USERS.map(|user| user.parse().unwrap())) {
            if !members.contains(&member) && self.random.chance(0.2) {
                members.push(member);
            }
        }
        let had = self.model.grants.remove(&target).unwrap_or_default();
        let from = |id: &Id| had.get(id).copied().unwrap_or(self.age + PROPAGATION);
        let ids = members.iter().map(|member| self.model.id_of(member));
        let grants = ids.map(|id| (id.clone(), from(&id))).collect();
        self.model.grants.insert(target, grants);

        let before = self.policy.bindings_etag(resource);
        let role = Role::TOKEN_CREATOR;
        let written: Vec<_> = Some(Binding { role, members, condition: None })
            .into_iter()
            .filter(|binding| !binding.members.is_empty())
            .collect();
        self.policy.set_bindings(resource, written, self.age).unwrap();
        let same = self.policy.bindings(resource) == read;
        assert_eq!(self.policy.bindings_etag(resource) == before, same, "the etag follows the bindings");
        self.done.insert(if same { "no change" } else { "change" });
    }

    /// Checks that the policy is valid, can be written and read, and allows exactly what the model does.
    fn check(&mut self) {
        self.policy.validate().unwrap();
        let text = self.policy.to_json();
        assert_eq!(Policy::from_json(&text).unwrap().to_json(), text);
        let moment = Moment { age: self.age, time: SystemTime::UNIX_EPOCH };
        let accounts =
            self.model.live.iter().map(|(email, id)| (format!("serviceAccount:{email}"), id.clone()));
        let users = USERS.iter().map(|user| ((*user).to_owned(), (*user).to_owned()));
        for (name, id) in accounts.chain(users) {
            for (email, target) in &self.model.live {
                let from = self.model.grants.get(target).and_then(|grants| grants.get(&id));
                let expected = from.is_some_and(|from| *from <= self.age);
                let actual = self.policy.allows(name.as_str().into(), SIGN_BLOB, email, moment);
                assert_eq!(actual, expected, "{name} on {email}: {text}");
                self.done.insert(if actual { "allowed" } else { "refused" });
            }
        }
    }
}

/// conf: I1, I3, I7
#[test]
fn random_changes_allow_what_a_model_with_unique_ids_allows() {
    let mut done = BTreeSet::new();
    let first = setting("SIM_SEED", 1);
    for seed in first..first + setting("SIM_WORLDS", 40) {
        let mut world = World::new(seed);
        for step in 0..60 {
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                world.step();
                world.check();
            }));
            assert!(checked.is_ok(), "seed {seed}, step {step}");
        }
        done.extend(world.done);
    }
    assert_eq!(done.len(), 8, "{done:?}");
}
