//! Random worlds that happen to a pool, and the promises that it must keep in each.
//!
//! A world is a list of events, drawn from a seed: see [`world::Event`]. The [`ledger`] states the
//! promises. `cargo test` runs [`DEFAULT_WORLDS`]. For more:
//!
//! ```text
//! SIM_WORLDS=10000 SIM_SEED=1 cargo test --release --lib pool::simulation
//! ```

mod ledger;
mod run;
mod service;
mod world;

use self::run::run;
pub(super) use self::service::instant_client;
use self::world::World;
use crate::random::setting;

const DEFAULT_WORLDS: u64 = 200;

/// conf: N5, N6, N7
#[test]
fn a_pool_keeps_its_promises_in_random_worlds() {
    let (worlds, first) = (setting("SIM_WORLDS", DEFAULT_WORLDS), setting("SIM_SEED", 1));
    for seed in first..first + worlds {
        let world = World::new(seed);
        if let Err(broken) = run(&world) {
            let (shortest, broken_there) = shrink(world, broken.clone());
            panic!("seed {seed}: {broken}\nthe shortest such world: {broken_there}\n{shortest:#?}");
        }
    }
}

/// Leaves events out, as long as some promise is still broken.
fn shrink(mut world: World, mut broken: String) -> (World, String) {
    let mut index = 0;
    while index < world.events.len() {
        let mut shorter = world.clone();
        shorter.events.remove(index);
        match run(&shorter) {
            Err(broken_there) => (world, broken) = (shorter, broken_there),
            Ok(()) => index += 1,
        }
    }
    (world, broken)
}
