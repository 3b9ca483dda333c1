//! The policy in force.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;

use super::account::Accounts;
use super::policy::{Moment, Policy, PolicyError};
use crate::emulator::clock::Clock;

/// A policy, and when it came into force on the clock's timeline.
#[derive(Debug)]
pub(crate) struct ActivePolicy {
    pub(crate) policy: Policy,
    since: SystemTime,
    /// Which policy it is, counted from 1.
    pub(crate) version: u64,
}

impl ActivePolicy {
    /// Returns the moment of a request that arrives now.
    pub(crate) fn moment(&self, clock: &Clock) -> Moment {
        let now = clock.now();
        Moment { age: self.age(now), time: clock.shown(now) }
    }

    /// Returns how long the policy has been in force.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.since).unwrap_or_default()
    }
}

/// Holds the policy in force, if there is one, and replaces it.
#[derive(Debug, Default)]
pub(crate) struct PolicyHolder {
    active: ArcSwapOption<ActivePolicy>,
    /// Locked while the policy is read, changed and written back.
    changing: Mutex<()>,
    /// The version of the newest policy.
    newest: AtomicU64,
}

impl PolicyHolder {
    pub(crate) fn get(&self) -> Option<Arc<ActivePolicy>> {
        self.active.load_full()
    }

    /// Puts a valid policy into force, or none, and creates its accounts.
    pub(crate) fn set(&self, policy: Option<Policy>, now: SystemTime, accounts: &Accounts) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.store(policy, now, accounts);
    }

    /// Changes the policy in force, which keeps its age. If there is none, changes an empty policy.
    pub(crate) fn change<T>(
        &self,
        now: SystemTime,
        accounts: &Accounts,
        change: impl FnOnce(&mut Policy, Duration) -> Result<T, PolicyError>,
    ) -> Result<T, PolicyError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.get();
        let active = active
            .unwrap_or_else(|| Arc::new(ActivePolicy { policy: Policy::new(), since: now, version: 0 }));
        self.replace(&active, now, accounts, change)
    }

    /// Changes the policy in force, which keeps its age. Returns `None` if there is none.
    pub(crate) fn change_existing<T, E: From<PolicyError>>(
        &self,
        now: SystemTime,
        accounts: &Accounts,
        change: impl FnOnce(&mut Policy, Duration) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.get()?;
        Some(self.replace(&active, now, accounts, change))
    }

    fn replace<T, E: From<PolicyError>>(
        &self,
        active: &ActivePolicy,
        now: SystemTime,
        accounts: &Accounts,
        change: impl FnOnce(&mut Policy, Duration) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut policy = active.policy.clone();
        let result = change(&mut policy, active.age(now))?;
        policy.validate()?;
        self.store(Some(policy), active.since, accounts);
        Ok(result)
    }

    fn store(&self, policy: Option<Policy>, since: SystemTime, accounts: &Accounts) {
        // A request that finds the policy must find its accounts too.
        accounts.declare(policy.iter().flat_map(Policy::accounts));
        let version = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        self.active.store(policy.map(|policy| Arc::new(ActivePolicy { policy, since, version })));
    }
}
