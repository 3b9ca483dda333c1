use super::*;
use crate::credentials::failure::Failure;

const TIMEOUT: Duration = Duration::from_secs(60);
const EPOCH: Duration = Duration::from_secs(1_780_000_000);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Both clocks so long after their start.
fn at(mono: Duration) -> Now {
    Now { mono, wall: SystemTime::UNIX_EPOCH + EPOCH + mono }
}

fn token(name: &str, now: Now, life: Duration) -> Token {
    Token::new(name, now.wall + life).unwrap()
}

fn begin(state: &mut State, now: Now, reason: FetchReason) -> u64 {
    state.begin_fetch(now, reason, TIMEOUT)
}

fn succeed(state: &mut State, now: Now, token: Token, jitter: f64) -> Result<Token, Error> {
    let id = state.fetch.as_ref().expect("no fetch").id;
    state.complete(id, now, 0, &Ok(token), jitter).unwrap()
}

fn fail(state: &mut State, now: Now, error: Error, jitter: f64) {
    let id = state.fetch.as_ref().expect("no fetch").id;
    assert!(state.complete(id, now, 0, &Err(Failure::Reported(error)), jitter).unwrap().is_err());
}

/// A state that got a token with this life at the start.
fn holding(life: Duration, jitter: f64) -> State {
    let (mut state, start) = (State::default(), at(Duration::ZERO));
    begin(&mut state, start, FetchReason::Empty);
    succeed(&mut state, start, token("t1", start, life), jitter).unwrap();
    state
}

fn reason(state: &State) -> FetchReason {
    state.fetch_reason(Demand::Token)
}

fn begin_and_fail(state: &mut State, now: Now, error: Error) {
    let reason = reason(state);
    begin(state, now, reason);
    fail(state, now, error, 0.0);
}

/// The name of the phase.
fn phase(state: &State, now: Now) -> &'static str {
    match state.phase(now) {
        Phase::Fresh(_) => "fresh",
        Phase::Stale(_) => "stale",
        Phase::Doubtful(_) => "doubtful",
        Phase::Expired => "expired",
        Phase::BackedOff(_) => "backed off",
        Phase::Empty => "empty",
    }
}

/// conf: P17, P18, G80
#[test]
fn the_thresholds_depend_on_the_life() {
    // Life, jitter, and from when the token is stale and not served any more, in milliseconds.
    for (life, jitter, stale, hard) in [
        (43_200_000, 0.0, 42_975_000, 43_190_000),
        (3_600_000, 0.0, 3_375_000, 3_590_000),
        (3_600_000, 0.5, 3_352_500, 3_590_000),
        (3_600_000, 1.0, 3_330_000, 3_590_000),
        (900_000, 0.0, 675_000, 890_000),
        (300_000, 0.0, 225_000, 290_000),
        (100_000, 0.0, 75_000, 90_000),
        (60_000, 1.0, 42_000, 54_000),
        (20_000, 0.0, 15_000, 18_000),
        (1_000, 0.0, 750, 900),
    ] {
        let [life, stale, hard] = [life, stale, hard].map(Duration::from_millis);
        let state = holding(life, jitter);
        let before = Duration::from_nanos(1);
        for (now, expected) in [
            (Duration::ZERO, "fresh"),
            (stale - before, "fresh"),
            (stale, "stale"),
            (hard - before, "stale"),
            (hard, "doubtful"),
            (life - before, "doubtful"),
            (life, "expired"),
            (life * 10, "expired"),
        ] {
            assert_eq!(phase(&state, at(now)), expected, "life {life:?}, jitter {jitter}, at {now:?}");
            assert_eq!(state.is_live(at(now)), now < life, "life {life:?}, at {now:?}");
        }
        assert_eq!(state.next_fetch(at(Duration::ZERO)), Some(stale));
    }
}

/// conf: P1
#[test]
fn an_empty_state_fetches() {
    let state = State::default();
    assert_eq!(phase(&state, at(secs(1))), "empty");
    assert_eq!(reason(&state), FetchReason::Empty);
    assert!(state.servable(at(secs(1))).is_none() && state.servable_until(at(secs(1))).is_none());
    assert!(state.next_fetch(at(secs(1))).is_some_and(|due| due <= secs(1)));
}

/// conf: M9
#[test]
fn the_clock_with_less_time_left_decides() {
    let state = holding(secs(3600), 0.0);
    let clocks = |mono, wall| Now { mono: secs(mono), wall: at(secs(wall)).wall };
    for (now, expected) in [
        (clocks(0, 3375), "stale"),
        (clocks(3375, 0), "stale"),
        (clocks(0, 3590), "doubtful"),
        (clocks(3590, 0), "doubtful"),
        (clocks(0, 100_000), "expired"),
        (Now { mono: secs(0), wall: SystemTime::UNIX_EPOCH }, "fresh"),
    ] {
        assert_eq!(phase(&state, now), expected, "{now:?}");
    }
}

/// conf: R6, M16
#[test]
fn a_failure_without_a_token_is_replayed_by_its_kind() {
    for (error, replay) in [(Error::transient("x"), secs(1)), (Error::permanent("x"), secs(5))] {
        for (jitter, replay) in [(0.0, replay), (1.0, replay / 2)] {
            let mut state = State::default();
            begin(&mut state, at(secs(10)), FetchReason::Empty);
            fail(&mut state, at(secs(10)), error.clone(), jitter);
            let end = secs(10) + replay;
            assert_eq!(phase(&state, at(end - Duration::from_nanos(1))), "backed off");
            assert_eq!(phase(&state, at(end)), "empty");
        }
    }
}

/// conf: R6
#[test]
fn the_back_off_doubles_to_its_limit_and_restarts_after_a_success() {
    let mut state = holding(secs(43_200), 0.0);
    let mut now = secs(43_200 - 225);
    for wait in [1, 2, 4, 8, 16, 30, 30] {
        begin_and_fail(&mut state, at(now), Error::transient("away"));
        assert_eq!(state.next_fetch(at(now)), Some(now + secs(wait)));
        assert_eq!(phase(&state, at(now + secs(wait) - Duration::from_nanos(1))), "backed off");
        now += secs(wait);
        assert_eq!(phase(&state, at(now)), "stale");
    }
    let again = reason(&state);
    begin(&mut state, at(now), again);
    succeed(&mut state, at(now), token("t2", at(now), secs(100)), 0.0).unwrap();
    now += secs(75);
    begin_and_fail(&mut state, at(now), Error::transient("away"));
    assert_eq!(state.next_fetch(at(now)), Some(now + secs(1)));
}

/// The name of the decision for each demand.
fn decisions(state: &State, now: Now, cached: &Token) -> [&'static str; 4] {
    [Demand::Token, Demand::TokenForRetry, Demand::OtherThan(cached), Demand::Refresh]
        .map(|demand| decision(state, demand, now))
}

fn decision(state: &State, demand: Demand<'_>, now: Now) -> &'static str {
    match state.decide(demand, now) {
        Decision::Serve(_) => "serve",
        Decision::ServeAndFetch(..) => "serve and fetch",
        Decision::Fetch(_) => "fetch",
        Decision::Join => "join",
        Decision::Fail(_) => "fail",
        Decision::NoOther => "no other",
    }
}

#[test]
fn each_demand_has_its_decision_in_each_phase() {
    let first = token("t1", at(secs(0)), secs(3600));
    let unavailable = || Error::transient("unavailable");
    let mut state = State::default();
    assert_eq!(decisions(&state, at(secs(0)), &first), ["fetch", "fetch", "fetch", "fetch"]);
    begin_and_fail(&mut state, at(secs(0)), unavailable());
    assert_eq!(decisions(&state, at(secs(0)), &first), ["fail", "fetch", "fail", "fetch"]);

    let mut state = holding(secs(3600), 0.0);
    let stale = at(secs(3375));
    assert_eq!(decisions(&state, at(secs(0)), &first), ["serve", "serve", "no other", "fetch"]);
    assert_eq!(decisions(&state, stale, &first)[..2], ["serve and fetch", "serve and fetch"]);
    assert_eq!(decisions(&state, at(secs(3590)), &first)[..2], ["fetch", "fetch"]);
    begin(&mut state, stale, FetchReason::Expiring);
    assert_eq!(decisions(&state, stale, &first), ["serve", "serve", "join", "join"]);
    let lost = at(secs(3375) + TIMEOUT);
    assert_eq!(decisions(&state, lost, &first)[..2], ["serve and fetch", "serve and fetch"]);
    fail(&mut state, stale, unavailable(), 0.0);
    assert_eq!(decisions(&state, stale, &first), ["serve", "serve", "no other", "fetch"]);

    let mut state = holding(secs(3600), 0.0);
    state.reject(&first);
    assert_eq!(decisions(&state, at(secs(1)), &first), ["fetch", "fetch", "fetch", "fetch"]);
    begin(&mut state, at(secs(1)), FetchReason::Rejected);
    assert_eq!(decisions(&state, at(secs(1)), &first), ["join", "join", "join", "join"]);
    let overdue = secs(1) + REPLACEMENT_WAIT;
    assert_eq!(decisions(&state, at(overdue - Duration::from_nanos(1)), &first)[0], "join");
    assert_eq!(decisions(&state, at(overdue), &first), ["serve", "serve", "join", "join"]);
    assert_eq!(state.patience(Demand::Token, at(secs(1))), Some(overdue));
    assert_eq!(state.patience(Demand::OtherThan(&first), at(secs(1))), None);
}

#[test]
fn what_keeps_a_token_warm_fetches_only_when_a_fetch_is_due() {
    let keep_warm = |state: &State, now| decision(state, Demand::KeepWarm, at(now));
    let mut state = State::default();
    assert_eq!(keep_warm(&state, secs(0)), "fetch");
    begin_and_fail(&mut state, at(secs(0)), Error::transient("away"));
    assert_eq!((keep_warm(&state, secs(0)), keep_warm(&state, secs(1))), ("no other", "fetch"));

    let mut state = holding(secs(3600), 0.0);
    assert_eq!((keep_warm(&state, secs(0)), keep_warm(&state, secs(3375))), ("no other", "fetch"));
    begin(&mut state, at(secs(3375)), FetchReason::Expiring);
    assert_eq!(keep_warm(&state, secs(3375)), "join");
    fail(&mut state, at(secs(3375)), Error::transient("away"), 0.0);
    assert_eq!((keep_warm(&state, secs(3375)), keep_warm(&state, secs(3376))), ("no other", "fetch"));
}

#[test]
fn another_token_than_one_that_is_not_cached_or_not_live_is_the_next_one() {
    let mut state = holding(secs(3600), 0.0);
    let (cached, old) = (state.token().cloned().unwrap(), token("old", at(secs(0)), secs(3600)));
    let other_than = |state: &State, token, now| decision(state, Demand::OtherThan(token), at(now));
    assert_eq!(other_than(&state, &old, secs(1)), "serve");
    assert_eq!(other_than(&state, &cached, secs(3600)), "fetch");
    begin(&mut state, at(secs(1)), FetchReason::Expiring);
    assert_eq!(other_than(&state, &cached, secs(1)), "join");
}

/// conf: M14, M31
#[test]
fn rejections_count_once_for_the_cached_token_only() {
    let mut state = State::default();
    let (first, second) = (token("t1", at(secs(0)), secs(3600)), token("t2", at(secs(0)), secs(3600)));
    assert!(!state.reject(&first), "nothing is cached");
    begin(&mut state, at(secs(0)), FetchReason::Empty);
    succeed(&mut state, at(secs(0)), first.clone(), 0.0).unwrap();
    assert!(!state.reject(&second), "another is cached");
    assert!(state.reject(&first));
    assert!(!state.reject(&first), "rejected already");
    assert_eq!((phase(&state, at(secs(1))), reason(&state)), ("doubtful", FetchReason::Rejected));
    assert_eq!(state.counts().invalidations, 1);

    begin(&mut state, at(secs(1)), FetchReason::Rejected);
    succeed(&mut state, at(secs(1)), second.clone(), 0.0).unwrap();
    assert!(!state.reject(&first), "it isn't cached any more");
    assert_eq!((phase(&state, at(secs(1))), reason(&state)), ("fresh", FetchReason::Expiring));
    assert!(state.reject(&second));
    assert_eq!(state.counts().invalidations, 2);
}

/// conf: M10
#[test]
fn fetches_that_were_abandoned_use_up_no_allowance() {
    let mut state = holding(secs(3600), 0.0);
    let cached = state.token().cloned().unwrap();
    assert!(state.reject(&cached));
    for _ in 0..10 {
        assert_eq!((phase(&state, at(secs(1))), reason(&state)), ("doubtful", FetchReason::Rejected));
        let id = begin(&mut state, at(secs(1)), FetchReason::Rejected);
        assert!(!state.abandon(id + 1), "another fetch");
        assert!(state.abandon(id) && !state.abandon(id) && !state.is_fetching(at(secs(1))));
    }
}

#[test]
fn a_state_reports_what_happened() {
    let mut state = State::default();
    assert_eq!((state.refreshed_at(), state.fetching_for(at(secs(1))), state.generation()), (None, None, 0));
    begin_and_fail(&mut state, at(secs(1)), Error::transient("away"));
    assert!(state.present_error().is_some() && state.last_error().is_some());
    begin(&mut state, at(secs(5)), FetchReason::Empty);
    assert_eq!(state.fetching_for(at(secs(7))), Some(secs(2)));
    let first = token("t1", at(secs(5)), secs(3600));
    succeed(&mut state, at(secs(7)), first.clone(), 0.0).unwrap();
    assert_eq!(state.refreshed_at(), Some(at(secs(7)).wall));
    assert!(state.present_error().is_none() && state.last_error().is_some());
    assert!(state.reject(&first));
    assert_eq!(state.counts(), Counts { fetches: 2, failures: 1, invalidations: 1 });
    begin(&mut state, at(secs(8)), FetchReason::Rejected);
    succeed(&mut state, at(secs(8)), token("t2", at(secs(8)), secs(3600)), 0.0).unwrap();
    assert_eq!((state.generation(), state.counts().fetches), (2, 3));
}

/// conf: A1
#[test]
fn the_pause_of_a_rejected_token_that_comes_back_ends_and_has_a_limit() {
    let (mut state, mut now) = (State::default(), secs(0));
    let token = Token::new("t1", None).unwrap();
    begin(&mut state, at(now), FetchReason::Empty);
    succeed(&mut state, at(now), token.clone(), 0.0).unwrap();
    assert!(state.reject(&token));
    for pause in [30, 60, 120, 240, 300, 300, 300] {
        begin(&mut state, at(now), FetchReason::Rejected);
        succeed(&mut state, at(now), token.clone(), 0.0).unwrap();
        assert!(!state.reject(&token), "further rejections don't start it anew");
        assert_eq!((phase(&state, at(now)), state.next_fetch(at(now))), ("fresh", Some(now + secs(pause))));
        now += secs(pause);
        assert_eq!((phase(&state, at(now)), reason(&state)), ("doubtful", FetchReason::Rejected));
    }
}

/// conf: M3, M7
#[test]
fn a_token_that_a_slow_fetch_got_too_late_is_asked_for_again_soon() {
    // A source that retries asks for a token of three seconds again and again, and gets it after four.
    let mut state = State::new(CacheHints::new().with_max_lifetime(secs(3)));
    let wall = SystemTime::UNIX_EPOCH + secs(1_000_000);
    let now = |mono| Now { mono: secs(mono), wall: wall + secs(mono) };
    state.begin_fetch(now(10), FetchReason::Empty, Duration::MAX);
    let token = Token::new("t", Some(wall + secs(17))).unwrap();
    let error = succeed(&mut state, now(14), token, 0.0).unwrap_err();
    assert!(error.is_transient(), "the next fetch can be faster: {error}");

    state.begin_fetch(now(20), FetchReason::Empty, Duration::MAX);
    let token = Token::new("t", Some(wall + secs(19))).unwrap();
    let error = succeed(&mut state, now(20), token, 0.0).unwrap_err();
    assert!(!error.is_transient(), "the next token is as old: {error}");
}

/// conf: M7
#[test]
fn extreme_clocks_lives_and_hints_do_not_panic() {
    let walls = [
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH + secs(253_402_300_799),
        SystemTime::UNIX_EPOCH + secs(i64::MAX as u64),
        SystemTime::UNIX_EPOCH - secs(1 << 40),
    ];
    let monos = [Duration::ZERO, secs(1), secs(u64::MAX), Duration::MAX];
    let hints = [
        CacheHints::new(),
        CacheHints::new().with_max_lifetime(Duration::MAX),
        CacheHints::new().with_max_lifetime(Duration::ZERO),
        CacheHints::new().with_renews_at(Duration::MAX),
    ];
    let nows = || walls.into_iter().flat_map(|wall| monos.map(|mono| Now { mono, wall }));
    for (hints, sent) in hints.into_iter().flat_map(|hints| nows().map(move |sent| (hints, sent))) {
        for expiry in walls.map(Some).into_iter().chain([None]) {
            for now in nows() {
                for jitter in [-1.0, 0.0, 1.0, 7.0] {
                    let mut state = State::new(hints);
                    state.begin_fetch(sent, FetchReason::Empty, Duration::MAX);
                    let _ = succeed(&mut state, now, Token::new("t", expiry).unwrap(), jitter);
                    let _ = (phase(&state, now), state.servable_until(now), state.next_fetch(now));
                    state.begin_fetch(now, FetchReason::Rejected, Duration::MAX);
                    fail(&mut state, now, Error::transient("x"), jitter);
                    let _ = (phase(&state, sent), state.servable_until(sent), state.next_fetch(sent));
                }
            }
        }
    }
}
