//! What readers see of the cache without its lock: the token, and until when it may be served.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::instant::{Limit, Now, nanos};
use crate::Token;
use crate::measurements::REPORT_EVERY;
use crate::per_thread::{PROCESS, PerThread};

/// For how long one reading of the wall clock is trusted.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// A token that may be served without a lock.
pub(super) struct Snapshot {
    /// Its copies end with the snapshot, so no thread can read one of a token that was replaced.
    token: PerThread<Token>,
    generation: u64,
    /// The token is good until then, according to both clocks when the wall clock was last read.
    /// In nanoseconds on the monotonic clock, like `end`.
    good_until: AtomicU64,
    end: u64,
    /// The end on the wall clock, in nanoseconds since 1970. The greatest number is never, like for `end`.
    wall_end: u64,
}

impl Snapshot {
    pub(super) fn new(token: Token, generation: u64, end: Limit, now: Now) -> Self {
        let snapshot = Self {
            token: PerThread::new(token),
            generation,
            good_until: AtomicU64::new(0),
            end: end.mono.map_or(u64::MAX, nanos),
            wall_end: end.wall.map_or(u64::MAX, since_1970),
        };
        snapshot.check_both_clocks(now);
        snapshot
    }

    #[inline]
    pub(super) fn token(&self) -> &Token {
        self.token.get(&PROCESS)
    }

    /// The generation of the token: see [`State::generation`](super::state::State::generation).
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the token is good, by the monotonic clock and the last reading of the wall clock.
    #[inline]
    pub(super) fn is_good(&self, mono: u64) -> bool {
        mono < self.good_until.load(Ordering::Relaxed)
    }

    /// Whether the token is good by both clocks. If it is, [`is_good`](Self::is_good) says so for
    /// up to [`WALL_CLOCK_INTERVAL`], but not past the end by this reading.
    #[cold]
    pub(super) fn check_both_clocks(&self, now: Now) -> bool {
        self.token.begin_window();
        let mono = nanos(now.mono);
        let wall_left = self.wall_end.saturating_sub(since_1970(now.wall));
        let good_until = match wall_left {
            // Readers have to come by again, to report what they counted.
            _ if self.wall_end == u64::MAX => self.end.min(mono.saturating_add(nanos(REPORT_EVERY))),
            0 => 0,
            left => self.end.min(mono.saturating_add(left.min(nanos(WALL_CLOCK_INTERVAL)))),
        };
        // A reader that still sees the old value sees one that was true within the interval.
        self.good_until.store(good_until, Ordering::Relaxed);
        mono < good_until
    }
}

/// Nanoseconds on the wall clock. The years before 1970 are its beginning.
fn since_1970(wall: SystemTime) -> u64 {
    nanos(wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::Credentials;

    const ROUNDS: usize = 20;
    const THREADS: usize = 4;

    fn number(token: &Token) -> usize {
        token.secret().parse().unwrap()
    }

    /// Reads as `cached` and as the layer do, and checks that no read returns a token older than the newest
    /// that anyone had when the read began.
    fn read(credentials: &Credentials, newest: &AtomicUsize, reads: &AtomicUsize, ends: &AtomicBool) {
        while !ends.load(Ordering::Relaxed) {
            let least = newest.load(Ordering::SeqCst);
            let token = credentials.cached().unwrap();
            assert!(number(&token) >= least, "{} after {least}", number(&token));
            let least = newest.load(Ordering::SeqCst);
            let mut shown = None;
            credentials.show_fresh(|token| shown = Some(number(token))).unwrap();
            assert!(shown >= Some(least), "{shown:?} was shown after {least}");
            reads.fetch_add(2, Ordering::Relaxed);
        }
    }

    /// conf: N11
    #[test]
    fn no_thread_reads_a_token_that_was_replaced_before_the_read_began() {
        let fetched = Arc::new(AtomicUsize::new(0));
        let credentials = Credentials::from_fn(move || {
            let number = fetched.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Token::new(number.to_string(), SystemTime::now() + Duration::from_secs(3600)) }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(credentials.token()).unwrap();
        let (newest, reads, ends) = (AtomicUsize::new(1), AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let readers: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| read(&credentials, &newest, &reads, &ends))).collect();
            for _ in 0..ROUNDS {
                let before = reads.load(Ordering::Relaxed);
                while reads.load(Ordering::Relaxed) - before < 5000 {
                    if readers.iter().any(|reader| reader.is_finished()) {
                        // It panicked, which ends the test when all have ended.
                        ends.store(true, Ordering::Relaxed);
                        return;
                    }
                    thread::yield_now();
                }
                let token = runtime.block_on(credentials.refresh()).unwrap();
                newest.store(number(&token), Ordering::SeqCst);
            }
            ends.store(true, Ordering::Relaxed);
        });
        assert_eq!(newest.into_inner(), ROUNDS + 1);
    }

    /// conf: N11
    #[test]
    fn a_token_that_is_read_often_is_read_from_a_copy() {
        let snapshot = Snapshot::new(
            Token::new("secret", None).unwrap(),
            1,
            Limit { mono: None, wall: None },
            Now { mono: Duration::ZERO, wall: SystemTime::UNIX_EPOCH },
        );
        let place = || snapshot.token().header_value().as_bytes().as_ptr();
        let original = place();
        for _ in 0..2000 {
            snapshot.token();
        }
        let processors = thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(place() != original, processors > 1);
        assert!(snapshot.token().is_same(&Token::new("secret", None).unwrap()));
    }
}
