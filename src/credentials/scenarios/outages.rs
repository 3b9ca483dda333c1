//! A service that is unavailable for a long time, and recovers.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::secs;
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{FailAfter, Hang, Lives};

scenarios! {
    /// conf: M1
    after_75_seconds_of_errors_from_the_start_the_next_call_succeeds: [
        Source(Answer::Transient), Every(secs(1), 75, Transient), FetchesBetween(70, 75),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(1)),
    ];

    /// conf: M1
    after_ten_minutes_of_errors_the_next_call_succeeds: [
        Source(Answer::Transient), Every(secs(1), 600, Transient), FetchesBetween(560, 600),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(1)),
    ];

    /// conf: M1
    after_three_hours_of_errors_the_next_call_succeeds: [
        Source(Answer::Transient), Every(secs(5), 2160, Transient), Fetches(2160),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(1)),
    ];

    /// conf: M2
    after_75_seconds_without_an_answer_the_next_call_succeeds: [
        // The first fetch ends at second 60; its callers leave at their own deadlines.
        Source(Hang), WaitWithin("a", secs(10)), Advance(secs(10)), Got("a", Timeout),
        WaitWithin("b", secs(30)), Advance(secs(30)), Got("b", Timeout),
        Wait("c"), Advance(secs(20)), Got("c", Timeout), Fetches(1),
        Advance(secs(15)), Source(Lives(secs(3600))), Get(Token(1)), Fetches(2),
    ];

    /// conf: M2
    a_source_that_times_out_by_itself_is_asked_again: [
        Source(FailAfter(secs(20))), Wait("a"), Advance(secs(20)), Got("a", Transient),
        Advance(secs(1)), Wait("b"), Advance(secs(20)), Got("b", Transient), Fetches(2),
        Source(Lives(secs(3600))), Advance(secs(1)), Get(Token(1)),
    ];

    /// conf: M3
    a_short_token_is_served_to_its_expiry_and_recovery_follows: [
        Source(Lives(secs(20))), Get(Token(1)), Advance(secs(5)), Source(Answer::Transient),
        Every(secs(1), 14, Token(1)), Advance(secs(1)), Cached(None), Get(Transient),
        Every(secs(1), 70, Transient), Source(Lives(secs(20))), Advance(secs(1)), Get(Token(2)),
    ];

    /// conf: M3
    a_short_token_is_served_to_its_expiry_while_the_service_hangs: [
        Source(Lives(secs(20))), Get(Token(1)), Advance(secs(5)), Source(Hang),
        Every(secs(1), 14, Token(1)), Advance(secs(1)), Cached(None),
        WaitWithin("a", secs(5)), Advance(secs(5)), Got("a", Timeout), Fetches(2),
        Advance(secs(65)), Source(Lives(secs(20))), Get(Token(2)),
    ];
}
