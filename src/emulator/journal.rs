//! The journal: which requests arrived, and how they ended.

mod entry;
mod headers;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::entry::{JournalEntry, Outcome, Protocol, RequestFields};
pub(crate) use self::headers::without_secrets;

/// How many requests the journal keeps: the newest 10,000.
pub const JOURNAL_CAPACITY: usize = 10_000;

/// The newest entries, in a ring.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<JournalEntry>,
    next: u64,
}

impl Journal {
    /// Adds an entry and returns its sequence number.
    pub(crate) fn add(&self, mut entry: JournalEntry) -> u64 {
        let mut ring = self.lock();
        let sequence = ring.next;
        ring.next += 1;
        entry.sequence = sequence;
        if ring.entries.len() == JOURNAL_CAPACITY {
            ring.entries.pop_front();
        }
        ring.entries.push_back(entry);
        sequence
    }

    /// Changes the entry with this sequence number, if the journal still has it.
    pub(crate) fn update(&self, sequence: u64, change: impl FnOnce(&mut JournalEntry)) {
        let mut ring = self.lock();
        let Some(first) = ring.entries.front().map(|entry| entry.sequence) else { return };
        let index = sequence.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| ring.entries.get_mut(index)) {
            change(entry);
        }
    }

    /// Returns all entries, the oldest first.
    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        self.lock().entries.iter().cloned().collect()
    }

    /// Removes all entries. Sequence numbers continue.
    pub(crate) fn clear(&self) {
        self.lock().entries.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::emulator::method::Method;

    fn entry() -> JournalEntry {
        JournalEntry {
            sequence: 0,
            received_at: SystemTime::now(),
            method: Method::SignBlob,
            protocol: Protocol::Grpc,
            connection: 1,
            principal: None,
            name: String::new(),
            delegates: Vec::new(),
            fields: RequestFields::default(),
            headers: Vec::new(),
            outcome: None,
        }
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let journal = Journal::default();
        for _ in 0..JOURNAL_CAPACITY + 5 {
            journal.add(entry());
        }
        journal.update(2, |_| panic!("this entry is gone"));
        journal.update(7, |entry| entry.name = "found".to_owned());
        let entries = journal.entries();
        assert_eq!(entries.len(), JOURNAL_CAPACITY);
        assert_eq!(entries[0].sequence, 5);
        assert_eq!(entries[2].name, "found");
        journal.clear();
        assert!(journal.entries().is_empty());
        assert_eq!(journal.add(entry()), JOURNAL_CAPACITY as u64 + 5);
    }
}
