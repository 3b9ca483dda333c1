//! Finds a cache by its number, so that a request in flight counts no reference to it.
//!
//! Requests of all threads would count in the same memory, and wait for each other there. The number is
//! needed only if an API rejects the token.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::Token;

/// The token that a request was sent with.
pub(crate) enum SentToken {
    /// The token in the cache, by its generation.
    Generation(u64),
    /// Boxed, so that the state of a request with a fresh token stays small.
    Token(Box<Token>),
}

/// What is in the registry: a cache.
pub(super) trait Registered: Send + Sync {
    /// Takes in that an API rejected this token.
    fn take_rejection(&self, token: &SentToken);
}

/// The place of a cache in the registry, which ends with the cache.
#[derive(Debug, Default)]
pub(super) struct Registration {
    /// 0 before the first request for it.
    number: AtomicU64,
}

/// All living caches that have numbers. While it is locked, nothing else is done.
static REGISTRY: Mutex<BTreeMap<u64, Weak<dyn Registered>>> = Mutex::new(BTreeMap::new());

impl Registration {
    /// Returns the number of the cache, which no other cache ever has. The first call enters `cache`.
    pub(super) fn number(&self, cache: impl FnOnce() -> Weak<dyn Registered>) -> u64 {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let known = |number: u64| (number != 0).then_some(number);
        if let Some(number) = known(self.number.load(Ordering::Relaxed)) {
            return number;
        }
        let mut registry = lock();
        // Another thread may have been faster.
        known(self.number.load(Ordering::Relaxed)).unwrap_or_else(|| {
            let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
            self.number.store(number, Ordering::Relaxed);
            registry.insert(number, cache());
            number
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let number = *self.number.get_mut();
        if number != 0 {
            let cache = lock().remove(&number);
            drop(cache);
        }
    }
}

/// As [`invalidate`](crate::Credentials::invalidate), for the token that a request was sent with. Does
/// nothing if the credentials with this number don't exist any more.
pub(crate) fn invalidate_sent(number: u64, token: &SentToken) {
    if let Some(cache) = find(number) {
        cache.take_rejection(token);
    }
}

fn find(number: u64) -> Option<Arc<dyn Registered>> {
    lock().get(&number)?.upgrade()
}

fn lock() -> MutexGuard<'static, BTreeMap<u64, Weak<dyn Registered>>> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Cache {
        registration: Registration,
        rejected: AtomicU64,
    }

    impl Registered for Cache {
        fn take_rejection(&self, token: &SentToken) {
            if let SentToken::Generation(generation) = token {
                self.rejected.store(*generation, Ordering::Relaxed);
            }
        }
    }

    fn number(cache: &Arc<Cache>) -> u64 {
        cache.registration.number(|| Arc::downgrade(cache) as _)
    }

    /// conf: N10
    #[test]
    fn a_number_leads_to_its_cache_as_long_as_that_exists() {
        let caches: Vec<_> = (0..100).map(|_| Arc::new(Cache::default())).collect();
        let numbers: Vec<_> = caches.iter().map(number).collect();
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 100, "a number was given twice");
        for (cache, generation) in caches.iter().zip(1..) {
            find(number(cache)).unwrap().take_rejection(&SentToken::Generation(generation));
        }
        for (cache, generation) in caches.iter().zip(1..) {
            assert_eq!(cache.rejected.load(Ordering::Relaxed), generation);
        }
        drop(caches);
        for number in numbers {
            assert!(find(number).is_none() && !lock().contains_key(&number), "{number} is still known");
        }
    }

    /// conf: N10
    #[test]
    fn threads_that_ask_at_once_get_the_same_number() {
        for _ in 0..200 {
            let cache = Arc::new(Cache::default());
            let numbers: BTreeSet<u64> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| number(&cache))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(numbers.len(), 1);
            assert!(find(*numbers.first().unwrap()).is_some());
        }
    }
}
