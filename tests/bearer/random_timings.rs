//! Requests with random deadlines, through services and sources with random delays.
//!
//! Each seed makes one world, whose clock is paused. The rules are checked where the requests arrive
//! and where the callers get their outcomes.

mod inner;
mod world;

use std::time::Duration;

use tokio::time::timeout;

use self::world::{Tally, World};
use crate::support::random::setting;
use crate::support::runtime::one_paused_thread;

/// How many worlds there are. The variable `SIM_WORLDS` sets another number, `SIM_SEED` the first seed.
const WORLDS: u64 = 1_000;
/// Longer than any caller waits in any world.
const END_OF_TIME: Duration = Duration::from_secs(3_600);

/// conf: A3, A6, M24
#[test]
fn every_request_is_sent_in_time_with_a_good_token_or_fails_in_time() {
    let mut tally = Tally::default();
    let (first, worlds) = (setting("SIM_SEED", 0), setting("SIM_WORLDS", WORLDS));
    for seed in first..first + worlds {
        let world = World::new(seed);
        let ended = one_paused_thread().block_on(async { timeout(END_OF_TIME, world.run()).await });
        assert!(ended.is_ok(), "seed {seed}: a caller waits for ever");
        let violations = world.violations();
        assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
        tally += world.tally();
    }
    // The worlds contain what the rules are about.
    let Tally { sent_at_once, sent_after_wait, sent_with_another_token, failed } = tally;
    for (what, count) in [
        ("sent at once", sent_at_once),
        ("sent after a wait", sent_after_wait),
        ("sent with another token than the first", sent_with_another_token),
        ("not sent", failed),
    ] {
        assert!(count >= worlds / 40, "only {count} requests were {what}");
    }
}
