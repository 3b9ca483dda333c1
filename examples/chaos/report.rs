//! The tables at the end.

use std::time::Duration;

use tonic::Code;

use crate::callers::{Outcomes, Tally};
use crate::invariants::Check;
use crate::schedule::Episode;

/// Prints what each kind of fault did to the callers, and which invariants held.
pub(crate) fn print(tally: &Tally, episodes: &[Episode], checks: &[Check]) {
    println!();
    println!("{:<16} {:>5} {:>8} {:>8}  {:>9}  failed", "fault", "times", "calls", "ok", "recovery");
    for (fault, outcomes) in tally {
        let of_kind = || episodes.iter().filter(|episode| episode.fault == *fault);
        let longest: Option<Duration> =
            of_kind().map(|episode| episode.recovered.unwrap_or(episode.allowed)).max();
        let longest = longest.map_or(String::new(), |longest| format!("{:.2} s", longest.as_secs_f64()));
        let (calls, ok, failed) = summary(outcomes);
        println!("{fault:<16} {:>5} {calls:>8} {ok:>8}  {longest:>9}  {failed}", of_kind().count());
    }
    println!();
    for Check { what, seen, holds } in checks {
        println!("{:<6} {what}: {seen}", if *holds { "ok" } else { "BROKEN" });
    }
}

/// Returns the number of calls, of successful ones, and the failures by their code.
fn summary(outcomes: &Outcomes) -> (u64, u64, String) {
    let calls = outcomes.by_code.values().sum();
    let ok = outcomes.by_code.get(&(Code::Ok as i32)).copied().unwrap_or_default();
    let failures = outcomes.by_code.iter().filter(|(code, _)| **code != Code::Ok as i32);
    let failures: Vec<_> =
        failures.map(|(code, count)| format!("{:?} {count}", Code::from_i32(*code))).collect();
    (calls, ok, failures.join(", "))
}
