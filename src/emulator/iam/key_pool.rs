//! RSA keys for all emulators of the process, made cheaply.
//!
//! Finding two primes takes 0.2 s in a debug build, and one test may use the keys of many accounts. The pool
//! makes a key of each pair of its primes, which takes milliseconds: `n` primes give `n * (n - 1) / 2` keys.
//!
//! Whoever has two public keys with a common prime can compute both private keys. This doesn't matter here:
//! the keys of an emulator protect nothing.

mod prime_pair;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::{fmt, thread};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use num_bigint::BigUint;

/// If fewer pairs than this are unused, the pool searches for more primes in the background.
const SPARE_PAIRS: usize = 16;

/// The pool of the process.
static SHARED: KeyPool = KeyPool::new();

/// Makes RSA-2048 keys. Each is different.
#[derive(Debug)]
pub(crate) struct KeyPool {
    primes: Mutex<Primes>,
    /// Notified when primes have been found, and when a search has failed.
    changed: Condvar,
}

/// The primes found so far, and the next pair of them: an index, and a smaller one.
struct Primes {
    found: Vec<BigUint>,
    larger: usize,
    smaller: usize,
    /// How many threads search for more.
    searching: usize,
    /// How many threads wait for a pair.
    waiting: usize,
    /// Whether a search has failed that somebody waits for.
    failed: bool,
}

impl KeyPool {
    const fn new() -> Self {
        let primes =
            Primes { found: Vec::new(), larger: 1, smaller: 0, searching: 0, waiting: 0, failed: false };
        Self { primes: Mutex::new(primes), changed: Condvar::new() }
    }

    /// Returns the pool of the process.
    pub(crate) fn shared() -> &'static Self {
        &SHARED
    }

    /// Returns a key that nobody else has. If all pairs of primes are used, waits until more primes have been
    /// found, for which all cores search.
    pub(crate) fn take(&'static self) -> Result<KeyPair, Unspecified> {
        let mut primes = self.lock();
        let (one, other) = loop {
            if let Some(pair) = primes.next_pair() {
                // If there is no thread for the search, whoever needs the primes tries again.
                let _ = self.search(&mut primes);
                break pair;
            }
            primes = self.wait_for_primes(primes)?;
        };
        drop(primes);
        prime_pair::key(&one, &other)
    }

    /// Starts to search for primes in the background if few pairs are unused. Returns at once.
    pub(crate) fn prepare(&'static self) {
        // If there is no thread for the search, whoever needs the primes tries again.
        let _ = self.search(&mut self.lock());
    }

    /// Waits until a search has found primes.
    fn wait_for_primes<'a>(
        &'static self,
        mut primes: MutexGuard<'a, Primes>,
    ) -> Result<MutexGuard<'a, Primes>, Unspecified> {
        primes.waiting += 1;
        let started = self.search(&mut primes);
        if started.is_ok() {
            primes = self.changed.wait(primes).unwrap_or_else(PoisonError::into_inner);
        }
        primes.waiting -= 1;
        started?;
        if std::mem::take(&mut primes.failed) { Err(Unspecified) } else { Ok(primes) }
    }

    /// Starts as many threads as are wanted. Fails if no thread searches then, although one is wanted.
    fn search(&'static self, primes: &mut Primes) -> Result<(), Unspecified> {
        while primes.searching < primes.wanted_threads() {
            let name = "iam-emulator-primes".to_owned();
            match thread::Builder::new().name(name).spawn(|| self.search_while_wanted()) {
                Ok(_) => primes.searching += 1,
                Err(_) if primes.searching == 0 => return Err(Unspecified),
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn search_while_wanted(&self) {
        loop {
            let found = find_primes();
            let mut primes = self.lock();
            primes.failed |= found.is_err() && primes.waiting > 0;
            let failed = found.map(|found| primes.add(found)).is_err();
            self.changed.notify_all();
            if failed || primes.searching > primes.wanted_threads() {
                primes.searching -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Primes> {
        self.primes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds two primes: those of a new key.
fn find_primes() -> Result<[BigUint; 2], Unspecified> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let pkcs8: Pkcs8V1Der<'_> = key.as_der()?;
    prime_pair::of_pkcs8(pkcs8.as_ref()).ok_or(Unspecified)
}

impl Primes {
    /// Adds primes, except for those that have been found before.
    fn add(&mut self, primes: impl IntoIterator<Item = BigUint>) {
        for prime in primes {
            if !self.found.contains(&prime) {
                self.found.push(prime);
            }
        }
    }

    /// Returns a pair that hasn't been returned before.
    fn next_pair(&mut self) -> Option<(BigUint, BigUint)> {
        let pair = (self.found.get(self.larger)?.clone(), self.found.get(self.smaller)?.clone());
        self.smaller += 1;
        if self.smaller == self.larger {
            (self.larger, self.smaller) = (self.larger + 1, 0);
        }
        Some(pair)
    }

    fn wanted_threads(&self) -> usize {
        match self.unused_pairs() {
            0 if self.waiting > 0 => thread::available_parallelism().map_or(2, usize::from),
            unused => usize::from(unused < SPARE_PAIRS),
        }
    }

    fn unused_pairs(&self) -> usize {
        // The pairs whose larger index is less than `n`.
        let pairs_below = |n: usize| n * n.saturating_sub(1) / 2;
        pairs_below(self.found.len()).saturating_sub(pairs_below(self.larger) + self.smaller)
    }
}

impl fmt::Debug for Primes {
    /// Leaves out the primes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primes").field("found", &self.found.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
    };

    use super::*;

    fn new_pool() -> &'static KeyPool {
        Box::leak(Box::new(KeyPool::new()))
    }

    fn public(key: &KeyPair) -> Vec<u8> {
        key.public_key().as_ref().to_vec()
    }

    /// conf: S9
    #[test]
    fn few_primes_give_many_keys_that_are_all_different_and_sign() {
        let mut primes = KeyPool::new().primes.into_inner().unwrap();
        for _ in 0..3 {
            primes.add(find_primes().unwrap());
        }
        let pairs: Vec<_> = std::iter::from_fn(|| primes.next_pair()).collect();
        assert_eq!(pairs.len(), 15, "each pair of the six primes");
        let keys: Vec<_> = pairs.iter().map(|(one, other)| prime_pair::key(one, other).unwrap()).collect();
        assert_eq!(keys.iter().map(public).collect::<HashSet<_>>().len(), 15);
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(key.public_modulus_len(), 256);
            let mut signature = [0; 256];
            key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"message", &mut signature).unwrap();
            for (other, verifier) in keys.iter().enumerate() {
                let verifier = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public(verifier));
                assert_eq!(verifier.verify(b"message", &signature).is_ok(), number == other);
            }
        }
    }

    /// conf: S9
    #[test]
    fn no_pair_has_equal_primes_or_comes_twice_whenever_primes_are_found() {
        let mut primes = KeyPool::new().primes.into_inner().unwrap();
        let mut seen = HashSet::new();
        assert_eq!(primes.unused_pairs(), 0);
        for number in [2_u32, 3, 3, 5, 2, 7, 11, 13, 13, 17] {
            primes.add([BigUint::from(number), BigUint::from(2_u32)]);
            // Leaves some pairs for later.
            for _ in 0..3 {
                let unused = primes.unused_pairs();
                let Some((one, other)) = primes.next_pair() else { break };
                assert_eq!(primes.unused_pairs(), unused - 1);
                assert_ne!(one, other);
                assert!(seen.insert((one.clone().min(other.clone()), one.max(other))));
            }
        }
        while let Some((one, other)) = primes.next_pair() {
            assert!(seen.insert((one.clone().min(other.clone()), one.max(other))));
        }
        assert_eq!((primes.found.len(), seen.len(), primes.unused_pairs()), (7, 21, 0));
    }

    /// conf: S9
    #[test]
    fn threads_that_take_more_keys_than_there_are_pairs_get_different_ones() {
        let pool = new_pool();
        let keys: Vec<_> = thread::scope(|scope| {
            let take = || scope.spawn(|| (0..5).map(|_| pool.take().unwrap()).collect::<Vec<_>>());
            let threads: Vec<_> = (0..4).map(|_| take()).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(keys.iter().map(public).collect::<HashSet<_>>().len(), 20);
    }

    #[test]
    fn the_background_search_ends_when_there_are_spare_pairs_and_starts_again() {
        let pool = new_pool();
        let wait_for_the_end = || {
            while pool.lock().searching > 0 {
                thread::sleep(Duration::from_millis(1));
            }
        };
        pool.prepare();
        wait_for_the_end();
        let unused = pool.lock().unused_pairs();
        assert_eq!(unused, 28, "the pairs of eight primes");
        for _ in 0..=unused - SPARE_PAIRS {
            pool.take().unwrap();
        }
        wait_for_the_end();
        assert_eq!(pool.lock().found.len(), 10, "it searched again when a pair was missing");
        assert_eq!(pool.lock().waiting, 0);
    }
}
