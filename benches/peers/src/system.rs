//! What the operating system knows about this process.

use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

use crate::BoxError;

/// Allows as many open files as the system lets this process have: a connection is one.
pub fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Returns the processor time of this process, in user mode and in the kernel.
pub fn cpu_time() -> Result<Duration, BoxError> {
    usage(UsageWho::RUSAGE_SELF)
}

/// Returns the processor time of all children that have ended.
pub fn cpu_time_of_children() -> Result<Duration, BoxError> {
    usage(UsageWho::RUSAGE_CHILDREN)
}

fn usage(who: UsageWho) -> Result<Duration, BoxError> {
    let usage = getrusage(who)?;
    let [user, system] = [usage.user_time(), usage.system_time()].map(|time| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    });
    Ok(user + system)
}
