//! Counts the hits of all caches, without a counter that all threads change.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;

use crate::metrics::CACHE_HITS;

/// How many counters there are. Threads beyond this number share theirs.
const STRIPES: usize = 64;

/// How long hits may be counted and not reported while caches are in use: 1 s.
pub(crate) const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A counter in cache lines of its own: processors fetch them in pairs.
#[repr(align(128))]
struct Stripe(AtomicU64);

static HITS: [Stripe; STRIPES] = [const { Stripe(AtomicU64::new(0)) }; STRIPES];

/// When the hits were last reported.
static REPORTED: Mutex<Option<Instant>> = Mutex::new(None);

thread_local! {
    static STRIPE: usize = next_stripe();
}

fn next_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
}

/// Counts a hit if the cache served a token at once.
#[inline]
pub(crate) fn hit<T>(served: Option<T>) -> Option<T> {
    if served.is_some() {
        // A thread that ends has no stripe of its own any more.
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or_default();
        HITS[stripe].0.fetch_add(1, Ordering::Relaxed);
    }
    served
}

/// Reports all hits so far.
pub(super) fn report() {
    let total = HITS.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum();
    counter!(CACHE_HITS).absolute(total);
}

/// Reports all hits so far, unless that was done a short while ago.
pub(crate) fn report_in_time() {
    let Ok(mut reported) = REPORTED.try_lock() else { return };
    let now = Instant::now();
    // A clock that was paused in a test may have been ahead.
    if reported.is_none_or(|last| now < last || now - last >= REPORT_EVERY) {
        *reported = Some(now);
        drop(reported);
        report();
    }
}
