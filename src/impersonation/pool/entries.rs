//! The identities in a pool, and which of them is dropped when it is full.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use indexmap::IndexMap;

use super::super::source::{ImpersonatedSource, TokenParameters};
use super::PoolStats;
use crate::Credentials;

/// The entries of a pool, by identity.
#[derive(Default)]
pub(super) struct Entries {
    by_source: IndexMap<Arc<ImpersonatedSource>, PoolEntry>,
    /// Each distinct value once. Identities with equal parameters share one value.
    parameters: HashSet<Arc<TokenParameters>>,
    /// Counts the requests for an identity. The count serves as the time of an entry's last use.
    clock: u64,
    hits: u64,
    misses: u64,
    evictions: u64,
    random: RandomState,
}

struct PoolEntry {
    credentials: Credentials,
    last_use: u64,
}

impl Entries {
    /// How many entries are compared to find one that wasn't used recently.
    const SAMPLE: usize = 8;

    /// Unused parameters are removed only if there are at least this many.
    const MIN_PARAMETERS: usize = 64;

    /// Returns the credentials of this identity. Makes them if there are none.
    pub(super) fn get_or_insert(
        &mut self,
        mut source: ImpersonatedSource,
        capacity: usize,
        make: impl FnOnce(Arc<ImpersonatedSource>) -> Credentials,
    ) -> Credentials {
        self.clock += 1;
        if let Some(entry) = self.by_source.get_mut(&source) {
            entry.last_use = self.clock;
            self.hits += 1;
            return entry.credentials.clone();
        }
        self.misses += 1;
        while self.by_source.len() >= capacity {
            self.evict();
        }
        let parameters = self.shared(source.parameters());
        source.share(parameters);
        let source = Arc::new(source);
        let credentials = make(Arc::clone(&source));
        let entry = PoolEntry { credentials: credentials.clone(), last_use: self.clock };
        self.by_source.insert(source, entry);
        credentials
    }

    pub(super) fn stats(&self) -> PoolStats {
        PoolStats {
            identities: self.by_source.len(),
            hits: self.hits,
            misses: self.misses,
            evictions: self.evictions,
            ..PoolStats::default()
        }
    }

    /// Returns the shared value that is equal to `parameters`.
    fn shared(&mut self, parameters: &Arc<TokenParameters>) -> Arc<TokenParameters> {
        if let Some(known) = self.parameters.get(parameters) {
            return Arc::clone(known);
        }
        if self.parameters.len() >= Self::MIN_PARAMETERS && self.parameters.len() > 2 * self.by_source.len() {
            self.parameters.retain(|known| Arc::strong_count(known) > 1);
        }
        self.parameters.insert(Arc::clone(parameters));
        Arc::clone(parameters)
    }

    /// Drops the least recently used of a few entries chosen at random.
    fn evict(&mut self) {
        let len = self.by_source.len();
        let sample = (0..Self::SAMPLE).map(|draw| self.random.hash_one((self.clock, draw)) as usize % len);
        let last_use = |index: &usize| self.by_source.get_index(*index).map(|(_, entry)| entry.last_use);
        if let Some(index) = sample.min_by_key(last_use) {
            self.by_source.swap_remove_index(index);
            self.evictions += 1;
        }
    }
}
