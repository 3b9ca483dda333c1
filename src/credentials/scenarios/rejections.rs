//! Tokens that an API rejected.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::secs;
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{After, Hang, Lives, Same, SameAfter};
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
        Get(Token(1)), Reject, Source(After(secs(2))), Wait("a"), RejectFirst, Advance(secs(1)), RejectFirst,
        Advance(secs(1)), Got("a", Token(2)), RejectFirst, Get(Token(2)), Fetches(2),
    ];

    /// conf: M31
    a_second_rejection_causes_a_refresh_only_after_thirty_seconds: [
        Get(Token(1)), Reject, Get(Token(2)), Reject, Cached(Some(2)), Get(Token(2)),
        Advance(secs(29)), Get(Token(2)), Fetches(2),
        Advance(secs(1)), Cached(None), Get(Token(3)), Fetches(3),
    ];

    /// conf: M31, M14
    an_hour_of_rejections_causes_one_refresh_each_thirty_seconds: [
        Get(Token(1)), RejectEvery(secs(1), 3600), FetchesBetween(100, 121),
    ];

    /// conf: M14, M22
    a_token_that_the_source_returns_after_its_rejection_is_not_replaced_again: [
        Get(Token(1)), Reject, Source(Same), Get(Token(1)), Fetches(2),
        RejectEvery(secs(10), 300), Get(Token(1)), Fetches(2),
    ];

    /// conf: R6
    a_rejected_token_is_served_while_its_replacement_fails: [
        Get(Token(1)), Reject, Source(Answer::Transient), Get(Token(1)), Failing(true), Fetches(2),
        Get(Token(1)), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(2)), Fetches(3),
    ];

    /// conf: M31
    replacements_that_fail_back_off: [
        Get(Token(1)), Reject, Source(Answer::Transient), Every(secs(1), 120, Token(1)), FetchesBetween(7, 10),
    ];

    after_a_rejection_during_a_refresh_callers_wait_for_that_refresh: [
        Get(Token(1)), Source(After(secs(2))), Advance(secs(3600 - 225)), Get(Token(1)), Reject, Cached(None),
        Wait("a"), StillWaiting("a"), Advance(secs(2)), Got("a", Token(2)), Get(Token(2)), Fetches(2),
    ];

    a_refresh_that_began_before_the_rejection_is_followed_by_one_that_is_told_of_it: [
        Get(Token(1)), Source(SameAfter(secs(2))), Advance(secs(3600 - 225)), Get(Token(1)),
        Other(NoOther), Asked(FetchReason::Rejected, Some(1)), Fetches(3),
    ];

    /// conf: M14
    a_caller_whose_token_was_rejected_gets_another_one_at_once: [
        Get(Token(1)), Other(Token(2)), Asked(FetchReason::Rejected, Some(1)), Fetches(2),
        // A moment later that one is rejected too.
        Other(NoOther), Fetches(2), Advance(secs(30)), Other(Token(3)), Fetches(3),
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

    /// conf: M11
    a_caller_at_its_deadline_gets_the_rejected_token: [
        Get(Token(1)), Reject, Source(Hang), WaitWithin("a", secs(1)), StillWaiting("a"),
        Advance(secs(1)), Got("a", Token(1)), Fetches(2),
    ];
}
