//! Random worlds that happen to the cache, and the promises that it must keep in each.
//!
//! A world is a list of events, drawn from a seed: see [`world::Event`]. The [`ledger`] states the
//! promises. `cargo test` runs [`DEFAULT_WORLDS`]. For more:
//!
//! ```text
//! SIM_WORLDS=1000000 SIM_SEED=1 SIM_THREADS=2 cargo test --release --lib simulation
//! ```
//!
//! `SIM_SEED` is the first seed. A failure prints its seed, the promise that was broken, and the
//! shortest list of events that was found to break one.

mod callers;
mod clocks;
mod fetches;
mod known;
mod ledger;
mod run;
mod shrink;
mod source;
mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use self::run::Stage;
use self::shrink::shrink;
use self::world::World;
use crate::random::setting;

const DEFAULT_WORLDS: u64 = 2000;
/// After so many worlds, a thread begins with new clocks.
const WORLDS_PER_STAGE: u64 = 1000;

/// conf: A1, A2, A4, A5, A25, M8, M9, M10, M11, M12, M13, M14, M17, M21, M22, R6, F12
#[test]
fn the_cache_keeps_its_promises_in_random_worlds() {
    let (worlds, first) = (setting("SIM_WORLDS", DEFAULT_WORLDS), setting("SIM_SEED", 1));
    let threads = setting("SIM_THREADS", 1);
    let found = AtomicBool::new(false);
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let seeds = (first + thread..first + worlds).step_by(threads as usize);
                scope.spawn(|| run_worlds(seeds, &found))
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("a world panicked")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Returns a report on the first world in which a promise is broken.
fn run_worlds(seeds: impl Iterator<Item = u64>, found: &AtomicBool) -> Option<String> {
    let mut stage = Stage::new();
    for (seed, count) in seeds.zip(1..) {
        if count % WORLDS_PER_STAGE == 0 {
            stage = Stage::new();
        }
        let world = World::new(seed);
        if let Some(broken) = stage.run(&world) {
            found.store(true, Ordering::Relaxed);
            return Some(report(&Stage::new(), seed, &world, &broken));
        }
        if found.load(Ordering::Relaxed) {
            return None;
        }
    }
    None
}

fn report(stage: &Stage, seed: u64, world: &World, broken: &str) -> String {
    let (shortest, broken_there) = shrink(stage, world, broken);
    let World { hints, jitter, events } = shortest;
    let events: Vec<String> = events.iter().map(|event| format!("    {event:?},")).collect();
    format!(
        "seed {seed}: {broken}\nthe shortest such world: {broken_there}\n  {hints:?}, jitter {jitter}\n{}",
        events.join("\n")
    )
}
