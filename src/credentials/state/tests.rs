use super::*;

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

/// A state that got a token of this life at the start.
fn holding(life: Duration, jitter: f64) -> State {
    let mut state = State::default();
    state.start(at(Duration::ZERO), FetchReason::Empty, TIMEOUT);
    state.succeed(at(Duration::ZERO), token("t1", at(Duration::ZERO), life), jitter).unwrap();
    state
}

fn failed(state: &mut State, now: Now, error: Error) {
    state.start(now, state.reason(), TIMEOUT);
    state.fail(now, error, Failure::Told, 0.0);
}

/// conf: P17, P18, G80
#[test]
fn the_thresholds_go_by_the_life() {
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
        for (now, phase) in [
            (Duration::ZERO, Phase::Fresh),
            (stale - before, Phase::Fresh),
            (stale, Phase::Stale),
            (hard - before, Phase::Stale),
            (hard, Phase::Expired),
            (life, Phase::Expired),
            (life * 10, Phase::Expired),
        ] {
            assert_eq!(state.classify(at(now)), phase, "life {life:?}, jitter {jitter}, at {now:?}");
            assert_eq!(state.alive(at(now)).is_some(), now < life, "life {life:?}, at {now:?}");
        }
        assert_eq!(state.due(at(Duration::ZERO)), Some(stale));
    }
}

/// conf: P1
#[test]
fn an_empty_state_fetches() {
    let state = State::default();
    assert_eq!(state.classify(at(secs(1))), Phase::Empty);
    assert_eq!(state.reason(), FetchReason::Empty);
    assert!(state.servable(at(secs(1))).is_none() && state.offer(at(secs(1))).is_none());
    assert!(state.due(at(secs(1))).is_some_and(|due| due <= secs(1)));
}

/// conf: M9
#[test]
fn the_clock_with_less_time_left_decides() {
    let state = holding(secs(3600), 0.0);
    let clocks = |mono, wall| Now { mono: secs(mono), wall: at(secs(wall)).wall };
    for (now, phase) in [
        (clocks(0, 3375), Phase::Stale),
        (clocks(3375, 0), Phase::Stale),
        (clocks(0, 3590), Phase::Expired),
        (clocks(3590, 0), Phase::Expired),
        (clocks(0, 100_000), Phase::Expired),
        (Now { mono: secs(0), wall: SystemTime::UNIX_EPOCH }, Phase::Fresh),
    ] {
        assert_eq!(state.classify(now), phase, "{now:?}");
    }
}

/// conf: R6, M16
#[test]
fn a_failure_without_a_token_is_replayed_by_its_kind() {
    for (error, replay) in [(Error::transient("x"), secs(1)), (Error::permanent("x"), secs(5))] {
        for (jitter, replay) in [(0.0, replay), (1.0, replay / 2)] {
            let mut state = State::default();
            state.start(at(secs(10)), FetchReason::Empty, TIMEOUT);
            state.fail(at(secs(10)), error.clone(), Failure::Told, jitter);
            let end = secs(10) + replay;
            assert_eq!(state.classify(at(end - Duration::from_nanos(1))), Phase::BackedOff);
            assert_eq!(state.classify(at(end)), Phase::Empty);
        }
    }
}

/// conf: R6
#[test]
fn the_back_off_doubles_to_its_limit_and_starts_over_after_a_success() {
    let mut state = holding(secs(43_200), 0.0);
    let mut now = secs(43_200 - 225);
    for wait in [1, 2, 4, 8, 16, 30, 30] {
        failed(&mut state, at(now), Error::transient("away"));
        assert_eq!(state.due(at(now)), Some(now + secs(wait)));
        assert_eq!(state.classify(at(now + secs(wait) - Duration::from_nanos(1))), Phase::BackedOff);
        now += secs(wait);
        assert_eq!(state.classify(at(now)), Phase::Stale);
    }
    state.start(at(now), state.reason(), TIMEOUT);
    state.succeed(at(now), token("t2", at(now), secs(100)), 0.0).unwrap();
    now += secs(75);
    failed(&mut state, at(now), Error::transient("away"));
    assert_eq!(state.due(at(now)), Some(now + secs(1)));
}

/// conf: M14, M31
#[test]
fn refusals_count_once_for_the_cached_token_only() {
    let mut state = State::default();
    let (first, second) = (token("t1", at(secs(0)), secs(3600)), token("t2", at(secs(0)), secs(3600)));
    assert!(!state.refuse(&first), "nothing is cached");
    state.start(at(secs(0)), FetchReason::Empty, TIMEOUT);
    state.succeed(at(secs(0)), first.clone(), 0.0).unwrap();
    assert!(!state.refuse(&second), "another is cached");
    assert!(state.refuse(&first));
    assert!(!state.refuse(&first), "refused already");
    assert_eq!((state.classify(at(secs(1))), state.reason()), (Phase::Expired, FetchReason::Rejected));
    assert_eq!(state.counts().refusals, 1);

    state.start(at(secs(1)), FetchReason::Rejected, TIMEOUT);
    state.succeed(at(secs(1)), second.clone(), 0.0).unwrap();
    assert!(!state.refuse(&first), "it has gone");
    assert!(state.refuse(&second));
    assert_eq!(state.classify(at(secs(30))), Phase::Fresh, "30 s have not passed");
    assert_eq!(state.due(at(secs(30))), Some(secs(31)));
    assert_eq!(state.classify(at(secs(31))), Phase::Expired);
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
                    state.start(sent, FetchReason::Empty, Duration::MAX);
                    let _ = state.succeed(now, Token::new("t", expiry).unwrap(), jitter);
                    let _ = (state.classify(now), state.offer(now), state.due(now));
                    state.start(now, FetchReason::Rejected, Duration::MAX);
                    state.fail(now, Error::transient("x"), Failure::Told, jitter);
                    let _ = (state.classify(sent), state.offer(sent), state.due(sent));
                }
            }
        }
    }
}

/// Numbers in `0.0..1.0` that look like chance and are the same each time.
fn chances(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Whatever happens in whatever order: an offer never outlives its grounds, no dead token is
/// handed out, and refusals start a refresh each 30 s at most.
#[test]
fn any_course_of_events_keeps_the_promises() {
    for round in 0..300 {
        let mut chance = chances(round);
        let mut state = State::default();
        let mut now = secs(1000);
        let mut course = format!("round {round}:");
        let mut last_for_refusal: Option<Duration> = None;
        for number in 0..200 {
            let event = (chance() * 6.0) as u32;
            let amount = chance();
            course += &format!(" {event}@{now:?}");
            match event {
                0 | 1 => now += Duration::from_secs_f64(10_f64.powf(amount * 6.0 - 2.0)),
                2 if !state.is_fetching() => {
                    let (phase, reason) = (state.classify(at(now)), state.reason());
                    if !matches!(phase, Phase::Stale | Phase::Expired | Phase::Empty) {
                        continue;
                    }
                    if reason == FetchReason::Rejected {
                        let held = state.held.as_ref().unwrap();
                        let by_refusal = held.left(at(now)) > held.stale_margin();
                        let last = last_for_refusal.replace(now);
                        let too_soon = last.is_some_and(|last| now - last < REFUSAL_INTERVAL);
                        // A failure in between is retried sooner.
                        let storm = by_refusal && too_soon && state.failures == 0;
                        assert!(!storm, "a storm of refusals: {course}");
                    }
                    state.start(at(now), reason, TIMEOUT);
                }
                3 if state.is_fetching() => {
                    let life = Duration::from_secs_f64(10_f64.powf(amount * 4.0));
                    let name = format!("t{}", number / 20);
                    let _ = state.succeed(at(now), token(&name, at(now), life), amount);
                }
                4 if state.is_fetching() => {
                    let error = if amount < 0.5 { Error::transient("x") } else { Error::permanent("x") };
                    state.fail(at(now), error, Failure::Told, amount);
                }
                5 => {
                    if let Some(token) = state.token().cloned() {
                        state.refuse(&token);
                    }
                }
                _ => {}
            }
            check_promises(&state, now, &course);
        }
    }
}

fn check_promises(state: &State, now: Duration, course: &str) {
    if let Some(token) = state.servable(at(now)) {
        assert!(token.expires_at() > Some(at(now).wall), "a dead token is servable: {course}");
    }
    let Some(offer) = state.offer(at(now)) else { return };
    assert!(state.servable(at(now)).is_some(), "an offer of nothing: {course}");
    let wall_left = offer.wall.map(|wall| wall.duration_since(at(now).wall).unwrap_or_default());
    let open = offer.mono.saturating_sub(now).min(wall_left.unwrap_or(Duration::MAX));
    for fraction in [0.0, 0.5, 0.999] {
        let then = now + open.mul_f64(fraction);
        assert!(open.is_zero() || state.servable(at(then)).is_some(), "offered too long: {course}");
        let idle = matches!(state.classify(at(then)), Phase::Stale) && !state.is_fetching();
        assert!(open.is_zero() || !idle, "the offer hides a refresh that is due: {course}");
    }
}
