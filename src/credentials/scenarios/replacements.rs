//! Sources that are replaced: what they authenticate with is another key or login than before.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::{millis, secs};
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{Hang, Lives};
use crate::source::FetchReason;

scenarios! {
    /// conf: F12
    a_replaced_source_ends_the_replay_of_a_permanent_failure: [
        Source(Answer::Permanent), Get(Permanent), Source(Lives(secs(60))),
        Advance(millis(1)), Get(Permanent), Fetches(1),
        Replace, Get(Token(1)), Fetches(2), Failing(false),
    ];

    /// conf: F12
    a_replaced_source_ends_the_replay_of_a_transient_failure: [
        Source(Answer::Transient), Get(Transient), Source(Lives(secs(60))), Get(Transient), Fetches(1),
        Replace, Many(5, Token(1)), Fetches(2),
    ];

    /// conf: F12
    the_failure_of_a_replaced_source_is_replayed_too: [
        Source(Answer::Permanent), Get(Permanent), Replace, Many(5, Permanent), Fetches(2),
        Advance(millis(4999)), Get(Permanent), Fetches(2), Advance(millis(1)), Get(Permanent), Fetches(3),
    ];

    /// conf: F12
    a_failure_of_what_the_source_had_before_is_no_answer: [
        Source(Answer::FailAfter(secs(3))), Wait("before"), Advance(secs(1)),
        Replace, Source(Lives(secs(60))), Wait("after"), StillWaiting("after"), Fetches(1),
        Advance(secs(2)), Got("after", Token(1)), Got("before", Token(1)), Fetches(2),
    ];

    /// conf: F12
    a_source_that_hung_is_asked_again_after_it_was_replaced: [
        Source(Hang), Wait("before"), Advance(secs(30)), Replace, Source(Lives(secs(60))), Wait("after"),
        Advance(secs(30)), Got("after", Token(1)), Fetches(2),
    ];

    /// conf: F12, A1
    a_rejection_finds_a_replaced_source_during_a_pause: [
        Get(Token(1)), Source(Answer::Permanent), Reject, Other(Permanent), Fetches(2),
        Reject, Get(Token(1)), Other(Permanent), Fetches(2),
        Replace, Source(Lives(secs(60))), Reject, Get(Token(2)), Fetches(3),
        Asked(FetchReason::Rejected, Some(1)),
    ];

    /// conf: F12
    a_client_gets_another_token_at_once_after_the_source_was_replaced: [
        Get(Token(1)), Source(Answer::Permanent), Reject, Other(Permanent), Fetches(2),
        Replace, Source(Lives(secs(60))), Other(Token(2)), Fetches(3),
    ];

    /// conf: F12
    a_source_that_is_replaced_while_its_token_is_good_is_asked_when_that_ends: [
        Get(Token(1)), Replace, Every(secs(60), 50, Token(1)), Fetches(1),
        Advance(secs(375)), Get(Token(1)), Get(Token(2)), Fetches(2),
    ];
}
