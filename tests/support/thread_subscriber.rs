//! A subscriber of one thread that misses nothing, whatever other threads trace first.

use std::sync::LazyLock;

use tracing::Dispatch;
use tracing::subscriber::{NoSubscriber, Subscriber};

/// Two subscribers that want nothing.
///
/// While a process has only one subscriber, tracing asks the current thread's about a new span or
/// event, and keeps the answer for all threads: a thread without a subscriber then hides it from
/// the thread that has one. With several subscribers it asks them all.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [Dispatch::new(NoSubscriber::new()), Dispatch::new(NoSubscriber::new())]);

/// Makes a subscriber ready to be that of a thread.
pub(crate) fn dispatch(subscriber: impl Subscriber + Send + Sync + 'static) -> Dispatch {
    LazyLock::force(&OTHERS);
    Dispatch::new(subscriber)
}
