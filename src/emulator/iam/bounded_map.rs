//! A map of bounded size: it forgets what is over first, and then what is oldest.

use std::hash::Hash;
use std::sync::Arc;
use std::time::SystemTime;

use indexmap::IndexMap;

/// How much memory the entries of one map may take: 64 MiB.
pub(crate) const MAP_BYTES: usize = 64 * 1024 * 1024;

/// The size at which entries that are over are first removed. They are removed again each time the map has
/// doubled.
const FIRST_SWEEP: usize = 1024 * 1024;

/// A map that keeps its newest entries.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    /// From the oldest to the newest.
    entries: IndexMap<K, V>,
    /// The size of all entries.
    bytes: usize,
    sweep_at: usize,
    limit: usize,
}

impl<K, V> Default for BoundedMap<K, V> {
    fn default() -> Self {
        Self::with_limit(MAP_BYTES)
    }
}

impl<K, V> BoundedMap<K, V> {
    fn with_limit(limit: usize) -> Self {
        Self { entries: IndexMap::new(), bytes: 0, sweep_at: FIRST_SWEEP.min(limit), limit }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// Removes all entries.
    pub(crate) fn clear(&mut self) {
        *self = Self::with_limit(self.limit);
    }
}

impl<K: Hash + Eq + HeapBytes, V: HeapBytes> BoundedMap<K, V> {
    pub(crate) fn get<Q: Hash + indexmap::Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.entries.get(key)
    }

    /// Returns a value to change, whose size stays as it is.
    pub(crate) fn get_mut<Q: Hash + indexmap::Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(crate) fn contains_key<Q: Hash + indexmap::Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.entries.contains_key(key)
    }

    /// Inserts the newest entry, or replaces a value. From time to time removes the entries that are over
    /// according to `is_over`. If the rest is still too large, removes the oldest ones until an eighth of the
    /// limit is free. The newest entry always stays.
    pub(crate) fn insert(&mut self, key: K, value: V, is_over: impl Fn(&V) -> bool) {
        let key_bytes = size_of::<K>() + key.heap_bytes();
        let size = key_bytes + size_of::<V>() + value.heap_bytes();
        if self.bytes + size > self.sweep_at {
            self.retain(|_, value| !is_over(value));
            self.make_room(size);
            self.sweep_at = self.bytes.saturating_mul(2).clamp(FIRST_SWEEP.min(self.limit), self.limit);
        }
        self.bytes += size;
        let (index, old) = self.entries.insert_full(key, value);
        if let Some(old) = old {
            self.bytes -= key_bytes + size_of::<V>() + old.heap_bytes();
            self.entries.move_index(index, self.entries.len() - 1);
        }
    }

    /// Removes an entry, and returns its value.
    pub(crate) fn remove<Q: Hash + indexmap::Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<V> {
        let (key, value) = self.entries.shift_remove_entry(key)?;
        self.bytes -= size(&key, &value);
        Some(value)
    }

    /// Keeps only the entries for which `keep` returns `true`.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let mut bytes = 0;
        self.entries.retain(|key, value| {
            let kept = keep(key, value);
            bytes += if kept { size(key, value) } else { 0 };
            kept
        });
        self.bytes = bytes;
    }

    /// Removes the oldest entries if one of that size and an eighth of the limit don't fit.
    fn make_room(&mut self, size: usize) {
        let target = (self.limit - self.limit / 8).saturating_sub(size);
        if self.bytes <= target {
            return;
        }
        let mut removed = 0;
        for (key, value) in &self.entries {
            if self.bytes <= target {
                break;
            }
            self.bytes -= self::size(key, value);
            removed += 1;
        }
        self.entries.drain(..removed);
    }
}

/// The size of an entry.
fn size<K: HeapBytes, V: HeapBytes>(key: &K, value: &V) -> usize {
    size_of::<K>() + key.heap_bytes() + size_of::<V>() + value.heap_bytes()
}

/// What knows the memory that it takes besides itself. What is shared counts each time.
pub(crate) trait HeapBytes {
    fn heap_bytes(&self) -> usize;
}

impl HeapBytes for () {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<const N: usize> HeapBytes for [u8; N] {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl HeapBytes for SystemTime {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl HeapBytes for String {
    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

impl HeapBytes for Arc<str> {
    fn heap_bytes(&self) -> usize {
        self.len()
    }
}

impl HeapBytes for Arc<[String]> {
    fn heap_bytes(&self) -> usize {
        self.iter().map(|text| size_of::<String>() + text.len()).sum()
    }
}

impl<A: HeapBytes, B: HeapBytes> HeapBytes for (A, B) {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn text(length: usize) -> String {
        "x".repeat(length)
    }

    /// conf: S10
    #[test]
    fn what_is_over_goes_first_and_then_the_oldest() {
        let mut map = BoundedMap::<String, String>::with_limit(100_000);
        let key = |number: usize| format!("{number:08}");
        // Each entry takes 1000 bytes. Every third one is over.
        let fill = 1000 - 2 * size_of::<String>() - 8;
        let is_over = |value: &String| value.len() > fill - 1 && value.starts_with('o');
        for number in 0..100 {
            let value = if number % 3 == 0 { format!("o{}", text(fill - 1)) } else { text(fill) };
            map.insert(key(number), value, is_over);
        }
        assert_eq!(map.iter().count(), 100, "they fit");
        map.insert(key(100), text(fill), is_over);
        let expected: Vec<_> =
            (0..=100).filter(|number| number % 3 != 0 || *number == 100).map(key).collect();
        assert_eq!(map.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), expected);

        for number in 101..1000 {
            map.insert(key(number), text(fill), |_| false);
            assert!(map.bytes <= 100_000);
        }
        let kept = map.iter().count();
        assert!((87..=100).contains(&kept), "{kept}");
        assert!(
            map.get(&key(999)).is_some()
                && map.get(&key(1000 - kept)).is_some()
                && map.get(&key(100)).is_none()
        );
        map.insert(key(1000), text(200_000), |_| false);
        assert_eq!(map.iter().count(), 1, "the newest entry stays, whatever its size");
        map.insert(key(1001), text(1), |_| false);
        assert_eq!(map.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["00001001"]);
    }

    #[test]
    fn entries_that_are_over_are_removed_long_before_the_limit() {
        let mut map = BoundedMap::<String, String>::default();
        for number in 0..20_000_usize {
            map.insert(number.to_string(), text(1000), |_| true);
            assert!(map.bytes <= FIRST_SWEEP + 2000);
        }
    }

    proptest! {
        /// conf: S10
        #[test]
        fn the_size_is_that_of_the_entries_and_never_more_than_the_limit(
            steps in proptest::collection::vec((0..3_u8, 0..20_u32, 0..600_usize), 0..200)
        ) {
            let mut map = BoundedMap::<String, String>::with_limit(5000);
            let mut model = BTreeMap::new();
            for (step, key, length) in steps {
                let key = key.to_string();
                match step {
                    0 if length % 8 == 0 => map.retain(|key, _| key.len() == 1),
                    0 => {
                        let was_there = map.contains_key(&key);
                        prop_assert_eq!(map.remove(&key).is_some(), was_there);
                        prop_assert!(!map.contains_key(&key));
                    }
                    _ => {
                        map.insert(key.clone(), text(length), |value| value.len() % 2 == 1);
                        model.insert(key.clone(), length);
                        prop_assert_eq!(map.get(&key).map(String::len), Some(length));
                    }
                }
                let sum: usize = map.iter().map(|(key, value)| size(key, value)).sum();
                prop_assert_eq!(map.bytes, sum);
                prop_assert!(sum <= 5000);
                for (key, value) in map.iter() {
                    prop_assert_eq!(model.get(key), Some(&value.len()));
                }
            }
        }
    }
}
