//! Many processes use one cache while files are damaged, runs are killed, clocks jump and logins change.
//!
//! What the processes print is judged by what the tokens say, not by what the cache knows.
//! `CACHE_BATCHES=2000 CACHE_SEED=1 cargo test --release --features cli --bin iamcreds attack` runs more.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod damage;
mod worker;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::Duration;

use self::worker::{LIFE, Run};
use random::{Random, setting};

#[path = "../../../../tests/support/random.rs"]
mod random;

/// How many processes start at once.
const RUNS: usize = 6;

struct Attack {
    random: Random,
    root: tempfile::TempDir,
    /// Seconds since the attack started, by a clock that is always right.
    time: i64,
    /// How far the machine's clock is from it.
    clock_error: i64,
    login: u64,
    /// When tokens were minted that must be in the cache now.
    stored: HashMap<String, i64>,
}

/// What a batch of runs suffers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    None,
    Kills,
    Hang,
    Damage,
}

impl Attack {
    fn new(seed: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("ledger"), "").unwrap();
        let random = Random::new(seed);
        Self { random, root, time: 0, clock_error: 0, login: 0, stored: HashMap::new() }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("iamcreds")
    }

    /// Lets time pass, and sometimes sets the clock or changes the login.
    fn pass_time(&mut self) {
        self.time += i64::try_from(self.random.within(0..1500)).unwrap();
        if self.random.percent(25) {
            let error = i64::try_from(self.random.within(0..8000)).unwrap() - 4000;
            self.clock_error = if self.random.percent(50) { 0 } else { error };
            self.stored.clear();
        }
        if self.random.percent(15) {
            self.login = self.random.within(0..3);
        }
    }

    fn trouble(&mut self) -> Trouble {
        match self.random.within(0..100) {
            0..40 => Trouble::None,
            40..69 => Trouble::Kills,
            69 => Trouble::Hang,
            _ => Trouble::Damage,
        }
    }

    fn run_batch(&mut self) {
        let trouble = self.trouble();
        if trouble == Trouble::Damage {
            damage::damage(&self.folder(), &mut self.random);
        }
        let before = self.minted().len();
        let runs: Vec<Run> = (0..RUNS).map(|_| self.run()).collect();
        let mut children: Vec<Child> = runs.iter().map(Run::start).collect();
        self.make_trouble(trouble, &mut children);
        let outcomes: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        for (index, (run, outcome)) in runs.iter().zip(&outcomes).enumerate() {
            let victim = index == 0 && matches!(trouble, Trouble::Kills | Trouble::Hang);
            match run.printed(outcome) {
                Some(token) => run.judge(&token),
                None => assert!(victim, "{trouble:?}: a run failed: {outcome:?}"),
            }
        }
        damage::clear_the_way(&self.folder());
        let minted = self.minted()[before..].to_vec();
        let said =
            || outcomes.iter().map(|outcome| String::from_utf8_lossy(&outcome.stderr).into_owned()).collect();
        self.count_mints(trouble, &minted, said);
    }

    fn run(&mut self) -> Run {
        let identity = format!("login{}-target{}", self.login, self.random.within(0..2));
        Run {
            root: self.root.path().to_owned(),
            identity,
            time: self.time,
            clock_error: self.clock_error,
            mint_millis: self.random.within(0..40),
        }
    }

    /// Hits the first run, or the files of all, while they run.
    fn make_trouble(&mut self, trouble: Trouble, children: &mut [Child]) {
        thread::sleep(self.random.millis(0..100));
        match trouble {
            Trouble::None => {}
            // A run that ended already can't be killed.
            Trouble::Kills => drop(children[0].kill()),
            Trouble::Hang => {
                worker::signal(&children[0], "-STOP");
                thread::sleep(super::LOCK_PATIENCE + Duration::from_secs(2));
                worker::signal(&children[0], "-KILL");
            }
            Trouble::Damage => {
                for _ in 0..4 {
                    damage::damage(&self.folder(), &mut self.random);
                    thread::sleep(self.random.millis(0..20));
                }
            }
        }
    }

    /// Returns the identities of all tokens that were minted.
    fn minted(&self) -> Vec<String> {
        let ledger = fs::read_to_string(self.root.path().join("ledger")).unwrap();
        ledger.lines().map(str::to_owned).collect()
    }

    /// Checks that no token was minted twice without a reason.
    fn count_mints(&mut self, trouble: Trouble, minted: &[String], said: impl Fn() -> String) {
        if trouble != Trouble::None || self.clock_error > 0 {
            self.stored.clear();
            return;
        }
        let mut counts: HashMap<&String, u32> = HashMap::new();
        for identity in minted {
            *counts.entry(identity).or_default() += 1;
        }
        for (identity, count) in counts {
            let stored = self.stored.insert(identity.clone(), self.time);
            let age = stored.map(|minted| self.time - minted);
            assert!(count == 1, "{identity} was minted {count} times at once: {}", said());
            let is_due = age.is_none_or(|age| age >= LIFE - 225);
            assert!(is_due, "{identity} was minted again after {age:?} s: {}", said());
        }
    }
}

/// conf: I30, I31, I32, I33
#[test]
fn no_run_prints_a_wrong_token_whatever_happens_to_the_cache() {
    let seed = setting("CACHE_SEED", 4);
    let mut attack = Attack::new(seed);
    for batch in 0..setting("CACHE_BATCHES", 12) {
        attack.pass_time();
        attack.run_batch();
        if batch % 100 == 99 {
            println!("seed {seed}: {} batches, {} mints", batch + 1, attack.minted().len());
        }
    }
}
