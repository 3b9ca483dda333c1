//! Tokens that an API rejected.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::{millis, secs};
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{After, ForEver, Hang, Lives, Same, SameAfter};
use crate::source::FetchReason;

scenarios! {
    /// conf: M14
    the_next_use_replaces_a_rejected_token: [
        Get(Token(1)), Reject, Cached(None), Fetches(1),
        Get(Token(2)), Asked(FetchReason::Rejected, Some(1)), Cached(Some(2)), Fetches(2),
    ];

    /// conf: M14
    a_burst_of_rejections_causes_one_refresh: [
        Get(Token(1)), RejectBurst(1000), Source(After(secs(1))), Many(1000, Token(2)), Fetches(2),
        RejectFirst, RejectFirst, Cached(Some(2)), Get(Token(2)), Fetches(2),
    ];

    /// conf: M14
    rejections_during_the_refresh_cause_no_other_refresh: [
        Get(Token(1)), Reject, Source(After(secs(1))), Wait("a"), RejectFirst, Advance(millis(500)), RejectFirst,
        Advance(millis(500)), Got("a", Token(2)), RejectFirst, Get(Token(2)), Fetches(2),
    ];

    /// conf: M31
    a_fourth_rejection_causes_a_refresh_only_after_thirty_seconds: [
        Get(Token(1)), Reject, Get(Token(2)), Reject, Get(Token(3)), Reject, Get(Token(4)), Reject,
        Cached(Some(4)), Advance(secs(29)), Get(Token(4)), Fetches(4),
        Advance(secs(1)), Cached(None), Get(Token(5)), Fetches(5),
    ];

    /// conf: M31, M14
    an_hour_of_rejections_causes_one_refresh_each_thirty_seconds: [
        Get(Token(1)), RejectEvery(secs(1), 3600), FetchesBetween(1 + 120, 1 + 3 + 120),
    ];

    /// conf: M14, M22
    rejections_of_a_token_that_came_back_do_not_shorten_its_pause: [
        Get(Token(1)), Reject, Source(Same), Get(Token(1)), Fetches(2),
        RejectEvery(secs(1), 29), Get(Token(1)), Fetches(2), RejectEvery(secs(1), 59), Fetches(3),
    ];

    /// conf: R6
    a_rejected_token_is_served_while_its_replacement_fails: [
        Get(Token(1)), Reject, Source(Answer::Transient), Get(Token(1)), Failing(true), Fetches(2),
        Get(Token(1)), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(2)), Fetches(3),
    ];

    /// conf: M31
    replacements_that_fail_back_off: [
        Get(Token(1)), Reject, Source(Answer::Transient), Every(secs(1), 120, Token(1)),
        // At seconds 1, 2, 4, 8, 16, 32, 62 and 92.
        Fetches(1 + 8),
    ];

    after_a_rejection_during_a_refresh_callers_wait_for_that_refresh: [
        Get(Token(1)), Source(After(secs(1))), Advance(secs(3600 - 225)), Get(Token(1)), Reject, Cached(None),
        Wait("a"), StillWaiting("a"), Advance(secs(1)), Got("a", Token(2)), Get(Token(2)), Fetches(2),
    ];

    a_refresh_that_began_before_the_rejection_is_followed_by_one_that_is_told_of_it: [
        Get(Token(1)), Source(SameAfter(secs(2))), Advance(secs(3600 - 225)), Get(Token(1)),
        Other(NoOther), Asked(FetchReason::Rejected, Some(1)), Fetches(3),
    ];

    /// conf: M14
    a_caller_whose_token_was_rejected_gets_another_one_at_once: [
        Get(Token(1)), Other(Token(2)), Asked(FetchReason::Rejected, Some(1)), Fetches(2),
    ];

    a_caller_whose_token_was_rejected_learns_that_there_is_no_other: [
        Get(Token(1)), Source(Same), Other(NoOther), Other(NoOther), Fetches(2),
    ];

    a_caller_whose_token_was_rejected_learns_why_there_is_no_other: [
        Get(Token(1)), Source(Answer::Permanent), Other(Permanent), Get(Token(1)), Fetches(2),
    ];

    an_explicit_refresh_tells_the_source_of_the_rejection: [
        Get(Token(1)), Reject, Refresh(Token(2)), Asked(FetchReason::Rejected, Some(1)), Get(Token(2)), Fetches(2),
    ];

    /// conf: A1
    a_rejected_token_that_came_back_is_asked_for_again_after_the_pause: [
        Get(Token(1)), Reject, Source(Same), Get(Token(1)), Fetches(2),
        Every(secs(1), 29, Token(1)), Fetches(2), Every(secs(1), 1, Token(1)), Fetches(3),
        Source(Lives(secs(3600))), Every(secs(1), 59, Token(1)), Fetches(3), Every(secs(1), 1, Token(2)), Fetches(4),
    ];

    /// conf: A1
    the_pause_for_a_token_that_keeps_coming_back_grows_to_five_minutes: [
        // At seconds 1, 31, 91, 211, 451 and then each 300.
        Source(ForEver), Get(Token(1)), Source(Same), Reject, Every(secs(1), 3600, Token(1)), Fetches(1 + 5 + 10),
        Source(ForEver), Advance(secs(300)), Get(Token(2)),
    ];

    /// conf: A25
    three_tokens_rejected_one_after_the_other_are_replaced_at_once: [
        Get(Token(1)), Other(Token(2)), Other(Token(3)), Other(Token(4)), Fetches(4),
        Other(NoOther), Get(Token(4)), Advance(secs(29)), Other(NoOther), Fetches(4),
        Advance(secs(1)), Other(Token(5)), Other(NoOther), Fetches(5),
    ];

    /// conf: A2
    a_rejected_token_is_served_after_two_seconds_while_its_replacement_hangs: [
        Get(Token(1)), Reject, Source(Hang), Wait("a"), Advance(millis(1000)), Wait("b"),
        Advance(millis(999)), StillWaiting("a"), StillWaiting("b"),
        Advance(millis(1)), Got("a", Token(1)), Got("b", Token(1)),
        Cached(Some(1)), Every(secs(1), 57, Token(1)), Fetches(2),
    ];

    /// conf: A2
    a_token_rejected_during_a_refresh_that_hangs_is_served_at_once: [
        Get(Token(1)), Source(Hang), Advance(secs(3600 - 225)), Get(Token(1)),
        Advance(secs(2)), Reject, Get(Token(1)), Fetches(2),
    ];

    /// conf: A2
    a_rejected_token_that_ends_during_the_wait_is_not_served: [
        Source(Lives(secs(100))), Get(Token(1)), Source(After(secs(5))), Reject, Advance(millis(98_500)),
        Wait("a"), Advance(millis(750)), Got("a", Token(1)), Advance(millis(750)), Cached(None),
        Wait("b"), Advance(secs(3)), StillWaiting("b"), Advance(millis(500)), Got("b", Token(2)),
    ];

    /// conf: A2
    a_caller_whose_fallback_ended_meanwhile_waits_for_the_fetch: [
        Get(Token(1)), Reject, Source(After(secs(5))), Wait("a"), WallAhead(secs(3600)), Advance(secs(2)),
        StillWaiting("a"), WallBack(secs(3600)), Advance(secs(3)), Got("a", Token(2)), Fetches(2),
    ];

    a_reply_that_rejects_an_older_token_changes_nothing: [
        Get(Token(1)), Send, Refresh(Token(2)), RejectSent, Cached(Some(2)), Get(Token(2)), Fetches(2),
    ];

    /// conf: A4
    an_extended_token_lives_until_its_later_expiry: [
        Source(Lives(secs(100))), Get(Token(1)), Source(Answer::Extends(secs(100))), Advance(secs(75)),
        Get(Token(1)), Fetches(2), Advance(secs(50)), Get(Token(1)), Fetches(2),
        Every(secs(1), 600, Token(1)), FetchesBetween(9, 11),
    ];

    /// conf: A4
    an_extended_token_that_was_rejected_is_still_rejected: [
        Get(Token(1)), Source(Answer::Extends(secs(7200))), Reject, Get(Token(1)), Fetches(2),
        RejectEvery(secs(1), 29), Fetches(2), Every(secs(1), 1, Token(1)), Fetches(3),
    ];

    /// conf: A1, M14
    a_reply_that_rejects_a_token_counts_even_if_the_source_returned_it_again_since: [
        Get(Token(1)), Send, Source(Same), Refresh(Token(1)), RejectSent, Source(Lives(secs(3600))),
        Get(Token(2)), Asked(FetchReason::Rejected, Some(1)), Fetches(3),
    ];

    /// conf: M11
    a_caller_at_its_deadline_gets_the_rejected_token: [
        Get(Token(1)), Reject, Source(Hang), WaitWithin("a", secs(1)), StillWaiting("a"),
        Advance(secs(1)), Got("a", Token(1)), Fetches(2),
    ];
}
