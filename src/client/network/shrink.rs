//! Makes a world that fails smaller.

use super::check::violations;
use super::run::run;
use super::world::World;

/// Returns a world that fails, without the events and the callers that it doesn't need.
pub(super) fn smallest(mut world: World) -> World {
    loop {
        let Some(smaller) = smaller(&world).into_iter().find(fails) else { return world };
        world = smaller;
    }
}

fn fails(world: &World) -> bool {
    !violations(world, &run(world)).is_empty()
}

/// Returns the world without one event, and without a part of the callers.
fn smaller(world: &World) -> Vec<World> {
    let mut all = Vec::new();
    for index in 0..world.events.len() {
        let mut smaller = world.clone();
        smaller.events.remove(index);
        all.push(smaller);
    }
    let callers = world.callers.len();
    let mut part = callers / 2;
    while part > 0 {
        for start in (0..callers).step_by(part) {
            let mut smaller = world.clone();
            smaller.callers.drain(start..(start + part).min(callers));
            all.push(smaller);
        }
        part /= 2;
    }
    all
}
