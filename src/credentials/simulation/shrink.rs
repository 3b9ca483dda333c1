//! Finds a short world that breaks the same promise as a long one.

use std::time::Duration;

use super::run::Stage;
use super::world::{Event, World};
use crate::source::CacheHints;

/// Returns the shortest world that was found, and what is broken there.
pub(super) fn shrink(stage: &Stage, world: &World, broken: &str) -> (World, String) {
    let (mut best, mut broken) = (world.clone(), broken.to_owned());
    loop {
        let smaller = candidates(&best).find_map(|candidate| {
            let now_broken = stage.run(&candidate)?;
            is_same(&broken, &now_broken).then_some((candidate, now_broken))
        });
        match smaller {
            Some((candidate, now_broken)) => (best, broken) = (candidate, now_broken),
            None => return (best, broken),
        }
    }
}

/// Whether both texts name the same promise. What follows it differs.
fn is_same(one: &str, other: &str) -> bool {
    let promise = |text: &str| {
        text.split([':', '(']).next().unwrap_or_default().replace(|c: char| c.is_ascii_digit(), "")
    };
    promise(one).get(..12) == promise(other).get(..12)
}

/// Worlds that are a little simpler: without some of the events, or with shorter times.
fn candidates(world: &World) -> impl Iterator<Item = World> + '_ {
    let count = world.events.len();
    let sizes = std::iter::successors(Some(count / 2), |size| Some(size / 2)).take_while(|size| *size > 0);
    let without =
        sizes.flat_map(move |size| (0..=count - size).step_by(size.div_ceil(2)).map(move |at| (at, size)));
    let shorter = without.map(|(at, size)| {
        let mut events = world.events.clone();
        events.drain(at..at + size);
        World { events, ..world.clone() }
    });
    let plain = [World { hints: CacheHints::new(), ..world.clone() }, World { jitter: 0.0, ..world.clone() }];
    let plain = plain.into_iter().filter(|plain| plain.hints != world.hints || plain.jitter != world.jitter);
    let simpler = (0..count).flat_map(|at| simplifications(world.events[at]).map(move |event| (at, event)));
    let simpler = simpler.map(|(at, event)| {
        let mut events = world.events.clone();
        events[at] = event;
        World { events, ..world.clone() }
    });
    shorter.chain(plain).chain(simpler)
}

fn simplifications(event: Event) -> impl Iterator<Item = Event> {
    let changed = match event {
        Event::Pass(time) => rounded(time).map(Event::Pass),
        Event::Source(answer, latency) => rounded(latency).map(|latency| Event::Source(answer, latency)),
        Event::Replace(answer, latency) => rounded(latency).map(|latency| Event::Replace(answer, latency)),
        Event::Call(client, api, travel) if !travel.is_zero() => {
            Some(Event::Call(client, api, Duration::ZERO))
        }
        Event::AskEachSecond(times) if times > 1 => Some(Event::AskEachSecond(times / 2)),
        Event::AskAtOnce(_) | Event::AskEachSecond(_) => Some(Event::Ask(super::world::Patience::Patient)),
        _ => None,
    };
    changed.into_iter()
}

/// A time that is easier to read and shorter; `None` if there is none.
fn rounded(time: Duration) -> Option<Duration> {
    let seconds = Duration::from_secs(time.as_secs());
    let candidates = [Duration::ZERO, time / 2, seconds];
    candidates
        .into_iter()
        .find(|candidate| *candidate < time && (time.subsec_nanos() > 0 || candidate.is_zero()))
}
