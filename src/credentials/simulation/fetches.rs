//! The promises about fetches: one at a time, and never too many.

use std::time::Duration;

use super::clocks::Clocks;
use super::known::{Known, Sent};

/// What a timer may be late.
pub(super) const TICK: Duration = Duration::from_millis(3);
/// A fetch ends after this at the latest. A second later, one that is stuck is replaced.
pub(super) const FETCH_LIMIT: Duration = Duration::from_secs(60);
pub(super) const LOST_AFTER: Duration = Duration::from_secs(61);
/// Rejections start this many fetches at once, and then one in each pause.
const REJECTION_BURST: u32 = 3;
pub(super) const REJECTION_PAUSE: Duration = Duration::from_secs(30);

/// A fetch in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    pub(super) id: u64,
    pub(super) sent: Sent,
    /// Whether the source was told that its last token was rejected.
    pub(super) told: bool,
    /// Whether it runs on a runtime that doesn't go on.
    pub(super) stuck: bool,
    /// Whether only a rejection can be its reason.
    by_rejection: bool,
    /// The source's revision when it began.
    pub(super) revision: u64,
}

/// How the last fetch ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    Succeeded,
    Failed {
        at: Duration,
        kind: FailureKind,
        /// The source's revision when the fetch began.
        revision: u64,
        /// When the last part of the token's life was to begin, if it hadn't begun.
        last_part_at: Option<Duration>,
    },
    /// With its runtime.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FailureKind {
    Transient,
    Permanent,
    Panic,
}

/// Which fetch a caller may demand now, whatever is cached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demanded {
    /// A program asked for a refresh.
    pub(super) refresh: bool,
    /// A caller that retries by itself gets no transient failure again.
    pub(super) retry: bool,
}

#[derive(Debug, Default)]
pub(super) struct Fetches {
    pub(super) count: u64,
    pub(super) active: Option<Fetch>,
    pub(super) last: Option<Ended>,
    failures_in_a_row: u32,
    /// When the fetches began that told the source of a rejection.
    told: Vec<Duration>,
    /// When the fetches began that only a rejection explains, and that didn't fail.
    by_rejection: Vec<Duration>,
}

impl Fetches {
    /// Takes in that a fetch begins. Returns the promise that it breaks.
    pub(super) fn begin(
        &mut self,
        told: bool,
        stuck: bool,
        revision: u64,
        demanded: Demanded,
        current: Option<&Known>,
        clocks: &Clocks,
    ) -> Result<u64, String> {
        let sent = Sent { mono: clocks.mono(), wall: clocks.wall() };
        self.count += 1;
        self.told.extend(told.then_some(sent.mono));
        let one_at_a_time = match self.active {
            Some(other) if !other.stuck => Err("two fetches at once".to_owned()),
            Some(other) if sent.mono + TICK < other.sent.mono + LOST_AFTER => {
                Err("a stuck fetch is replaced too early".to_owned())
            }
            _ => Ok(()),
        };
        let by_rejection = match demanded.refresh || one_at_a_time.is_err() {
            true => Ok(false),
            false => self.explain(revision, demanded, current, clocks),
        };
        let is_by_rejection = by_rejection == Ok(true);
        self.active =
            Some(Fetch { id: self.count, sent, told, stuck, by_rejection: is_by_rejection, revision });
        one_at_a_time.and(by_rejection).map(|_| self.count)
    }

    /// Finds the reason of a fetch that begins now. Returns whether only a rejection explains it.
    fn explain(
        &self,
        revision: u64,
        demanded: Demanded,
        current: Option<&Known>,
        clocks: &Clocks,
    ) -> Result<bool, String> {
        let Some(known) = current else {
            return self.check_pause(revision, demanded, None, clocks).map(|()| false);
        };
        let (least, _) = known.left_range(clocks);
        let is_old = least <= known.renewed_at + TICK;
        let pause_over = |(_, at)| clocks.mono() + TICK >= at + REJECTION_PAUSE;
        let is_rejected = known.rejected && known.returned.is_none_or(pause_over);
        if !is_old && !is_rejected {
            return Err(format!("a fetch without a reason: {least:?} are left of {known:?}"));
        }
        self.check_pause(revision, demanded, current, clocks).map(|()| !is_old)
    }

    /// After a failure, the source gets a pause, unless it is replaced.
    fn check_pause(
        &self,
        revision: u64,
        demanded: Demanded,
        current: Option<&Known>,
        clocks: &Clocks,
    ) -> Result<(), String> {
        let Some(Ended::Failed { at, kind, revision: failed, last_part_at }) = self.last else {
            return Ok(());
        };
        if revision != failed {
            return Ok(());
        }
        let (least, most) = current.map_or_else(Default::default, |known| known.left_range(clocks));
        let replay = match demanded.retry && kind != FailureKind::Permanent {
            true => Duration::ZERO,
            false => replay(kind),
        };
        let pause = match (least.is_zero(), most.is_zero()) {
            (_, true) => replay,
            (true, false) => replay.min(self.backoff()),
            (false, false) => self.backoff(),
        };
        // In the last part of the life callers have to wait, so the source is asked when it begins.
        let now = clocks.mono() + TICK;
        let is_last_part = !most.is_zero() && last_part_at.is_some_and(|begin| now >= begin);
        match now >= at + pause || is_last_part {
            true => Ok(()),
            false => Err(format!("a pause of less than {pause:?} after {} failures", self.failures_in_a_row)),
        }
    }

    /// The least pause after this many failures, while a token is live.
    fn backoff(&self) -> Duration {
        let doubled = Duration::from_secs(1 << (self.failures_in_a_row.max(1) - 1).min(6));
        doubled.min(Duration::from_secs(30)) / 2
    }

    /// Takes in that the fetch in progress brought a token. Returns the promise that is broken.
    pub(super) fn succeeded(&mut self) -> Result<(), String> {
        self.last = Some(Ended::Succeeded);
        self.failures_in_a_row = 0;
        let Some(fetch) = self.active.take().filter(|fetch| fetch.by_rejection) else { return Ok(()) };
        self.by_rejection.push(fetch.sent.mono);
        for (count, first) in (1..).zip(self.by_rejection.iter().rev()) {
            let time = fetch.sent.mono - *first;
            if count > REJECTION_BURST + ((time + TICK).as_secs() / REJECTION_PAUSE.as_secs()) as u32 {
                return Err(format!("rejections started {count} fetches within {time:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn failed(&mut self, kind: FailureKind, current: Option<&Known>, clocks: &Clocks) {
        let at = clocks.mono();
        let left = current.map(|known| known.left(clocks).saturating_sub(known.last_part));
        let last_part_at = left.filter(|left| !left.is_zero()).map(|left| at.saturating_add(left));
        let revision = self.active.take().map_or(0, |fetch| fetch.revision);
        self.failures_in_a_row += 1;
        self.last = Some(Ended::Failed { at, kind, revision, last_part_at });
    }

    /// Whether one more rejection must start a fetch at once.
    pub(super) fn allow_a_rejection(&self, clocks: &Clocks) -> bool {
        let full = clocks.mono().saturating_sub(REJECTION_PAUSE * REJECTION_BURST);
        let recent = self.told.iter().filter(|began| **began >= full).count();
        self.active.is_none() && self.failures_in_a_row == 0 && recent < REJECTION_BURST as usize
    }

    pub(super) fn abandoned(&mut self) {
        self.active = None;
        self.last = Some(Ended::Abandoned);
    }
}

/// How long a failure is returned again at least, if there is no token.
fn replay(kind: FailureKind) -> Duration {
    match kind {
        FailureKind::Transient => Duration::from_millis(500),
        FailureKind::Permanent => Duration::from_millis(2500),
        FailureKind::Panic => Duration::ZERO,
    }
}
