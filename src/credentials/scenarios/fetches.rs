//! One fetch for many callers; callers that stop waiting, and handles that are dropped.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::{millis, secs};
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{After, FailAfter, Hang, Lives};
use crate::Credentials;

scenarios! {
    /// conf: G78
    a_thousand_readers_make_one_fetch: [
        Source(After(secs(1))), Many(1000, Token(1)), Fetches(1),
    ];

    /// conf: M20, G79
    ten_thousand_tasks_on_a_cold_handle_make_one_fetch: [
        Source(After(secs(1))), Many(10_000, Token(1)), Fetches(1),
    ];

    /// conf: M20, G79, R4
    ten_thousand_tasks_share_one_failure: [
        Source(FailAfter(secs(1))), Many(10_000, Transient), Fetches(1),
    ];

    /// conf: R2, R4
    many_callers_at_expiry_make_one_fetch: [
        Get(Token(1)), Advance(secs(3600)), Source(After(secs(1))), Many(1000, Token(2)), Fetches(2),
        Many(1000, Token(2)), Fetches(2),
    ];

    /// conf: R4
    many_callers_at_the_threshold_make_one_fetch_and_do_not_wait: [
        Get(Token(1)), Advance(secs(3600 - 225)), Source(Hang), Many(1000, Token(1)), Fetches(2),
    ];

    /// conf: M12
    dropping_the_first_waiter_does_not_cancel_the_fetch: [
        Source(After(secs(5))), Wait("leader"), Wait("other"), Advance(secs(1)), Leave("leader"),
        Advance(secs(4)), Got("other", Token(1)), Fetches(1),
    ];

    /// conf: M12
    a_fetch_without_waiters_completes_and_its_token_is_cached: [
        Source(After(secs(5))), Wait("leader"), Leave("leader"), Advance(secs(5)), Cached(Some(1)), Fetches(1),
    ];

    /// conf: M11
    a_caller_fails_at_its_own_deadline_and_the_others_get_the_token: [
        Source(After(secs(5))), WaitWithin("hasty", secs(2)), Wait("patient"),
        Advance(secs(2)), Got("hasty", Timeout), StillWaiting("patient"),
        Advance(secs(3)), Got("patient", Token(1)), Fetches(1),
    ];

    /// conf: M11, M3
    a_caller_at_its_deadline_gets_the_old_token_while_it_is_live: [
        Source(Lives(secs(100))), Get(Token(1)), Source(Hang), Advance(secs(91)),
        WaitWithin("a", secs(1)), WaitWithin("b", secs(20)), Advance(secs(1)), Got("a", Token(1)),
        // The other one doesn't wait until there is none.
        StillWaiting("b"), Advance(secs(1)), Got("b", Token(1)), Get(Token(1)),
        Advance(secs(7)), WaitWithin("c", secs(5)), Advance(secs(5)), Got("c", Timeout), Fetches(2),
    ];

    a_deadline_in_the_past_allows_no_wait_but_starts_the_fetch: [
        Source(After(secs(1))), WaitWithin("a", secs(0)), Got("a", Timeout),
        Advance(secs(1)), Cached(Some(1)), WaitWithin("b", secs(0)), Got("b", Token(1)), Fetches(1),
    ];

    /// conf: M2, M20
    a_fetch_that_hangs_ends_at_its_deadline_for_all: [
        Source(Hang), Wait("a"), Advance(secs(59)), Wait("b"), StillWaiting("a"), StillWaiting("b"),
        Advance(secs(1)), Got("a", Timeout), Got("b", Timeout), Fetches(1),
        Source(Lives(secs(60))), Advance(secs(1)), Get(Token(1)), Fetches(2),
    ];

    /// conf: M3
    a_refresh_that_hangs_delays_no_caller: [
        Get(Token(1)), Source(Hang), Advance(secs(3600 - 225)),
        Every(secs(1), 150, Token(1)), FetchesBetween(3, 4),
        Source(Lives(secs(3600))), Every(secs(1), 60, AnyToken), Cached(Some(2)),
    ];

    an_explicit_refresh_joins_the_fetch_in_progress: [
        Source(After(secs(5))), Wait("a"), Refresh(Token(1)), Got("a", Token(1)), Fetches(1),
    ];

    /// conf: M17, R16
    dropping_an_unused_handle_leaves_nothing_behind: [
        Drop, NothingLeft,
    ];

    /// conf: M17, R16
    between_fetches_there_is_no_task: [
        Get(Token(1)), Tasks(0), Advance(secs(3600 - 225)), Get(Token(1)), Get(Token(2)), Tasks(0),
        Drop, NothingLeft,
    ];

    /// conf: M17, R16
    dropping_the_last_handle_ends_a_first_fetch_that_hangs: [
        Source(Hang), Wait("a"), Tasks(2), Leave("a"), Tasks(1), Drop, NothingLeft,
    ];

    /// conf: M17, R16
    dropping_the_last_handle_ends_a_refresh_that_hangs: [
        Get(Token(1)), Source(Hang), Advance(secs(3600 - 225)), Get(Token(1)), Tasks(1), Drop, NothingLeft,
    ];

    /// conf: M17
    a_waiting_caller_keeps_the_cache_alive: [
        Source(After(secs(5))), Wait("a"), Drop, Advance(secs(5)), Got("a", Token(1)), NothingLeft,
    ];

    /// conf: R2
    a_caller_just_after_the_fetch_gets_its_token: [
        Source(After(millis(10))), Wait("a"), Advance(millis(10)), Wait("b"),
        Got("a", Token(1)), Advance(millis(0)), Got("b", Token(1)), Fetches(1),
    ];

    /// conf: G79
    the_waiters_of_a_failed_fetch_do_not_each_start_another: [
        Source(FailAfter(millis(10))), Wait("a"), Wait("b"), Wait("c"), Advance(millis(10)),
        Got("a", Transient), Got("b", Transient), Got("c", Transient), Fetches(1),
        Source(Answer::Transient), Get(Transient), Fetches(1),
    ];
}

/// conf: M10
#[test]
fn on_a_runtime_that_has_ended_a_caller_gives_up_after_a_few_fetches() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let credentials = Credentials::fixed(crate::Token::new("t", None).unwrap());
    let handle = runtime.handle().clone();
    let _context = handle.enter();
    drop(runtime);
    let outcome = pin!(credentials.token()).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("shut down") && error.is_transient(), "{error}");
    // One begins before the wait.
    assert_eq!(credentials.status().fetches(), 1 + 4);
}
