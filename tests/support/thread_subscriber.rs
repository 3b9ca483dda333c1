//! A subscriber of one thread that misses nothing, whatever other threads trace first.

use std::sync::LazyLock;

use tracing::subscriber::{DefaultGuard, NoSubscriber, Subscriber};
use tracing::{Dispatch, dispatcher};

/// Two subscribers that want nothing.
///
/// While a process has only one subscriber, tracing asks the current thread's about a new span or
/// event, and keeps the answer for all threads: a thread without a subscriber then hides it from
/// the thread that has one. With several subscribers it asks them all.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [Dispatch::new(NoSubscriber::new()), Dispatch::new(NoSubscriber::new())]);

/// Sets this thread's subscriber until the guard is dropped.
pub(crate) fn set(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    LazyLock::force(&OTHERS);
    dispatcher::set_default(&Dispatch::new(subscriber))
}
