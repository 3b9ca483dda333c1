//! Makes a world that fails smaller.

use super::check::violations;
use super::run::run;
use super::world::World;

/// How many worlds are run to find a smaller one.
const RUNS: usize = 300;

/// Returns a world that fails, without the events and the callers that it doesn't need.
pub(super) fn smallest(world: World) -> World {
    let mut shrinker = Shrinker { world, runs: 0 };
    shrinker.drop_events();
    shrinker.drop_callers();
    shrinker.drop_events();
    shrinker.world
}

struct Shrinker {
    /// The smallest world so far that fails.
    world: World,
    runs: usize,
}

impl Shrinker {
    fn drop_events(&mut self) {
        for index in (0..self.world.events.len()).rev() {
            self.attempt(|world| {
                world.events.remove(index);
            });
        }
    }

    /// Drops halves, then quarters, and so on.
    fn drop_callers(&mut self) {
        let mut part = self.world.callers.len() / 2;
        while part > 0 {
            let mut start = 0;
            while start < self.world.callers.len() {
                let end = (start + part).min(self.world.callers.len());
                let fails = self.attempt(|world| {
                    world.callers.drain(start..end);
                });
                if !fails {
                    start = end;
                }
            }
            part /= 2;
        }
    }

    /// Keeps the change if the world still fails. Returns whether it does.
    fn attempt(&mut self, change: impl FnOnce(&mut World)) -> bool {
        if self.runs == RUNS {
            return false;
        }
        self.runs += 1;
        let mut smaller = self.world.clone();
        change(&mut smaller);
        let fails = !violations(&smaller, &run(&smaller)).is_empty();
        if fails {
            self.world = smaller;
        }
        fails
    }
}
