//! What happens in a world: a list of events, drawn from a seed.

use std::time::Duration;

use crate::random::Random;
use crate::source::CacheHints;

/// A world, which is the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) hints: CacheHints,
    pub(super) jitter: f64,
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event {
    /// Time passes.
    Pass(Duration),

    /// What the source does from now on, and how long that takes.
    Source(Answer, Duration),
    /// The same, because what the source authenticates with is replaced.
    Replace(Answer, Duration),

    /// A caller asks for a token and waits.
    Ask(Patience),
    /// This many callers do.
    AskAtOnce(u8),
    /// A caller asks each second, this many times.
    AskEachSecond(u8),
    Refresh,
    /// A caller asks that can't wait.
    Intercept,
    KeepWarm,
    CoolDown,
    /// A caller gets a token, sends it to an API after this time, and reports a rejection.
    Call(Client, Api, Duration),

    /// An API rejects the next requests.
    RejectNext(u8),
    /// An API rejects everything, until further notice.
    RejectAll(bool),
    /// The tokens that the source has returned so far are good no longer.
    Revoke,

    /// The local clock is moved: forwards, or back.
    ClockAhead(Duration),
    ClockBack(Duration),
    /// The machine is suspended: only the wall clocks run.
    Suspend(Duration),

    /// A caller asks on a runtime of its own, which ends at once, or after this many turns.
    EndingRuntime(u8),
    /// The same on a runtime that is blocked then.
    BlockedRuntime(u8),
    /// The blocked runtime ends.
    Unblock,

    /// Source, clock and APIs are healthy. The cache must be too, within one pause.
    Heal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    /// A new token with this life.
    New(Duration),
    NewWithoutExpiry,
    /// The last token again.
    Same,
    /// The last secret, with this life from now on.
    Extended(Duration),
    /// A token that ended a second ago.
    Expired,
    TransientError,
    PermanentError,
    Hang,
    Panic,
}

/// How a caller waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Patience {
    /// As long as it takes.
    Patient,
    /// Until its own deadline.
    Within(Duration),
    /// The same, as a caller that retries by itself.
    RetryWithin(Duration),
    /// It is dropped after this time.
    Dropped(Duration),
}

/// How a caller of an API uses the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Client {
    /// Like the layer: reports the generation of a token, and doesn't repeat the request.
    Layer,
    /// Like the client of this crate: asks for another token, and repeats the request.
    Repeating,
    /// Like the interceptor: doesn't wait.
    Interceptor,
}

/// One API of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Api {
    Usual,
    /// It rejects all tokens, while the others accept them.
    Picky,
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let hints = draw.hints();
        let jitter = f64::from(*draw.random.choose(&[0_u8, 1, 4])) / 4.0;
        let count = draw.random.within(5..40);
        let mut events: Vec<Event> =
            (0..count).flat_map(|_| [draw.event(), Event::Pass(draw.gap())]).collect();
        events.push(Event::Heal);
        events.retain(|event| *event != Event::Pass(Duration::ZERO));
        Self { hints, jitter, events }
    }
}

/// Draws the events of one world, whose tokens have similar lives.
struct Draw {
    random: Random,
    life: Duration,
    /// Whether the token is kept warm, which makes time expensive.
    is_warm: bool,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let life = SECOND * *random.choose(&[1, 5, 20, 60, 300, 3600, 3600, 43_200]);
        Self { random, life, is_warm: false }
    }

    fn hints(&mut self) -> CacheHints {
        let hints = CacheHints::new();
        match self.random.within(0..6) {
            0 => hints.with_max_lifetime(self.life),
            1 => hints.with_renews_at(20 * SECOND),
            2 => hints.with_renews_at(self.life * 2).with_max_lifetime(self.life),
            3 => hints.with_renews_at(Duration::ZERO),
            _ => hints,
        }
    }

    fn event(&mut self) -> Event {
        match self.random.within(0..100) {
            0..20 => Event::Ask(self.patience()),
            20..24 => Event::AskAtOnce(self.random.within(2..6) as u8),
            24..30 => Event::AskEachSecond(self.random.within(2..40) as u8),
            30..34 => Event::Refresh,
            34..37 => Event::Intercept,
            37..40 => self.keep_warm(),
            40..56 => self.call(),
            56..70 => Event::Source(self.answer(), self.latency()),
            70..76 => Event::Replace(self.answer(), self.latency()),
            76..80 => Event::RejectNext(self.random.within(1..6) as u8),
            80..83 => Event::RejectAll(self.random.percent(50)),
            83..86 => Event::Revoke,
            86..89 => Event::ClockAhead(self.jump()),
            89..92 => Event::ClockBack(self.jump()),
            92..94 => Event::Suspend(self.jump()),
            94..96 => Event::EndingRuntime(self.random.within(0..4) as u8),
            96..98 => Event::BlockedRuntime(self.random.within(0..4) as u8),
            98 => Event::Unblock,
            _ => Event::Heal,
        }
    }

    fn answer(&mut self) -> Answer {
        match self.random.within(0..100) {
            0..40 => Answer::New(self.life),
            40..44 => Answer::NewWithoutExpiry,
            44..56 => Answer::Same,
            56..64 => Answer::Extended(self.life),
            64..68 => Answer::New(SECOND * *self.random.choose(&[1, 2, 12])),
            68..71 => Answer::Expired,
            71..81 => Answer::TransientError,
            81..88 => Answer::PermanentError,
            88..95 => Answer::Hang,
            _ => Answer::Panic,
        }
    }

    fn latency(&mut self) -> Duration {
        match self.random.within(0..10) {
            0..5 => Duration::ZERO,
            5..8 => MS * self.random.within(1..1500) as u32,
            8 => MS * self.random.within(1500..8000) as u32,
            _ => SECOND * self.random.within(8..70) as u32,
        }
    }

    fn patience(&mut self) -> Patience {
        let time = MS * *self.random.choose(&[0, 1, 100, 1000, 1999, 2001, 5000, 30_000]);
        match self.random.within(0..10) {
            0..5 => Patience::Patient,
            5..7 => Patience::Within(time),
            7 => Patience::RetryWithin(time),
            _ => Patience::Dropped(time),
        }
    }

    fn call(&mut self) -> Event {
        let client =
            *self.random.choose(&[Client::Layer, Client::Layer, Client::Repeating, Client::Interceptor]);
        let api = if self.random.percent(20) { Api::Picky } else { Api::Usual };
        Event::Call(client, api, MS * *self.random.choose(&[0, 0, 0, 50, 3000]))
    }

    fn keep_warm(&mut self) -> Event {
        self.is_warm = self.random.percent(60);
        if self.is_warm { Event::KeepWarm } else { Event::CoolDown }
    }

    /// The time between two events: none, short, around the limits in the rules, or a part of a life.
    fn gap(&mut self) -> Duration {
        let around = MS * self.random.within(0..3) as u32;
        let gap = match self.random.within(0..10) {
            0..2 => Duration::ZERO,
            2..4 => MS * self.random.within(1..3000) as u32,
            4..7 => SECOND * *self.random.choose(&[1, 2, 5, 10, 29, 30, 60, 61, 300]) + around,
            _ => self.life * *self.random.choose(&[1, 10, 70, 75, 80, 90, 99, 100, 101]) / 100 + around,
        };
        if self.is_warm { gap.min(60 * SECOND + around) } else { gap }
    }

    fn jump(&mut self) -> Duration {
        match self.random.within(0..4) {
            0 => MS * self.random.within(1..5000) as u32,
            1 => SECOND * self.random.within(1..600) as u32,
            2 => self.life * *self.random.choose(&[50, 75, 90, 100]) / 100,
            _ => HOUR * *self.random.choose(&[1, 8]),
        }
    }
}
