//! Many callers and one fetch; callers and handles that go away.

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::{millis, secs};
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{After, FailAfter, Hang, Lives};

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
    a_herd_at_expiry_makes_one_fetch: [
        Get(Token(1)), Advance(secs(3600)), Source(After(secs(1))), Many(1000, Token(2)), Fetches(2),
        Many(1000, Token(2)), Fetches(2),
    ];

    /// conf: R4
    a_herd_at_the_threshold_makes_one_fetch_and_waits_for_nothing: [
        Get(Token(1)), Advance(secs(3600 - 225)), Source(Hang), Many(1000, Token(1)), Fetches(2),
    ];

    /// conf: M12
    a_leader_that_leaves_takes_nothing_along: [
        Source(After(secs(5))), Wait("leader"), Wait("other"), Advance(secs(1)), Leave("leader"),
        Advance(secs(4)), Got("other", Token(1)), Fetches(1),
    ];

    /// conf: M12
    a_fetch_that_nobody_waits_for_any_more_is_kept_all_the_same: [
        Source(After(secs(5))), Wait("leader"), Leave("leader"), Advance(secs(5)), Cached(Some(1)), Fetches(1),
    ];

    /// conf: M11
    a_caller_leaves_at_its_deadline_and_the_others_get_the_token: [
        Source(After(secs(5))), WaitWithin("hasty", secs(2)), Wait("patient"),
        Advance(secs(2)), Got("hasty", Timeout), StillWaiting("patient"),
        Advance(secs(3)), Got("patient", Token(1)), Fetches(1),
    ];

    /// conf: M11, M3
    a_caller_that_must_leave_takes_the_old_token_while_it_lives: [
        Source(Lives(secs(100))), Get(Token(1)), Source(Hang), Advance(secs(91)),
        WaitWithin("a", secs(3)), WaitWithin("b", secs(20)), Advance(secs(3)), Got("a", Token(1)),
        Advance(secs(17)), Got("b", Timeout), Fetches(2),
    ];

    a_deadline_that_has_passed_is_no_wait_but_starts_the_fetch: [
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
    a_refresh_that_hangs_is_noticed_by_nobody: [
        Get(Token(1)), Source(Hang), Advance(secs(3600 - 225)),
        Every(secs(1), 150, Token(1)), FetchesBetween(3, 4),
        Source(Lives(secs(3600))), Every(secs(1), 60, AnyToken), Cached(Some(2)),
    ];

    an_explicit_refresh_joins_the_fetch_under_way: [
        Source(After(secs(5))), Wait("a"), Refresh(Token(1)), Got("a", Token(1)), Fetches(1),
    ];

    /// conf: M17, R16
    a_handle_that_was_never_used_leaves_nothing: [
        Drop, NothingLeft,
    ];

    /// conf: M17, R16
    between_fetches_there_is_no_task: [
        Get(Token(1)), Tasks(0), Advance(secs(3600 - 225)), Get(Token(1)), Get(Token(2)), Tasks(0),
        Drop, NothingLeft,
    ];

    /// conf: M17, R16
    the_last_handle_takes_a_hanging_first_fetch_along: [
        Source(Hang), Wait("a"), Tasks(2), Leave("a"), Tasks(1), Drop, NothingLeft,
    ];

    /// conf: M17, R16
    the_last_handle_takes_a_hanging_refresh_along: [
        Get(Token(1)), Source(Hang), Advance(secs(3600 - 225)), Get(Token(1)), Tasks(1), Drop, NothingLeft,
    ];

    /// conf: M17
    a_waiting_caller_is_a_handle_too: [
        Source(After(secs(5))), Wait("a"), Drop, Advance(secs(5)), Got("a", Token(1)), NothingLeft,
    ];

    /// conf: R2
    a_caller_that_comes_just_after_the_token_fetches_nothing: [
        Source(After(millis(10))), Wait("a"), Advance(millis(10)), Wait("b"),
        Got("a", Token(1)), Advance(millis(0)), Got("b", Token(1)), Fetches(1),
    ];

    /// conf: G79
    waiters_of_a_failed_fetch_do_not_each_try_again: [
        Source(FailAfter(millis(10))), Wait("a"), Wait("b"), Wait("c"), Advance(millis(10)),
        Got("a", Transient), Got("b", Transient), Got("c", Transient), Fetches(1),
        Source(Answer::Transient), Get(Transient), Fetches(1),
    ];
}
