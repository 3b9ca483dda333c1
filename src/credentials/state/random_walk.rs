//! What must hold after any sequence of events.

use super::*;
use crate::credentials::failure::Failure;

const LOST_AFTER: Duration = Duration::from_secs(61);
const EPOCH: Duration = Duration::from_secs(1_780_000_000);

/// A state, its clocks and what has happened to it.
struct Walk {
    state: State,
    now: Now,
    random: fn(&mut u64) -> f64,
    seed: u64,
    tokens: u32,
    history: String,
}

/// Numbers in `0.0..1.0` that look random and are the same each time.
fn random(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn any_sequence_of_events_keeps_the_invariants() {
    for seed in 0..400 {
        let mono = Duration::from_secs(1000);
        let mut walk = Walk {
            state: State::new(hints(seed)),
            now: Now { mono, wall: SystemTime::UNIX_EPOCH + EPOCH },
            random,
            seed,
            tokens: 0,
            history: format!("seed {seed}:"),
        };
        for _ in 0..200 {
            walk.step();
            walk.check();
        }
    }
}

fn hints(seed: u64) -> CacheHints {
    let hour = Duration::from_secs(3600);
    match seed % 4 {
        0 => CacheHints::new().with_max_lifetime(hour),
        1 => CacheHints::new().with_renews_at(Duration::from_secs(20)),
        _ => CacheHints::new(),
    }
}

impl Walk {
    fn random(&mut self) -> f64 {
        (self.random)(&mut self.seed)
    }

    fn step(&mut self) {
        let (event, amount) = ((self.random() * 9.0) as u32, self.random());
        self.history += &format!(" {event}@{:?}", self.now.mono);
        let fetch = self.state.fetch.map(|fetch| fetch.id);
        match (event, fetch) {
            (0 | 1, _) => self.pass(Duration::from_secs_f64(10_f64.powf(amount * 6.0 - 2.0))),
            (2 | 3, _) => self.use_the_cache(amount),
            (4, Some(id)) => self.succeed(id, amount),
            (5, Some(id)) => self.fail(id, amount),
            (6, Some(id)) if amount < 0.3 => assert!(self.state.abandon(id)),
            (7, _) => {
                let token = self.state.token().cloned();
                token.map(|token| self.state.reject(&token));
            }
            (8, _) if amount < 0.2 => self.now.wall += Duration::from_secs_f64(amount * 10_000.0),
            (8, _) if amount > 0.8 => self.now.wall -= Duration::from_secs_f64(amount * 1000.0),
            _ => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall += time;
    }

    /// A caller comes, and what the state decides is carried out.
    fn use_the_cache(&mut self, amount: f64) {
        let other = self.state.token().cloned();
        let demand = match ((amount * 10.0) as u32, &other) {
            (0, _) => Demand::Refresh,
            (1, _) => Demand::KeepWarm,
            (2 | 3, _) => Demand::TokenForRetry,
            (4 | 5, Some(token)) => Demand::OtherThan(token),
            _ => Demand::Token,
        };
        let (Decision::Fetch(reason) | Decision::ServeAndFetch(_, reason)) =
            self.state.decide(demand, self.now)
        else {
            return;
        };
        self.state.begin_fetch(self.now, reason, LOST_AFTER);
    }

    fn succeed(&mut self, id: u64, amount: f64) {
        let life = Duration::from_secs_f64(10_f64.powf(amount * 4.0));
        self.tokens += 1;
        // Now and then the source returns the same token again.
        let name = format!("t{}", self.tokens / 3);
        let token = Token::new(name, self.now.wall + life).unwrap();
        assert!(self.state.complete(id, self.now, &Ok(token), amount).is_some());
    }

    fn fail(&mut self, id: u64, amount: f64) {
        let failure = match (amount * 4.0) as u32 {
            0 => Failure::Panicked,
            1 => Failure::TimedOut,
            2 => Failure::Reported(Error::transient("x")),
            _ => Failure::Reported(Error::permanent("x")),
        };
        let result = self.state.complete(id, self.now, &Err(failure), amount);
        assert!(result.is_some_and(|result| result.is_err()));
    }

    fn check(&self) {
        self.check_decisions(self.now);
        self.check_snapshot();
        self.check_next_fetch();
    }

    /// No dead token is served, and one fetch runs at a time.
    fn check_decisions(&self, now: Now) {
        let cached = self.state.token();
        let demands = [Demand::Token, Demand::TokenForRetry, Demand::Refresh, Demand::KeepWarm];
        for demand in demands.into_iter().chain(cached.map(Demand::OtherThan)) {
            let decision = self.state.decide(demand, now);
            let context = format!("{demand:?} gets {decision:?}: {}", self.history);
            if let Decision::Serve(token) | Decision::ServeAndFetch(token, _) = decision {
                assert!(token.expires_at().is_none_or(|end| end > now.wall), "a dead token: {context}");
                assert!(!demand.excludes(token), "the rejected token: {context}");
            }
            let begins = matches!(decision, Decision::Fetch(_) | Decision::ServeAndFetch(..));
            assert!(!(begins && self.state.is_fetching(now)), "a second fetch: {context}");
            let joins = matches!(decision, Decision::Join);
            assert!(!joins || self.state.is_fetching(now), "nothing to join: {context}");
            if let Some(token) = self.state.fall_back(demand, now) {
                assert!(token.expires_at().is_none_or(|end| end > now.wall), "a dead token: {context}");
            }
        }
    }

    /// A snapshot is served only as long as the state would do the same, and nothing more.
    fn check_snapshot(&self) {
        let Some((_, until)) = self.state.servable_until(self.now) else { return };
        let Some(end) = self.now.at(until) else { return };
        let open = end.mono - self.now.mono;
        assert!(!open.is_zero(), "a snapshot of no use: {}", self.history);
        for fraction in [0.0, 0.25, 0.5, 0.75, 0.999] {
            let then = self.later(open.mul_f64(fraction));
            self.check_decisions(then);
            let decision = self.state.decide(Demand::Token, then);
            assert!(
                matches!(decision, Decision::Serve(_)),
                "a snapshot hides {decision:?}: {}",
                self.history
            );
        }
    }

    /// The next fetch is due exactly when it is said to be.
    fn check_next_fetch(&self) {
        let Some(next) = self.state.next_fetch(self.now) else { return };
        let wait = next - self.now.mono;
        for fraction in [0.0, 0.25, 0.5, 0.75, 0.999] {
            let then = self.later(wait.mul_f64(fraction));
            let decision = self.state.decide(Demand::Token, then);
            let idle = matches!(decision, Decision::Serve(_) | Decision::Fail(_));
            assert!(wait.is_zero() || idle, "a fetch before it is due, {decision:?}: {}", self.history);
        }
        let decision = self.state.decide(Demand::Token, self.later(wait));
        let idle = matches!(decision, Decision::Serve(_) | Decision::Fail(_));
        let fetching = self.state.is_fetching(self.later(wait));
        assert!(!idle || fetching, "no fetch when it is due, {decision:?}: {}", self.history);
    }

    fn later(&self, time: Duration) -> Now {
        Now { mono: self.now.mono + time, wall: self.now.wall + time }
    }
}
