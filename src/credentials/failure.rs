//! How a fetch failed.

use std::time::Duration;

use crate::Error;
use crate::error::{ServiceError, code_name};

/// For how long a transient failure is replayed if there is no token.
pub(super) const TRANSIENT_REPLAY: Duration = Duration::from_secs(1);
/// For how long a permanent failure is replayed if there is no token.
pub(super) const PERMANENT_REPLAY: Duration = Duration::from_secs(5);

/// A fetch that is overdue by this much is lost: its runtime is blocked or gone.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(1);

/// How a fetch failed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The source returned an error, or a token that can't be used.
    Reported(Error),
    /// The source didn't answer before the deadline.
    TimedOut,
    /// The source panicked.
    Panicked,
}

impl Failure {
    pub(super) fn to_error(&self) -> Error {
        match self {
            Self::Reported(error) => error.clone(),
            Self::TimedOut => Error::timeout("the source returned no token in time", None),
            Self::Panicked => Error::credentials("the source panicked", true),
        }
    }

    /// For how long the failure is replayed if there is no token. After a panic the source is
    /// asked again by the next call.
    pub(super) fn replay(&self, error: &Error) -> Duration {
        match self {
            Self::Panicked => Duration::ZERO,
            Self::Reported(_) | Self::TimedOut if error.is_transient() => TRANSIENT_REPLAY,
            Self::Reported(_) | Self::TimedOut => PERMANENT_REPLAY,
        }
    }
}

/// Logs that a fetch failed. If it took a while, `took` is that in milliseconds.
pub(super) fn warn_of_failure(
    error: &Error,
    principal: Option<&str>,
    took: Option<u64>,
    next_in: Option<Duration>,
    still_alive: bool,
) {
    let (kind, code, service) = (error.kind(), code_name(error.code()), error.service());
    let reason = service.and_then(ServiceError::reason);
    let permission = service.and_then(ServiceError::permission);
    tracing::warn!(
        principal,
        ?kind,
        code,
        reason,
        permission,
        took,
        ?next_in,
        still_alive,
        error = %error.in_one_line(),
        "the token could not be fetched"
    );
}
