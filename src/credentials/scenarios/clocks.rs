//! Clocks that jump, are wrong, or are paused.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::interpreter::Expect::*;
use super::interpreter::Step::*;
use super::interpreter::{millis, secs};
use super::scenarios;
use super::source::Answer;
use super::source::Answer::{Lives, Same};
use crate::Credentials;
use crate::credentials::clock::manual::ManualTime;
use crate::source::CacheHints;
use crate::source::FixedToken;

const AN_HOUR_AT_MOST: CacheHints = CacheHints::new().with_max_lifetime(secs(3600));

scenarios! {
    /// conf: M9
    a_token_past_its_expiry_by_the_wall_clock_is_not_served: [
        // As after a night in which the machine slept.
        Get(Token(1)), WallAhead(secs(8 * 3600)), Advance(secs(1)), Cached(None),
    ];

    /// conf: M9
    a_machine_that_slept_for_a_part_of_the_life_refreshes_in_time: [
        Get(Token(1)), WallAhead(secs(3600 - 225 - 1)), Advance(secs(1)), Get(Token(1)), Fetches(2),
    ];

    /// conf: M9
    the_wall_clock_is_read_within_a_second: [
        Get(Token(1)), Advance(millis(500)), Get(Token(1)), WallAhead(secs(3600)),
        Advance(millis(500)), Cached(None),
    ];

    /// conf: M9
    a_token_is_not_served_past_its_end_between_two_readings_of_the_wall_clock: [
        Source(Lives(secs(100))), Get(Token(1)), Source(Answer::Transient), WallAhead(millis(98_300)),
        Advance(secs(1)), Get(Token(1)), Get(Token(1)), Advance(millis(699)), Cached(Some(1)),
        Advance(millis(1)), Cached(None),
    ];

    /// conf: M8
    a_clock_ten_minutes_ahead_shortens_the_life_and_causes_no_storm: [
        WallAhead(secs(600)), Get(Token(1)),
        Advance(secs(3000 - 225 - 1)), Get(Token(1)), Fetches(1),
        Advance(secs(1)), Get(Token(1)), Fetches(2), Every(secs(10), 1000, AnyToken), FetchesBetween(5, 6),
    ];

    /// conf: M8
    a_clock_ahead_of_a_short_tokens_expiry_is_an_error_and_causes_no_storm: [
        WallAhead(secs(600)), Source(Lives(secs(300))), Every(secs(1), 60, InvalidReply), FetchesBetween(11, 13),
        WallBack(secs(600)), Advance(secs(5)), Get(AnyToken),
    ];

    /// conf: M8
    a_clock_ten_minutes_behind_does_not_extend_the_life: [
        Hints(AN_HOUR_AT_MOST), WallBack(secs(600)), Get(Token(1)),
        Advance(secs(3600 - 225 - 1)), Get(Token(1)), Fetches(1),
        Advance(secs(1)), Get(Token(1)), Fetches(2), Every(secs(10), 1000, AnyToken), FetchesBetween(4, 5),
    ];

    /// conf: M8
    a_clock_ten_minutes_behind_serves_nothing_past_the_real_expiry: [
        Hints(AN_HOUR_AT_MOST), WallBack(secs(600)), Get(Token(1)), Advance(secs(3600)), Cached(None),
    ];

    /// conf: M8, M9
    a_clock_behind_and_a_night_of_sleep_serve_nothing_past_the_real_expiry: [
        Hints(AN_HOUR_AT_MOST), WallBack(secs(600)), Get(Token(1)),
        WallAhead(secs(3600)), Advance(secs(1)), Cached(None),
    ];

    /// conf: M8
    a_clock_set_back_does_not_move_the_monotonic_deadline: [
        Get(Token(1)), WallBack(secs(7200)), Advance(secs(3600 - 225)), Get(Token(1)), Fetches(2),
        // The new token counts from the clock as it is now.
        Get(Token(2)), Fetches(2),
    ];

    /// conf: M8
    a_token_is_served_again_after_a_wrong_clock_was_corrected: [
        Get(Token(1)), WallAhead(secs(7200)), Advance(secs(1)), Cached(None),
        WallBack(secs(7200)), Cached(Some(1)), Get(Token(1)), Fetches(1),
    ];

    /// conf: M8, M22
    a_token_that_is_returned_again_after_the_clock_was_corrected_does_not_live_longer: [
        WallBack(secs(600)), Get(Token(1)), WallAhead(secs(600)), Source(Same), Refresh(Token(1)),
        WallBack(secs(600)), Advance(secs(3300)), Cached(Some(1)), Advance(secs(300)), Cached(None),
    ];

    /// conf: M8
    a_clock_that_is_corrected_forwards_causes_no_storm: [
        Hints(AN_HOUR_AT_MOST), WallBack(secs(600)), Get(Token(1)), WallAhead(secs(600)),
        Every(secs(1), 100, Token(1)), Fetches(1),
    ];
}

/// conf: P16
#[test]
fn the_reported_expiry_is_the_tokens_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let expiry = SystemTime::now() + Duration::new(1800, 123_456_789);
        let credentials = Credentials::fixed(crate::Token::new("t", expiry).unwrap());
        assert_eq!(credentials.expires_at(), None);
        credentials.token().await.unwrap();
        assert_eq!(credentials.expires_at(), Some(expiry));
        assert_eq!(credentials.status().expires_at(), Some(expiry));
    });
}

/// conf: M9
#[tokio::test(start_paused = true)]
async fn the_wall_clock_is_read_at_most_once_a_second() {
    let time = ManualTime::new(SystemTime::UNIX_EPOCH + secs(1_780_000_000));
    let expiry = SystemTime::UNIX_EPOCH + secs(1_780_003_600);
    let source = FixedToken::new(crate::Token::new("t", expiry).unwrap());
    let credentials = Credentials::with_time_source(Arc::new(source), time.clone());
    credentials.token().await.unwrap();
    let before = time.wall_reads();
    for _ in 0..10_000 {
        tokio::time::advance(millis(1)).await;
        assert!(credentials.poll_fast().is_some());
    }
    let reads = time.wall_reads() - before;
    assert!((9..=10).contains(&reads), "{reads} reads in ten seconds");
}
