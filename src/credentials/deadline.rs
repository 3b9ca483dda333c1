//! Until when a caller waits for a fetch.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::LOST_AFTER;
use crate::source::FetchRequest;

/// After so long without a result, a fetch is lost.
pub(super) const FETCH_LOST_AFTER: Duration = FetchRequest::TIME_LIMIT.saturating_add(LOST_AFTER);

/// How long a caller without a deadline waits for a fetch that has to wait for its turn.
const LINE_TIME_LIMIT: Duration = Duration::from_secs(300);

/// Until when a caller waits.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    /// The same, if the fetch has to wait for its turn.
    pub(super) in_line: Instant,
}

impl Deadline {
    /// The deadline of a caller that sets none: late enough to see a fetch end at its own deadline.
    pub(super) fn by_default() -> Self {
        let now = Instant::now();
        Self { at: now + FETCH_LOST_AFTER, in_line: now + LINE_TIME_LIMIT }
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self { at, in_line: at }
    }
}
