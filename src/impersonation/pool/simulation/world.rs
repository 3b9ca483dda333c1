//! What happens in a world: a list of events, drawn from a seed.

use std::time::Duration;

use crate::random::Random;

/// A world, which is the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    /// How many fetches may start in a minute; zero is no limit.
    pub(super) per_minute: u32,
    pub(super) at_once: usize,
    pub(super) capacity: usize,
    pub(super) identities: usize,
    pub(super) lifetime: Duration,
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event {
    /// Time passes.
    Pass(Duration),
    /// The runtime stands still for so long: all timers fire late, and together.
    StandStill(Duration),
    /// What the service does from now on.
    Service(Answer),
    /// A caller for each identity asks at once.
    AskAll(Patience),
    /// This many callers ask, each for a random identity.
    Ask(usize, Patience),
    /// As many callers in each of so many seconds.
    Traffic(usize, u32),
    /// This many callers demand a new token, whatever is cached.
    Refresh(usize),
    /// An API rejects the tokens of this many identities.
    Reject(usize),
    /// The program drops this many of its credentials, with whoever waits for them.
    Forget(usize),
    /// This many callers ask on another runtime, which is blocked after so many turns.
    BlockedRuntime(usize, u8),
    /// The blocked runtime goes on for a while, and ends.
    Unblock,
    /// The service is healthy. Whoever waits gets a token, and so do all others.
    Heal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    /// A token, after so long.
    Token(Duration),
    /// An error, after so long.
    Fail(Duration),
    Hang,
}

/// How a caller waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Patience {
    /// It sets no deadline.
    Patient,
    Within(Duration),
    /// It is dropped after this time.
    Dropped(Duration),
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let identities = *random.choose(&[1, 3, 20, 60, 200]);
        let per_minute = *random.choose(&[0, 1, 5, 59, 60, 61, 130, 600, 1000]);
        // No world waits for hours.
        let identities = if per_minute == 0 { identities } else { identities.min(per_minute as usize * 4) };
        let capacity = if random.percent(80) { 1000 } else { (identities / 2).max(1) };
        let at_once = *random.choose(&[1, 2, 8, 64, 1000]);
        let lifetime = SECOND * *random.choose(&[20, 60, 600, 3600, 3600]);
        let count = random.within(3..16);
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(event(&mut random, identities, lifetime));
            events.push(Event::Pass(gap(&mut random, lifetime)));
        }
        events.push(Event::Heal);
        Self { seed, per_minute, at_once, capacity, identities, lifetime, events }
    }
}

fn event(random: &mut Random, identities: usize, lifetime: Duration) -> Event {
    let some = random.within(1..identities as u64 + 1) as usize;
    match random.within(0..100) {
        0..20 => Event::AskAll(patience(random)),
        20..35 => Event::Ask(some, patience(random)),
        35..45 => {
            let seconds = random.within(1..(lifetime.as_secs() / 2).min(100) + 2) as u32;
            Event::Traffic(some.min(10), seconds)
        }
        45..60 => Event::Service(answer(random)),
        60..65 => Event::Refresh(some),
        65..72 => Event::Reject(some),
        72..78 => Event::Forget(some),
        78..86 => Event::StandStill(gap(random, lifetime)),
        86..91 => Event::BlockedRuntime(some.min(20), random.within(0..6) as u8),
        91..94 => Event::Unblock,
        _ => Event::Heal,
    }
}

fn answer(random: &mut Random) -> Answer {
    let latency = *random.choose(&[Duration::ZERO, MS * 3, MS * 400, SECOND * 5]);
    match random.within(0..10) {
        0..6 => Answer::Token(latency),
        6..8 => Answer::Fail(latency),
        _ => Answer::Hang,
    }
}

fn patience(random: &mut Random) -> Patience {
    let time = MS * *random.choose(&[0, 1, 100, 1999, 2001, 30_000, 61_000, 100_000]);
    match random.within(0..10) {
        0..5 => Patience::Patient,
        5..7 => Patience::Within(time),
        _ => Patience::Dropped(time),
    }
}

fn gap(random: &mut Random, lifetime: Duration) -> Duration {
    match random.within(0..10) {
        0..2 => Duration::ZERO,
        2..5 => random.millis(1..3000),
        5..8 => SECOND * *random.choose(&[1, 2, 10, 30, 59, 60, 61, 300]),
        _ => lifetime * *random.choose(&[10, 50, 75, 90, 99, 100, 101]) / 100,
    }
}
