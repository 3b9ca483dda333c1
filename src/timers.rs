//! Whether there is a tokio runtime with timers.

use std::cell::Cell;
use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::time::sleep;

use crate::Error;

thread_local! {
    /// The runtime that this thread asked about last, and whether it has timers.
    static LAST: Cell<Option<(Id, bool)>> = const { Cell::new(None) };
}

/// Returns the current tokio runtime if it has timers. Don't call it under a lock: it calls tokio.
///
/// # Errors
///
/// `Credentials` if there is no runtime, or if its timers aren't enabled.
pub(crate) fn runtime_with_timers() -> Result<Handle, Error> {
    let Ok(runtime) = Handle::try_current() else {
        return Err(Error::credentials(
            "no token is cached, and outside of a tokio runtime none can be fetched",
            false,
        ));
    };
    let id = runtime.id();
    let known = LAST.get().filter(|(last, _)| *last == id);
    let (_, has_timers) = known.unwrap_or_else(|| (id, probe()));
    LAST.set(Some((id, has_timers)));
    match has_timers {
        true => Ok(runtime),
        false => {
            Err(Error::credentials("the tokio runtime has no timers: build it with `enable_time`", false))
        }
    }
}

/// Creates a timer to see whether that is possible.
///
/// tokio offers no other check (<https://github.com/tokio-rs/tokio/issues/8361>): without timers it
/// panics. The result is kept, so a thread of such a runtime panics once, not at each call.
fn probe() -> bool {
    catch_unwind(|| drop(sleep(Duration::ZERO))).is_ok()
}
