//! The faults in force, and which of them applies to a request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Fault, FaultId, PlatformFault};
use crate::emulator::method::Method;
use crate::name::account_in;

/// How many faults can be in force. The oldest one ends if there are more.
const MOST_FAULTS: usize = 1000;

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct ActiveFaults {
    list: Mutex<Vec<ActiveFault>>,
    /// Whether `list` has entries. A request without faults needs no lock.
    any: AtomicBool,
    last_id: AtomicU64,
}

/// A fault in force, and how often it has applied.
#[derive(Clone, Debug)]
pub(crate) struct ActiveFault {
    pub(crate) id: FaultId,
    pub(crate) fault: Fault,
    pub(crate) applied: u64,
    /// The sum of the shares of the requests so far. When it reaches 1.0, the fault applies and 1.0 is
    /// subtracted.
    progress: f64,
}

impl ActiveFaults {
    /// Puts a fault into force.
    pub(crate) fn inject(&self, fault: Fault) -> FaultId {
        let id = FaultId::from_number(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let mut list = self.lock();
        if list.len() >= MOST_FAULTS {
            list.remove(0);
        }
        list.push(ActiveFault { id, fault, applied: 0, progress: 0.0 });
        self.any.store(true, Ordering::Release);
        id
    }

    /// Removes a fault. Returns `false` if it isn't in force.
    pub(crate) fn clear(&self, id: FaultId) -> bool {
        let mut list = self.lock();
        let before = list.len();
        list.retain(|active| active.id != id);
        self.any.store(!list.is_empty(), Ordering::Release);
        list.len() < before
    }

    /// Removes all faults.
    pub(crate) fn clear_all(&self) {
        let mut list = self.lock();
        list.clear();
        self.any.store(false, Ordering::Release);
    }

    /// Returns the faults in force, oldest first.
    pub(crate) fn list(&self) -> Vec<ActiveFault> {
        self.lock().clone()
    }

    /// Returns the fault that applies to a request, and counts it: the oldest one that matches. `name` is the
    /// account, or its resource name.
    pub(crate) fn apply_to(&self, method: Method, name: &str) -> Option<Fault> {
        self.apply(method, name, |fault| fault.platform_fault().is_none())
    }

    /// Returns the fault of a platform that applies to a request, and counts it: the oldest one among
    /// `kinds` that matches.
    pub(crate) fn apply_platform(
        &self,
        kinds: &[PlatformFault],
        method: Method,
        name: &str,
    ) -> Option<Fault> {
        self.apply(method, name, |fault| fault.platform_fault().is_some_and(|it| kinds.contains(&it)))
    }

    fn apply(&self, method: Method, name: &str, is_wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let account = account_in(name);
        let mut list = self.lock();
        let index = list
            .iter_mut()
            .position(|active| is_wanted(&active.fault) && active.applies_to(method, account))?;
        let active = &mut list[index];
        active.applied += 1;
        let fault = active.fault.clone();
        if fault.times.is_some_and(|times| active.applied >= times) {
            list.remove(index);
            self.any.store(!list.is_empty(), Ordering::Release);
        }
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ActiveFault>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveFault {
    fn applies_to(&mut self, method: Method, account: &str) -> bool {
        if self.fault.times == Some(0) || !self.fault.matches(method, account) {
            return false;
        }
        self.progress += self.fault.share;
        // Slightly below 1, because ten times 0.1 is less than 1 in floating point.
        let applies = self.progress >= 1.0 - 1e-9;
        if applies {
            self.progress -= 1.0;
        }
        applies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(faults: &ActiveFaults, calls: usize) -> usize {
        (0..calls).filter(|_| faults.apply_to(Method::SignBlob, "a@b.c").is_some()).count()
    }

    #[test]
    fn a_fault_ends_after_the_given_number_of_requests() {
        let faults = ActiveFaults::default();
        faults.inject(Fault::hang().times(2));
        assert_eq!(applied(&faults, 10), 2);
        assert!(faults.list().is_empty());
        faults.inject(Fault::hang().times(0));
        assert_eq!(applied(&faults, 10), 0);
    }

    #[test]
    fn a_share_is_kept_exactly() {
        for (share, expected) in [(0.0, 0), (-0.0, 0), (0.1, 100), (0.25, 250), (1.0, 1000)] {
            let faults = ActiveFaults::default();
            faults.inject(Fault::hang().share(share).unwrap());
            assert_eq!(applied(&faults, 1000), expected, "{share}");
        }
    }

    #[test]
    fn a_fault_applies_only_to_its_method_and_account() {
        let faults = ActiveFaults::default();
        let id = faults.inject(Fault::hang().method(Method::SignBlob).account("a@b.c"));
        assert!(faults.apply_to(Method::SignJwt, "a@b.c").is_none());
        assert!(faults.apply_to(Method::SignBlob, "other@b.c").is_none());
        assert!(faults.apply_to(Method::SignBlob, "a@b.c").is_some());
        assert!(faults.apply_to(Method::SignBlob, "projects/-/serviceAccounts/a@b.c").is_some());
        assert!(faults.clear(id));
        assert!(!faults.clear(id));
        assert!(faults.apply_to(Method::SignBlob, "a@b.c").is_none());
    }
    /// conf: S10
    #[test]
    fn the_newest_faults_stay_in_force() {
        let faults = ActiveFaults::default();
        let ids: Vec<_> = (0..=MOST_FAULTS).map(|_| faults.inject(Fault::hang())).collect();
        let listed: Vec<_> = faults.list().iter().map(|fault| fault.id).collect();
        assert_eq!(listed, ids[1..]);
    }
}
