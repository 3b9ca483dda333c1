//! Fetches that fail.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::{millis, secs};
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{Expired, Lives, Panic};

scenarios! {
    /// conf: P21, P24, P25, G79
    a_first_failure_is_returned_and_no_token_is_cached: [
        Source(Answer::Transient), Get(Transient), Cached(None), Failing(true), Fetches(1),
    ];

    a_transient_failure_is_replayed_for_a_second: [
        Source(Answer::Transient), Get(Transient), Source(Lives(secs(60))),
        Advance(millis(999)), Get(Transient), Fetches(1),
        Advance(millis(1)), Get(Token(1)), Fetches(2), Failing(false),
    ];

    /// conf: M16
    a_permanent_failure_is_replayed_for_five_seconds: [
        Source(Answer::Permanent), Get(Permanent), Source(Lives(secs(60))),
        Advance(millis(4999)), Get(Permanent), Fetches(1),
        Advance(millis(1)), Get(Token(1)), Fetches(2),
    ];

    jitter_shortens_the_replay_by_up_to_a_half: [
        Jitter(1.0),
        Source(Answer::Transient), Get(Transient), Advance(millis(499)), Get(Transient), Fetches(1),
        Source(Answer::Permanent), Advance(millis(1)), Get(Permanent), Fetches(2),
        Advance(millis(2499)), Get(Permanent), Fetches(2),
        Advance(millis(1)), Get(Permanent), Fetches(3),
    ];

    /// conf: P22, P23
    a_reply_without_a_usable_expiry_is_an_error_and_no_token_is_cached: [
        Source(Expired), Get(InvalidReply), Cached(None), Failing(true),
    ];

    /// conf: G81, R6
    a_transient_failure_keeps_the_good_token: [
        Get(Token(1)), Source(Answer::Transient), Advance(secs(3600 - 225)),
        Get(Token(1)), Failing(true), Get(Token(1)), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(1)), Get(Token(2)), Fetches(3), Failing(false),
    ];

    /// conf: G81, R6
    a_permanent_failure_keeps_the_good_token: [
        Get(Token(1)), Source(Answer::Permanent), Advance(secs(3600 - 225)),
        Get(Token(1)), Failing(true), Get(Token(1)), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(1)), Get(Token(2)), Fetches(3), Failing(false),
    ];

    /// conf: R6, M7
    an_expired_reply_keeps_the_good_token: [
        Get(Token(1)), Source(Expired), Advance(secs(3600 - 225)), Get(Token(1)), Get(Token(1)), Fetches(2),
    ];

    /// conf: R6
    refreshes_back_off_from_one_second_to_thirty: [
        Source(Lives(secs(43_200))), Get(Token(1)),
        Source(Answer::Transient), Advance(secs(43_200 - 225)),
        // At seconds 0, 1, 3, 7, 15, 31, 61, 91, 121, 151 and 181.
        Get(Token(1)), Fetches(2),
        Every(secs(1), 30, Token(1)), Fetches(6),
        Every(secs(1), 1, Token(1)), Fetches(7),
        Every(secs(1), 29, Token(1)), Fetches(7),
        Every(secs(1), 1, Token(1)), Fetches(8),
        Every(secs(1), 120, Token(1)), Fetches(12),
    ];

    jitter_shortens_the_back_off_by_up_to_a_half: [
        Jitter(1.0), Get(Token(1)), Source(Answer::Transient), Advance(secs(3600 - 270)),
        Get(Token(1)), Fetches(2), Advance(millis(499)), Get(Token(1)), Fetches(2),
        Advance(millis(1)), Get(Token(1)), Fetches(3),
    ];

    the_back_off_ends_at_the_hard_threshold: [
        Get(Token(1)), Source(Answer::Transient), Advance(secs(3600 - 225)),
        // Failures at seconds 0, 1, 3, 7, 15, 31 and so on to 181; the next would be at 211.
        Every(secs(1), 214, Token(1)), Source(Lives(secs(3600))),
        Advance(secs(1)), Get(Token(2)),
    ];

    /// conf: M3, G82
    a_failure_near_expiry_serves_the_old_token_to_its_end: [
        Source(Lives(secs(100))), Get(Token(1)), Source(Answer::Transient),
        Advance(secs(91)), Get(Token(1)), Fetches(2),
        Every(secs(1), 8, Token(1)), FetchesBetween(4, 6),
        Advance(secs(1)), Cached(None), Get(Transient),
        Source(Lives(secs(100))), Advance(secs(1)), Get(Token(2)),
    ];

    /// conf: G82, R6
    an_error_after_expiry_is_followed_by_the_next_token: [
        Get(Token(1)), Source(Answer::Transient), Advance(secs(4000)), Get(Transient),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(2)), Fetches(3),
    ];

    /// conf: R6
    no_failure_is_kept_for_ever: [
        Source(Answer::Permanent), Every(secs(60), 120, Permanent), Fetches(120),
        Source(Lives(secs(60))), Advance(secs(5)), Get(Token(1)),
    ];

    an_explicit_refresh_asks_the_source_at_once_after_any_failure: [
        Source(Answer::Permanent), Get(Permanent), Refresh(Permanent), Fetches(2),
        Source(Lives(secs(3600))), Refresh(Token(1)), Refresh(Token(2)), Get(Token(2)), Fetches(4),
    ];

    /// conf: R6
    an_explicit_refresh_that_fails_returns_the_error_and_keeps_the_good_token: [
        Get(Token(1)), Source(Answer::Transient), Refresh(Transient), Get(Token(1)), Cached(Some(1)), Fetches(2),
    ];

    /// conf: G2
    a_transient_failure_is_not_replayed_to_a_caller_that_retries_by_itself: [
        Source(Answer::Transient), Get(Transient), ForRetry(Transient), ForRetry(Transient), Fetches(3),
        Source(Lives(secs(60))), ForRetry(Token(1)), Fetches(4),
    ];

    /// conf: G3
    a_permanent_failure_is_replayed_to_a_caller_that_retries_by_itself: [
        Source(Answer::Permanent), Get(Permanent), ForRetry(Permanent), ForRetry(Permanent), Fetches(1),
    ];

    /// conf: M13
    a_panic_is_an_error_and_the_next_call_asks_the_source_again: [
        Source(Panic), Get(Transient), Fetches(1), Source(Lives(secs(60))), Get(Token(1)), Fetches(2),
    ];

    /// conf: M13, M20
    all_waiters_share_the_error_of_a_panic: [
        Source(Panic), Many(100, Transient), FetchesBetween(1, 1), Source(Lives(secs(60))), Get(Token(1)),
    ];

    /// conf: M13, R6
    a_panic_in_a_refresh_keeps_the_good_token_and_backs_off: [
        Get(Token(1)), Source(Panic), Advance(secs(3600 - 225)),
        Get(Token(1)), Get(Token(1)), Get(Token(1)), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(1)), Get(Token(2)), Fetches(3),
    ];

    keep_warm_does_not_repeat_a_refresh_that_a_caller_began: [
        Source(Answer::Transient), Get(Transient), KeepWarm, Fetches(1), Advance(secs(1)), Fetches(2),
    ];

    keep_warm_backs_off_too: [
        Source(Answer::Transient), KeepWarm, Advance(secs(3600)), FetchesBetween(115, 130),
        Source(Lives(secs(3600))), Advance(secs(30)), Cached(Some(1)),
    ];
}
