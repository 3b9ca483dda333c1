//! When a fetch may replace a token that an API rejected.

use std::time::Duration;

/// The time in which one more fetch for a rejected token is allowed, and the pause after the source
/// returned the rejected token. An API that rejects every token causes no storm.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// The longest pause, for a source that returns the rejected token again and again.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// How many fetches for rejected tokens may follow each other at once.
const BURST: u32 = 3;

/// What is known about rejections: of the cached token, and how many fetches they have started.
///
/// No rejection is ignored for ever. A token stays rejected until another one replaces it, even if
/// the source extends it. Until then, each pause ends, and so does the wait for the allowance.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    /// Of the cached token, if an API rejected it.
    current: Option<Rejection>,
    /// When the whole burst is allowed again. Each fetch moves it by [`PAUSE`].
    used_until: Duration,
    /// By how much the fetch in progress moved it.
    used_by_fetch: Duration,
}

/// What is known before the first rejection.
pub(super) static NO_REJECTIONS: Rejections =
    Rejections { current: None, used_until: Duration::ZERO, used_by_fetch: Duration::ZERO };

#[derive(Clone, Copy, Debug, Default)]
struct Rejection {
    /// The source returned the token again, so it isn't asked for another one before this.
    paused_until: Duration,
    /// How often the source returned the token although it was told of the rejection.
    returned: u32,
}

impl Rejections {
    /// Takes in that an API rejected the cached token. Returns whether it is the first to do so.
    pub(super) fn reject(&mut self) -> bool {
        let is_first = self.current.is_none();
        self.current.get_or_insert_default();
        is_first
    }

    /// Whether an API rejected the cached token.
    pub(super) fn is_rejected(&self) -> bool {
        self.current.is_some()
    }

    /// Whether the cached token was rejected and is to be replaced now: by the fetch in progress, or
    /// by one that may begin.
    pub(super) fn is_due(&self, now: Duration, is_fetching: bool) -> bool {
        let is_over = self.current.is_some_and(|rejection| now >= rejection.paused_until);
        is_over && (is_fetching || now >= self.allowed_from())
    }

    /// The instants from which [`is_due`](Self::is_due) may be true.
    pub(super) fn limits(&self) -> [Duration; 2] {
        [self.current.unwrap_or_default().paused_until, self.allowed_from()]
    }

    /// Takes in that a fetch began that tells the source of the rejection.
    pub(super) fn fetch_began(&mut self, now: Duration) {
        // A refresh that the program asks for may exceed the allowance. It delays nothing further.
        let whole = now.saturating_add(PAUSE * BURST);
        let before = self.used_until.max(now);
        self.used_until = before.saturating_add(PAUSE).min(whole);
        self.used_by_fetch = self.used_until.saturating_sub(before);
    }

    /// Takes in that such a fetch brought no token. The pauses after failures apply to the next one.
    pub(super) fn fetch_failed(&mut self) {
        self.used_until = self.used_until.saturating_sub(std::mem::take(&mut self.used_by_fetch));
    }

    /// Takes in that the source returned the token although it was told of the rejection.
    pub(super) fn returned_again(&mut self, now: Duration) {
        if let Some(rejection) = &mut self.current {
            let pause = PAUSE.saturating_mul(1 << rejection.returned.min(8)).min(MAX_PAUSE);
            rejection.paused_until = now.saturating_add(pause);
            rejection.returned = rejection.returned.saturating_add(1);
        }
    }

    /// Takes in that another token is cached now.
    pub(super) fn replaced(&mut self) {
        self.current = None;
    }

    fn allowed_from(&self) -> Duration {
        self.used_until.saturating_sub(PAUSE * (BURST - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Rejections of which each is followed by another token at once, until none is allowed.
    fn replacements_at_once(rejections: &mut Rejections, now: Duration) -> u32 {
        let mut count = 0;
        while { rejections.reject() } && rejections.is_due(now, false) {
            rejections.fetch_began(now);
            rejections.replaced();
            count += 1;
        }
        rejections.replaced();
        count
    }

    /// conf: A25, M31
    #[test]
    fn three_fetches_are_allowed_at_once_and_then_one_in_each_pause() {
        let mut rejections = Rejections::default();
        assert_eq!(replacements_at_once(&mut rejections, secs(0)), 3);
        for (now, allowed) in [(29, 0), (30, 1), (59, 0), (60, 1), (149, 2), (180, 2), (10_000, 3)] {
            assert_eq!(replacements_at_once(&mut rejections, secs(now)), allowed, "at {now} s");
        }
    }

    #[test]
    fn a_fetch_that_failed_is_not_counted() {
        let mut rejections = Rejections::default();
        for _ in 0..100 {
            rejections.fetch_began(secs(1));
            rejections.fetch_failed();
        }
        assert_eq!(replacements_at_once(&mut rejections, secs(1)), 3);
    }

    /// conf: M31
    #[test]
    fn refreshes_that_fail_give_back_no_more_than_they_used() {
        let mut rejections = Rejections::default();
        assert_eq!(replacements_at_once(&mut rejections, secs(0)), 3);
        for _ in 0..100 {
            rejections.fetch_began(secs(1));
            rejections.fetch_failed();
        }
        assert_eq!(replacements_at_once(&mut rejections, secs(29)), 0);
        assert_eq!(replacements_at_once(&mut rejections, secs(30)), 1);
    }

    /// conf: A1
    #[test]
    fn refreshes_that_the_program_asks_for_delay_a_replacement_by_one_pause_at_most() {
        let mut rejections = Rejections::default();
        for _ in 0..1000 {
            rejections.fetch_began(secs(1));
        }
        assert!(rejections.reject());
        assert!(!rejections.is_due(secs(30), false));
        assert!(rejections.is_due(secs(30), true), "the fetch in progress may bring another token");
        assert!(rejections.is_due(secs(31), false));
    }

    #[test]
    fn only_a_fetch_that_was_told_of_the_rejection_starts_a_pause() {
        let mut rejections = Rejections::default();
        rejections.returned_again(secs(1));
        assert!(!rejections.is_rejected());
        assert!(rejections.reject() && rejections.is_rejected() && rejections.is_due(secs(1), false));
        assert!(!rejections.reject(), "it is the second rejection");
        rejections.returned_again(secs(1));
        assert!(!rejections.is_due(secs(30), false) && !rejections.is_due(secs(30), true));
        assert!(rejections.is_due(secs(31), false));
        rejections.replaced();
        assert!(!rejections.is_rejected() && !rejections.is_due(secs(31), true));
    }
}
