//! The journal: which requests arrived, and how they ended.

mod entry;
mod headers;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::entry::{JournalEntry, Outcome, Protocol, RequestFields};
pub(crate) use self::headers::without_secrets;

/// How many requests the journal keeps: the newest 10,000.
pub const JOURNAL_CAPACITY: usize = 10_000;

/// How much memory the journal's entries may take: 64 MiB. If the newest requests need more, it keeps
/// fewer of them.
pub const JOURNAL_BYTES: usize = 64 * 1024 * 1024;

/// The newest entries, in a ring.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<JournalEntry>,
    next: u64,
    /// The size of all entries.
    bytes: usize,
}

impl Ring {
    fn push(&mut self, entry: JournalEntry) {
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        self.shrink();
    }

    /// Changes an entry, whose size may change too.
    fn change(&mut self, index: usize, change: impl FnOnce(&mut JournalEntry)) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        self.bytes -= entry.bytes();
        change(entry);
        self.bytes += entry.bytes();
        self.shrink();
    }

    /// Removes the oldest entries until the rest fits. The newest one always stays.
    fn shrink(&mut self) {
        while self.entries.len() > JOURNAL_CAPACITY || (self.bytes > JOURNAL_BYTES && self.entries.len() > 1)
        {
            let oldest = self.entries.pop_front();
            self.bytes -= oldest.as_ref().map_or(0, JournalEntry::bytes);
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

impl Journal {
    /// Adds an entry and returns its sequence number.
    pub(crate) fn add(&self, mut entry: JournalEntry) -> u64 {
        let mut ring = self.lock();
        let sequence = ring.next;
        ring.next += 1;
        entry.sequence = sequence;
        ring.push(entry);
        sequence
    }

    /// Changes the entry with this sequence number, if the journal still has it.
    pub(crate) fn update(&self, sequence: u64, change: impl FnOnce(&mut JournalEntry)) {
        let mut ring = self.lock();
        let Some(first) = ring.entries.front().map(|entry| entry.sequence) else { return };
        let index = sequence.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(index) = index {
            ring.change(index, change);
        }
    }

    /// Returns all entries, the oldest first.
    pub(crate) fn entries(&self) -> Vec<JournalEntry> {
        self.lock().entries.iter().cloned().collect()
    }

    /// Returns up to `limit` of the entries for which `matches` is true, the newest first, and how many entries there
    /// are for which it is. `before` leaves out the entries with that sequence number and later ones.
    pub(crate) fn newest(
        &self,
        before: u64,
        limit: usize,
        matches: impl Fn(&JournalEntry) -> bool,
    ) -> (Vec<JournalEntry>, usize) {
        let ring = self.lock();
        let mut count = 0;
        let mut newest = Vec::new();
        for entry in ring.entries.iter().rev().filter(|entry| matches(entry)) {
            count += 1;
            if entry.sequence < before && newest.len() < limit {
                newest.push(entry.clone());
            }
        }
        (newest, count)
    }

    /// Removes all entries. Sequence numbers continue.
    pub(crate) fn clear(&self) {
        self.lock().clear();
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

    #[test]
    fn a_part_of_the_journal_is_the_newest_before_a_number() {
        let journal = Journal::default();
        for index in 0..10 {
            journal.add(JournalEntry { connection: index % 2, ..entry() });
        }
        let part = |before, limit, connection| {
            let (entries, count) = journal.newest(before, limit, |entry| entry.connection == connection);
            (entries.iter().map(JournalEntry::sequence).collect::<Vec<_>>(), count)
        };
        assert_eq!(part(u64::MAX, 2, 0), (vec![8, 6], 5));
        assert_eq!(part(6, 2, 0), (vec![4, 2], 5));
        assert_eq!(part(1, 2, 1), (vec![], 5));
        assert_eq!(part(u64::MAX, 99, 7), (vec![], 0));
    }

    /// conf: A21
    #[test]
    fn the_journal_is_bounded_in_bytes() {
        let journal = Journal::default();
        let large = |size| JournalEntry { name: "n".repeat(size), ..entry() };
        // As many as fit, besides the entries themselves.
        let (size, fit) = (JOURNAL_BYTES / 8, 7);
        for _ in 0..20 {
            journal.add(large(size));
        }
        let entries = journal.entries();
        assert_eq!((entries.len(), entries[0].sequence), (fit, 13));

        journal.update(19, |entry| entry.principal = Some("p".repeat(3 * size).into()));
        assert_eq!(journal.entries().len(), fit - 3, "an entry that has grown displaces others");
        journal.add(large(2 * JOURNAL_BYTES));
        assert_eq!(journal.entries().len(), 1, "the newest entry stays, whatever its size");
        journal.add(JournalEntry { delegates: vec![String::new(); JOURNAL_BYTES / 24], ..entry() });
        assert_eq!(journal.entries().len(), 1, "empty texts take memory too");
        for _ in 0..JOURNAL_CAPACITY {
            journal.add(entry());
        }
        assert_eq!(journal.entries().len(), JOURNAL_CAPACITY);
        journal.clear();
        assert_eq!(journal.lock().bytes, 0);
    }
}
