//! Tokens that an API refused.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::secs;
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{After, Hang, Lives, Same, SameAfter};
use crate::source::FetchReason;

scenarios! {
    /// conf: M14
    a_refused_token_is_replaced_by_the_next_use: [
        Get(Token(1)), Reject, Cached(None), Fetches(1),
        Get(Token(2)), Asked(FetchReason::Rejected, Some(1)), Cached(Some(2)), Fetches(2),
    ];

    /// conf: M14
    a_burst_of_refusals_causes_one_refresh: [
        Get(Token(1)), RejectBurst(1000), Source(After(secs(1))), Many(1000, Token(2)), Fetches(2),
        RejectFirst, RejectFirst, Cached(Some(2)), Get(Token(2)), Fetches(2),
    ];

    /// conf: M14
    refusals_that_trickle_in_during_the_refresh_cause_no_other: [
        Get(Token(1)), Reject, Source(After(secs(2))), Wait("a"), RejectFirst, Advance(secs(1)), RejectFirst,
        Advance(secs(1)), Got("a", Token(2)), RejectFirst, Get(Token(2)), Fetches(2),
    ];

    /// conf: M31
    a_second_refusal_waits_for_thirty_seconds_to_pass: [
        Get(Token(1)), Reject, Get(Token(2)), Reject, Cached(Some(2)), Get(Token(2)),
        Advance(secs(29)), Get(Token(2)), Fetches(2),
        Advance(secs(1)), Cached(None), Get(Token(3)), Fetches(3),
    ];

    /// conf: M31, M14
    an_hour_of_refusals_costs_a_refresh_each_thirty_seconds: [
        Get(Token(1)), RejectEvery(secs(1), 3600), FetchesBetween(100, 121),
    ];

    /// conf: M14, M22
    a_token_that_comes_back_after_its_refusal_is_not_replaced_again: [
        Get(Token(1)), Reject, Source(Same), Get(Token(1)), Fetches(2),
        RejectEvery(secs(10), 300), Get(Token(1)), Fetches(2),
    ];

    /// conf: R6
    a_refused_token_is_served_while_its_replacement_fails: [
        Get(Token(1)), Reject, Source(Answer::Transient), Get(Token(1)), Failing(true), Fetches(2),
        Get(Token(1)), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(2)), Fetches(3),
    ];

    /// conf: M31
    replacements_that_fail_back_off: [
        Get(Token(1)), Reject, Source(Answer::Transient), Every(secs(1), 120, Token(1)), FetchesBetween(7, 10),
    ];

    a_refusal_during_a_refresh_waits_for_that_one: [
        Get(Token(1)), Source(After(secs(2))), Advance(secs(3600 - 225)), Get(Token(1)), Reject, Cached(None),
        Wait("a"), StillWaiting("a"), Advance(secs(2)), Got("a", Token(2)), Get(Token(2)), Fetches(2),
    ];

    a_refresh_that_took_off_before_the_refusal_is_followed_by_one_that_knows_of_it: [
        Get(Token(1)), Source(SameAfter(secs(2))), Advance(secs(3600 - 225)), Get(Token(1)),
        Other(NoOther), Asked(FetchReason::Rejected, Some(1)), Fetches(3),
    ];

    /// conf: M14
    a_caller_that_was_refused_gets_another_token_at_once: [
        Get(Token(1)), Other(Token(2)), Asked(FetchReason::Rejected, Some(1)), Fetches(2),
        // A moment later that one is refused as well.
        Other(NoOther), Fetches(2), Advance(secs(30)), Other(Token(3)), Fetches(3),
    ];

    a_caller_that_was_refused_learns_that_there_is_no_other_token: [
        Get(Token(1)), Source(Same), Other(NoOther), Other(NoOther), Fetches(2),
    ];

    a_caller_that_was_refused_learns_why_there_is_no_other_token: [
        Get(Token(1)), Source(Answer::Permanent), Other(Permanent), Get(Token(1)), Fetches(2),
    ];

    an_explicit_refresh_tells_the_source_of_the_refusal: [
        Get(Token(1)), Reject, Refresh(Token(2)), Asked(FetchReason::Rejected, Some(1)), Get(Token(2)), Fetches(2),
    ];

    /// conf: M11
    a_caller_that_must_leave_takes_the_refused_token: [
        Get(Token(1)), Reject, Source(Hang), WaitWithin("a", secs(1)), StillWaiting("a"),
        Advance(secs(1)), Got("a", Token(1)), Fetches(2),
    ];
}
