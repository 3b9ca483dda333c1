//! Simulation of the client and the layer over a network in memory.
//!
//! A [`World`] has up to 500 callers and a few faults: of the server, of the network, of the source of
//! tokens. It depends on its seed alone, and so does everything that happens in it. `check.rs` says
//! what must hold.
//!
//! To run more worlds than `cargo test` does:
//! `SIM_WORLDS=10000 SIM_SEED=1 cargo test --release --lib network`. A failure prints the smallest
//! world that fails in the same way.

mod check;
mod clock;
mod host;
mod inner_service;
mod pipe;
mod run;
mod server;
mod shrink;
mod source;
mod world;

use self::check::violations;
use self::run::run;
use self::world::World;
use crate::random::setting;

/// How many worlds `cargo test` runs.
const WORLDS: u64 = 40;

/// conf: A8, A9, A10, A23
#[test]
fn what_must_hold_holds_in_random_worlds() {
    let (worlds, first) = (setting("SIM_WORLDS", WORLDS), setting("SIM_SEED", 1));
    let failed = (first..first + worlds).find(|seed| {
        let world = World::new(*seed);
        !violations(&world, &run(&world)).is_empty()
    });
    if let Some(seed) = failed {
        eprintln!("seed {seed} fails after {} worlds", seed - first + 1);
        let smallest = shrink::smallest(World::new(seed));
        let report = run(&smallest);
        let found = violations(&smallest, &report);
        panic!("seed {seed}: {smallest}\n{} connections\n{}", report.connections, found.join("\n"));
    }
}

#[test]
fn a_world_depends_on_its_seed_alone() {
    for seed in [3, 5, 8] {
        let world = World::new(seed);
        assert_eq!(format!("{:?}", run(&world)), format!("{:?}", run(&world)), "seed {seed}");
    }
}
