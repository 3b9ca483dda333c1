//! A value that many threads clone at once, without counting references in the same memory.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use http::HeaderValue;

/// How many reads within one window make copies pay. Before that, all threads read the same value.
const OFTEN: u32 = 1_000;
/// Of one value there are at most so many copies. More threads share them.
const MAX_SLOTS: usize = 64;
/// How much memory all copies of the process take at most, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// A value of which each thread reads a copy that is its own, once the value is read often.
///
/// A clone of a header value counts a reference. Threads that do so at once wait for each other, because
/// the counter moves from core to core. The copies belong to this value and are dropped with it, so a
/// thread can't read a copy of what isn't current any more.
#[derive(Debug)]
pub(crate) struct PerThread<T> {
    value: T,
    /// The reads since the window began, until there are copies. Some at the same time may count as one.
    reads: AtomicU32,
    copies: OnceLock<Box<Copies<T>>>,
}

/// A value that can be copied.
pub(crate) trait Copyable: Clone {
    /// Returns a copy whose clones write to no memory that the original's clones write to.
    fn copied(&self) -> Self;
    /// About how much memory a copy takes beside its place, in bytes.
    fn bytes(&self) -> usize;
}

#[derive(Debug)]
struct Copies<T> {
    slots: Box<[OnceLock<T>]>,
    /// What these copies have taken of the limit, in bytes.
    taken: AtomicUsize,
    limit: &'static CopyLimit,
}

/// Bounds how many copies there are. If no further ones are allowed, threads read the original.
#[derive(Debug)]
pub(crate) struct CopyLimit {
    /// How much memory further copies may take, in bytes.
    room: AtomicUsize,
    /// How many copies of one value there may be.
    slots: OnceLock<usize>,
}

/// The limit of the process.
pub(crate) static PROCESS: CopyLimit = CopyLimit::new(MAX_BYTES);

impl<T: Copyable> PerThread<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value, reads: AtomicU32::new(0), copies: OnceLock::new() }
    }

    #[cfg(test)]
    fn original(&self) -> &T {
        &self.value
    }

    /// Returns this thread's copy, or the original if there is no copy.
    #[inline]
    pub(crate) fn get(&self, limit: &'static CopyLimit) -> &T {
        if let Some(copies) = self.copies.get() {
            return copies.get(&self.value);
        }
        let reads = self.reads.load(Ordering::Relaxed);
        if reads < OFTEN {
            self.reads.store(reads + 1, Ordering::Relaxed);
            return &self.value;
        }
        self.first_copy(limit)
    }

    /// Begins a window: only reads from now on make the value one that is read often.
    pub(crate) fn begin_window(&self) {
        self.reads.store(0, Ordering::Relaxed);
    }

    #[cold]
    fn first_copy(&self, limit: &'static CopyLimit) -> &T {
        let slots = limit.slots();
        // A single thread gains nothing.
        if slots < 2 || self.copies.get().is_none() && !self.begin_copies(slots, limit) {
            return &self.value;
        }
        self.copies.get().map_or(&self.value, |copies| copies.get(&self.value))
    }

    fn begin_copies(&self, slots: usize, limit: &'static CopyLimit) -> bool {
        let bytes = slots * size_of::<OnceLock<T>>() + size_of::<Copies<T>>();
        if !limit.take(bytes) {
            return false;
        }
        let slots = std::iter::repeat_with(OnceLock::new).take(slots).collect();
        // If another thread was faster, these copies are dropped, which gives their memory back.
        let _ = self.copies.set(Box::new(Copies { slots, taken: AtomicUsize::new(bytes), limit }));
        true
    }
}

impl<T: Copyable> Copies<T> {
    #[inline]
    fn get<'a>(&'a self, original: &'a T) -> &'a T {
        match self.slot().and_then(OnceLock::get) {
            Some(copy) => copy,
            None => self.make(original),
        }
    }

    /// Returns the place of this thread's copy.
    #[inline]
    fn slot(&self) -> Option<&OnceLock<T>> {
        // Their number is a power of two.
        self.slots.get(thread_number() & (self.slots.len() - 1))
    }

    /// Makes this thread's copy. The thread that will use it allocates it, so it is near that.
    #[cold]
    fn make<'a>(&'a self, original: &'a T) -> &'a T {
        let (Some(slot), bytes) = (self.slot(), original.bytes()) else { return original };
        if !self.limit.take(bytes) {
            return original;
        }
        match slot.set(original.copied()) {
            Ok(()) => _ = self.taken.fetch_add(bytes, Ordering::Relaxed),
            // A thread with the same place was faster.
            Err(_) => self.limit.give_back(bytes),
        }
        slot.get().unwrap_or(original)
    }
}

impl<T> Drop for Copies<T> {
    fn drop(&mut self) {
        self.limit.give_back(*self.taken.get_mut());
    }
}

impl CopyLimit {
    pub(crate) const fn new(bytes: usize) -> Self {
        Self { room: AtomicUsize::new(bytes), slots: OnceLock::new() }
    }

    /// One slot for each thread that can run at the same time.
    fn slots(&self) -> usize {
        *self.slots.get_or_init(|| {
            let threads = thread::available_parallelism().map_or(1, usize::from);
            threads.next_power_of_two().min(MAX_SLOTS)
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |room: usize| room.checked_sub(bytes);
        // Usually there is room, or there hasn't been any for a long time: then nobody writes.
        less(self.room.load(Ordering::Relaxed)).is_some()
            && self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.room.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Returns the number of this thread. Threads that begin to read one after the other have consecutive ones.
#[inline]
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(1);
    thread_local! {
        /// 0 before the first use.
        static NUMBER: Cell<usize> = const { Cell::new(0) };
    }
    match NUMBER.get() {
        0 => {
            let number = THREADS.fetch_add(1, Ordering::Relaxed).max(1);
            NUMBER.set(number);
            number
        }
        number => number,
    }
}

/// The text of a copied header value. Its alignment leaves the counter in front of it alone in its cache
/// lines, which processors load in pairs.
#[repr(align(128))]
struct OwnText(Box<[u8]>);

impl AsRef<[u8]> for OwnText {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Copyable for HeaderValue {
    fn copied(&self) -> Self {
        let text = Bytes::from_owner(OwnText(self.as_bytes().into()));
        // It is as legal as the original.
        let mut copy = Self::from_maybe_shared(text).unwrap_or_else(|_| self.clone());
        copy.set_sensitive(self.is_sensitive());
        copy
    }

    fn bytes(&self) -> usize {
        self.len() + 2 * size_of::<OwnText>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn limit(bytes: usize, slots: usize) -> &'static CopyLimit {
        let limit = CopyLimit::new(bytes);
        limit.slots.set(slots).unwrap();
        Box::leak(Box::new(limit))
    }

    fn room(limit: &CopyLimit) -> usize {
        limit.room.load(Ordering::Relaxed)
    }

    fn value(text: &str) -> PerThread<HeaderValue> {
        let mut value = HeaderValue::from_str(text).unwrap();
        value.set_sensitive(true);
        PerThread::new(value)
    }

    /// Reads so often that there are copies, if they are allowed, and returns where the text is.
    fn place_of_often_read(value: &PerThread<HeaderValue>, limit: &'static CopyLimit) -> usize {
        for _ in 0..OFTEN {
            value.get(limit);
        }
        value.get(limit).as_bytes().as_ptr() as usize
    }

    fn original_place(value: &PerThread<HeaderValue>) -> usize {
        value.original().as_bytes().as_ptr() as usize
    }

    /// conf: N11
    #[test]
    fn a_value_that_is_read_often_has_an_equal_copy_for_each_thread() {
        let (value, limit) = (value("secret"), limit(1 << 20, 64));
        for _ in 0..OFTEN {
            assert_eq!(value.get(limit).as_bytes().as_ptr() as usize, original_place(&value));
        }
        let barrier = Barrier::new(8);
        let mut places: Vec<usize> = thread::scope(|scope| {
            let read = || {
                barrier.wait();
                let copy = value.get(limit).clone();
                assert!(copy == *value.original() && copy.is_sensitive());
                assert!(!format!("{value:?}").contains("secret"));
                place_of_often_read(&value, limit)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(!places.contains(&original_place(&value)));
        places.sort_unstable();
        places.dedup();
        // Other tests number threads at the same time, so two of these may share a place.
        assert!(places.len() >= 4, "{} copies", places.len());
    }

    /// conf: N12
    #[test]
    fn a_value_that_is_read_seldom_has_no_copy() {
        let (value, limit) = (value("x"), limit(1 << 20, 8));
        for _ in 0..100 {
            for _ in 0..OFTEN - 1 {
                value.get(limit);
            }
            value.begin_window();
        }
        assert!(value.copies.get().is_none());
        assert_eq!(room(limit), 1 << 20);
    }

    /// conf: N12
    #[test]
    fn copies_stay_within_the_limit_and_end_with_their_value() {
        const BYTES: usize = 64 << 10;
        let (limit, text) = (limit(BYTES, 8), "x".repeat(4096));
        for _ in 0..20 {
            let values: Vec<_> = (0..20).map(|_| value(&text)).collect();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| values.iter().for_each(|value| _ = place_of_often_read(value, limit)));
                }
            });
            let copies = values.iter().filter_map(|value| value.copies.get());
            let bytes: usize = copies
                .map(|copies| {
                    let made = copies.slots.iter().filter(|slot| slot.get().is_some()).count();
                    copies.slots.len() * size_of::<OnceLock<HeaderValue>>() + made * text.len()
                })
                .sum();
            assert!((BYTES / 2..=BYTES).contains(&bytes), "{bytes} bytes");
            drop(values);
            assert_eq!(room(limit), BYTES, "not all was given back");
        }
    }

    /// conf: N12
    #[test]
    fn without_room_or_with_one_processor_the_original_is_read() {
        for limit in [limit(0, 8), limit(1 << 20, 1)] {
            let value = value("x");
            assert_eq!(place_of_often_read(&value, limit), original_place(&value));
        }
    }
}
