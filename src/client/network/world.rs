//! A world: callers, and what goes wrong when. It depends on its seed alone.

use std::fmt;
use std::time::Duration;

use tonic::Code;

use super::server::Mode;
use crate::random::Random;

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    /// One way on the network.
    pub(super) latency: Duration,
    /// How long making a connection takes, besides a round trip.
    pub(super) setup: Duration,
    /// How long servers take to answer.
    pub(super) answer: Duration,
    /// How long impersonated tokens live.
    pub(super) lifetime: Duration,
    pub(super) callers: Vec<Caller>,
    pub(super) events: Vec<Event>,
}

/// One line for the world, each caller and each event.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency, setup, answer, lifetime, .. } = self;
        writeln!(f, "latency {latency:?}, setup {setup:?}, answers {answer:?}, tokens {lifetime:?}")?;
        self.callers
            .iter()
            .enumerate()
            .try_for_each(|(number, caller)| writeln!(f, "{number}: {caller:?}"))?;
        self.events.iter().try_for_each(|event| writeln!(f, "{event:?}"))
    }
}

/// One call. Its number is its place in the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) at: Duration,
    pub(super) timeout: Duration,
    pub(super) attempt_timeout: Duration,
    pub(super) max_attempts: Option<u32>,
    /// Calls another API, through the layer.
    pub(super) through_layer: bool,
}

/// Something that happens at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) at: Duration,
    pub(super) fault: Fault,
    /// Whether it concerns the other API, not the one of this crate.
    pub(super) at_other_api: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The server answers in another way for a time.
    Mode(Mode, Duration),
    /// The server refuses connections for a time, after it has reset those that exist.
    Restart(Duration),
    /// All connections are reset.
    Reset,
    /// The server sends GOAWAY on all connections.
    Goaway,
    /// The network delivers nothing for a time: to the server, to the client.
    Holds(bool, bool, Duration),
    /// The connections that exist lose everything from now on: to the server, to the client.
    Loses(bool, bool),
    /// The handshake of new connections stalls for a time.
    Stalls(Duration),
    /// The token that calls authenticate with is revoked.
    Revokes,
    /// The source of tokens fails for a time, and the token is revoked at the start.
    SourceFails(Duration),
}

impl Fault {
    /// For how long the fault lasts.
    pub(super) fn lasts(&self) -> Duration {
        match *self {
            Self::Mode(_, time) | Self::Restart(time) | Self::Holds(_, _, time) => time,
            Self::Stalls(time) | Self::SourceFails(time) => time,
            Self::Reset | Self::Goaway | Self::Loses(..) | Self::Revokes => Duration::ZERO,
        }
    }

    /// Whether requests can be in progress whose replies never come, although the fault is over.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Mode(Mode::Hangs | Mode::IsSlow(_), _) | Self::Holds(..) | Self::Loses(..))
    }

    /// How many connections the fault can end. An attempt that waited in vain ends one too.
    pub(super) fn may_end_connections(&self) -> usize {
        let in_vain = |time: Duration| 2 + (time.as_secs() / 16) as usize;
        match self {
            Self::Mode(Mode::Hangs | Mode::IsSlow(_), time) => in_vain(*time),
            Self::Holds(_, _, time) | Self::Stalls(time) => in_vain(*time),
            Self::Loses(..) => 2,
            // Each request in a channel's queue tries to connect, so the last of many waits for long.
            Self::Restart(time) => in_vain(*time),
            Self::Reset | Self::Goaway => 1,
            Self::Mode(..) | Self::Revokes | Self::SourceFails(_) => 0,
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let latency = random.millis(0..100);
        let answer = random.millis(0..100);
        let setup = if random.chance(0.3) { random.millis(0..3000) } else { Duration::ZERO };
        let lifetime =
            if random.chance(0.3) { random.millis(20_000..120_000) } else { Duration::from_secs(3600) };
        let needed = 2 * latency + answer;
        let is_crowd = random.chance(0.06);
        let callers = if is_crowd { crowd(&mut random) } else { callers(&mut random, needed) };
        let count = *random.choose(&[0, 1, 1, 1, 2, 2, 3, 5]);
        let mut events: Vec<Event> = (0..count).map(|_| event(&mut random)).collect();
        if let (true, Some(first)) = (is_crowd, events.first_mut()) {
            // While the first requests are in progress.
            first.at = setup + needed.mul_f64(random.fraction() + 0.5);
        }
        Self { seed, latency, setup, answer, lifetime, callers, events }
    }
}

/// Returns 200 to 500 calls that begin together.
fn crowd(random: &mut Random) -> Vec<Caller> {
    let count = 200 + random.within(0..301);
    let (timeout, attempt_timeout) = (Duration::from_secs(60), Duration::from_secs(20));
    let caller = |_| Caller {
        at: random.millis(0..50),
        timeout,
        attempt_timeout,
        max_attempts: None,
        through_layer: random.chance(0.05),
    };
    (0..count).map(caller).collect()
}

/// Returns 2 to 40 callers. `needed` is the time for one request.
fn callers(random: &mut Random, needed: Duration) -> Vec<Caller> {
    let count = 2 + random.within(0..39);
    let at_once = random.chance(0.4);
    let through_layer = *random.choose(&[0.0, 0.3, 0.6]);
    let short = random.chance(0.3);
    let second = Duration::from_secs(1);
    let caller = |_| Caller {
        at: if at_once { random.millis(0..50) } else { random.millis(0..60_000) },
        timeout: match random.within(0..10) {
            0 if short => random.millis(1..500),
            1..4 if short => random.millis(500..10_000),
            4 => random.millis(10_000..60_000),
            _ => 60 * second,
        },
        attempt_timeout: match random.within(0..4) {
            0 | 1 if short => needed * 2 + random.millis(50..1000),
            2 => random.millis(5_000..30_000),
            _ => 20 * second,
        },
        max_attempts: random.chance(0.1).then(|| 1 + random.within(0..5) as u32),
        through_layer: random.chance(through_layer),
    };
    (0..count).map(caller).collect()
}

fn event(random: &mut Random) -> Event {
    let at = if random.chance(0.3) { random.millis(0..200) } else { random.millis(0..40_000) };
    let time = match random.within(0..5) {
        0 | 1 => random.millis(10..5_000),
        2 | 3 => random.millis(5_000..35_000),
        _ => random.millis(35_000..50_000),
    };
    let (to_server, to_client) = *random.choose(&[(true, true), (true, false), (false, true)]);
    let fault = match random.within(0..12) {
        0 | 1 => Fault::Mode(Mode::Refuses(*random.choose(&[Code::Unavailable, Code::Internal])), time),
        2 => Fault::Mode(mode(random), time),
        3 => Fault::Restart(time),
        4 => Fault::Reset,
        5 => Fault::Goaway,
        6 | 7 => Fault::Holds(to_server, to_client, time),
        8 => Fault::Loses(to_server, to_client),
        9 => Fault::Stalls(time),
        10 => Fault::Revokes,
        _ => Fault::SourceFails(time),
    };
    Event { at, fault, at_other_api: random.chance(0.25) }
}

fn mode(random: &mut Random) -> Mode {
    match random.within(0..5) {
        0 => Mode::AsksToWait(random.next() % 4_000),
        1 => Mode::Hangs,
        2 => Mode::IsSlow(random.next() % 4_000),
        3 => Mode::ResetsStreams,
        _ => Mode::IsReplaced,
    }
}
