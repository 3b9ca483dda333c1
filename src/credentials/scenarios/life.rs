//! A token's life: fetched, fresh, stale, about to expire, expired.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::{millis, run, secs};
use super::scenarios;
use super::source::Answer::{After, Expired, ForEver, Lives, Same};
use crate::source::{CacheHints, FetchReason};

scenarios! {
    /// conf: P1
    a_new_handle_has_no_token_and_fetches_none: [
        Cached(None), Advance(secs(3600)), Cached(None), Fetches(0),
    ];

    /// conf: P12, P27, G76
    a_second_use_within_the_lifetime_fetches_nothing: [
        Get(Token(1)), Asked(FetchReason::Empty, None), Get(Token(1)), Cached(Some(1)), Fetches(1),
    ];

    /// conf: P18
    outside_the_threshold_nothing_is_refreshed: [
        Get(Token(1)), Advance(secs(3600 - 225 - 1)), Get(Token(1)), Get(Token(1)), Fetches(1),
    ];

    /// conf: P17, P30
    at_the_threshold_the_old_token_is_served_and_one_refresh_starts: [
        Get(Token(1)), Advance(secs(3600 - 225)),
        Get(Token(1)), Asked(FetchReason::Expiring, None), Get(Token(2)), Fetches(2),
        Advance(secs(3600 - 225 - 1)), Get(Token(2)), Fetches(2),
    ];

    /// conf: P27, G77
    after_expiry_there_is_exactly_one_new_fetch: [
        Get(Token(1)), Advance(secs(3600)), Cached(None), Get(Token(2)), Get(Token(2)), Fetches(2),
    ];

    /// conf: G77
    shortly_before_expiry_callers_wait_for_the_new_token: [
        Get(Token(1)), Source(After(secs(1))), Advance(secs(3600 - 10)),
        Wait("a"), Wait("b"), Advance(millis(999)), StillWaiting("a"), StillWaiting("b"),
        Advance(millis(1)), Got("a", Token(2)), Got("b", Token(2)), Fetches(2),
    ];

    /// conf: G80
    jitter_refreshes_earlier_by_up_to_a_fifth_of_the_margin: [
        Jitter(1.0), Get(Token(1)),
        Advance(secs(3600 - 270 - 1)), Get(Token(1)), Fetches(1),
        Advance(secs(1)), Get(Token(1)), Fetches(2),
    ];

    /// conf: G80, R15
    the_margin_of_a_short_token_is_a_quarter_of_its_life: [
        Source(Lives(secs(20))), Get(Token(1)),
        Advance(secs(14)), Get(Token(1)), Fetches(1),
        Advance(secs(1)), Get(Token(1)), Fetches(2), Get(Token(2)),
    ];

    the_last_tenth_of_a_short_token_is_not_served_if_a_newer_one_is_available: [
        Source(Lives(secs(20))), Get(Token(1)),
        Advance(secs(18)), Get(Token(2)), Fetches(2),
    ];

    /// conf: R7
    a_token_of_a_chosen_lifetime_is_refreshed_like_any_other: [
        Source(Lives(secs(43_200))), Get(Token(1)),
        Advance(secs(43_200 - 225)), Get(Token(1)), Get(Token(2)), Fetches(2),
    ];

    /// conf: M7
    a_token_without_expiry_is_kept: [
        Source(ForEver), Get(Token(1)), Advance(secs(300 * 86_400)), Get(Token(1)), Fetches(1),
    ];

    /// conf: M7
    a_token_that_expires_in_the_year_9999_is_kept: [
        Source(Lives(secs(251_000_000_000))), Get(Token(1)),
        Advance(secs(300 * 86_400)), Get(Token(1)), Fetches(1),
    ];

    /// conf: M7, G80, R15, P22, P23
    a_token_that_has_already_expired_is_an_error_and_causes_no_busy_loop: [
        Source(Expired), Get(InvalidReply), Cached(None), Every(millis(100), 99, InvalidReply), Fetches(2),
        Source(Lives(secs(0))), Every(millis(100), 99, InvalidReply), Fetches(4),
        Source(Lives(secs(60))), Advance(secs(5)), Get(Token(5)),
    ];

    /// conf: M22
    the_same_token_coming_back_causes_no_storm: [
        Get(Token(1)), Source(Same), Advance(secs(3600 - 225)),
        Every(secs(1), 224, Token(1)), FetchesBetween(5, 12), Failing(false),
        // It has expired, and the source has no other.
        Advance(secs(1)), Get(InvalidReply),
        Source(Lives(secs(60))), Advance(secs(5)), Get(Token(2)),
    ];

    /// conf: M22
    a_source_that_renews_late_is_asked_late_and_once: [
        Hints(CacheHints::new().with_renews_at(secs(20))), Jitter(1.0), Get(Token(1)),
        Advance(secs(3600 - 21)), Get(Token(1)), Fetches(1),
        Source(Same), Advance(secs(1)), Every(millis(100), 90, Token(1)), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(2)), Get(Token(2)), Fetches(3),
    ];

    a_source_that_never_renews_is_not_asked_before_expiry: [
        Hints(CacheHints::new().with_renews_at(secs(0))), Source(Lives(secs(60))), Get(Token(1)),
        Every(millis(500), 119, Token(1)), Fetches(1),
        Advance(millis(500)), Get(Token(2)), Fetches(2),
    ];

    /// conf: A5
    a_source_that_renews_late_for_the_life_of_its_tokens_is_not_asked_at_each_use: [
        Hints(CacheHints::new().with_renews_at(secs(3600))), Source(Lives(secs(60))), Get(Token(1)),
        Every(millis(1), 1000, Token(1)), Fetches(1), Every(secs(1), 60, AnyToken), FetchesBetween(8, 11),
    ];

    /// conf: A5
    a_clock_ahead_and_a_source_that_renews_late_cause_no_storm: [
        Hints(CacheHints::new().with_renews_at(secs(20))), WallAhead(secs(3590)), Get(Token(1)), Source(Same),
        Every(millis(10), 990, Token(1)), FetchesBetween(3, 8),
    ];

    /// conf: R1
    the_life_of_a_token_counts_from_when_its_fetch_began: [
        Hints(CacheHints::new().with_max_lifetime(secs(3600))), WallBack(secs(600)),
        Source(After(secs(50))), Wait("a"), Advance(secs(50)), Got("a", Token(1)),
        Advance(secs(3600 - 225 - 50 - 1)), Get(Token(1)), Fetches(1),
        Advance(secs(1)), Get(Token(1)), Fetches(2),
    ];

    a_token_that_is_kept_warm_is_refreshed_without_a_call: [
        KeepWarm, Fetches(1), Cached(Some(1)),
        Advance(secs(3600 - 225)), Fetches(2), Cached(Some(2)),
        Advance(secs(10 * 3375)), Fetches(12), Cached(Some(12)),
        CoolDown, Advance(secs(36_000)), Fetches(12), Drop, NothingLeft,
    ];

    a_guard_alone_keeps_the_token_warm: [
        KeepWarm, Drop, Advance(secs(3600)), Fetches(2), CoolDown, NothingLeft,
    ];
}

/// conf: M21, G80, R15
#[test]
fn tokens_of_any_lifetime_are_used_for_most_of_it_and_never_past_it() {
    for life in [1, 5, 10, 30, 60, 240, 300] {
        // One call each twentieth of a life, for twenty lives. A token serves three quarters of its
        // own, and the call after that still gets it.
        run(vec![Source(Lives(secs(life))), Every(secs(life) / 20, 400, AnyToken), FetchesBetween(20, 28)]);
    }
}
