//! Random worlds that happen to credentials with a boundary, and the promises that must hold in each.
//!
//! Time is paused. Sources are replaced, also while they fetch; lookups succeed, fail, hang and panic;
//! clocks jump; handles are cloned and dropped. `SIM_WORLDS` and `SIM_SEED` choose the worlds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, sleep};

use super::lookup::{Locations, Lookup};
use super::resource::Resource;
use super::schedule::{FIRST_PAUSE, LIFETIME, LONGEST_PAUSE, REFRESH_AHEAD};
use super::source::BoundedSource;
use crate::credentials::TimeSource;
use crate::random::{Random, setting};
use crate::source::{BoxFuture, FetchRequest, SourceInfo};
use crate::{Credentials, Error, Token, TokenSource, headers};

const HEADER: &str = "x-allowed-locations";
const DEFAULT_WORLDS: u64 = 150;
const EVENTS: u64 = 150;
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// What the servers, the file and the clocks of one world are like.
#[derive(Clone)]
struct World(Arc<Mutex<Facts>>);

struct Facts {
    random: Random,
    start: Instant,
    /// How far the wall clock is from the monotonic one, in seconds.
    wall_offset: i64,
    /// The identity in the file, and the one that the source has taken from it.
    file: u64,
    current: u64,
    replacements: u64,
    tokens: u64,
    /// For each value: its identity, and when its lookup began.
    values: HashMap<String, (u64, Duration, SystemTime)>,
    in_flight: usize,
    lookups: u64,
    failures: u64,
    is_healthy: bool,
    /// A promise that was broken inside a lookup, where panics are caught.
    broken: Option<&'static str>,
}

impl World {
    fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        Self(Arc::new(Mutex::new(Facts {
            random,
            start: Instant::now(),
            wall_offset: 0,
            file: 0,
            current: 0,
            replacements: 0,
            tokens: 0,
            values: HashMap::new(),
            in_flight: 0,
            lookups: 0,
            failures: 0,
            is_healthy: false,
            broken: None,
        })))
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn credentials(&self) -> Credentials {
        let source =
            BoundedSource::new(Arc::new(self.clone()), Arc::new(self.clone()), "googleapis.com".into());
        let source = source.with_time_source(Arc::new(self.clone()));
        Credentials::with_time_source(Arc::new(source), self.clone())
    }
}

impl Facts {
    fn mono(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> SystemTime {
        let base = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.mono();
        match u64::try_from(self.wall_offset) {
            Ok(ahead) => base + Duration::from_secs(ahead),
            Err(_) => base - Duration::from_secs(self.wall_offset.unsigned_abs()),
        }
    }

    /// The source reads its file.
    fn read_file(&mut self) {
        if self.file != self.current {
            self.current = self.file;
            self.replacements += 1;
        }
    }
}

fn email(identity: u64) -> String {
    format!("id{identity}@p.iam.gserviceaccount.com")
}

impl TimeSource for World {
    fn wall(&self) -> SystemTime {
        self.facts().wall()
    }

    fn jitter(&self) -> f64 {
        self.facts().random.fraction()
    }
}

impl TokenSource for World {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async {
            let (identity, number, latency, fails) = {
                let mut facts = self.facts();
                facts.read_file();
                facts.tokens += 1;
                let latency = facts.random.millis(0..3000);
                let fails = !facts.is_healthy && facts.random.percent(10);
                (facts.current, facts.tokens, latency, fails)
            };
            sleep(latency).await;
            if fails {
                return Err(Error::credentials("an outage", true));
            }
            Token::new(format!("{identity}.{number}"), self.facts().wall() + TOKEN_LIFE)
        })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().with_principal(email(self.facts().current))
    }

    fn revision(&self) -> u64 {
        let mut facts = self.facts();
        facts.read_file();
        facts.replacements
    }
}

impl Locations for World {
    fn lookup(&self, info: &SourceInfo) -> Option<Arc<dyn Lookup>> {
        let (world, resource) = (self.clone(), Resource::of(info)?);
        Some(Arc::new(Server { world, resource, history: Mutex::default() }))
    }
}

/// The lookups of one boundary.
struct Server {
    world: World,
    resource: Resource,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    in_flight: bool,
    /// Earlier than this, no lookup may begin, unless a wall clock was changed.
    not_before: Duration,
    pause: Option<Duration>,
}

/// Ends a lookup, also if its task is aborted.
struct InFlight<'a>(&'a Server);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.world.facts().in_flight -= 1;
        self.0.history().in_flight = false;
    }
}

impl Server {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promise(&self, is_kept: bool, promise: &'static str) {
        if !is_kept {
            self.world.facts().broken = Some(promise);
        }
    }

    /// Takes in the end of a lookup.
    fn ended(&self, began: Duration, is_success: bool) {
        let now = self.world.facts().mono();
        let mut history = self.history();
        let pause = history.pause.unwrap_or(FIRST_PAUSE);
        (history.not_before, history.pause) = match is_success {
            true => (began + LIFETIME - REFRESH_AHEAD, None),
            false => (now + pause, Some((pause * 2).min(LONGEST_PAUSE))),
        };
    }

    async fn answer(&self, token: &Token) -> Result<HeaderValue, Error> {
        let (began, began_by_wall, latency, outcome) = {
            let mut facts = self.world.facts();
            let healthy = facts.is_healthy;
            let latency = if healthy { Duration::ZERO } else { facts.random.millis(0..80_000) };
            let outcome = if healthy { 0 } else { facts.random.within(0..10) };
            facts.in_flight += 1;
            facts.lookups += 1;
            (facts.mono(), facts.wall(), latency, outcome)
        };
        let (identity, _) = token.secret().split_once('.').unwrap();
        let own = email(identity.parse().unwrap());
        {
            let mut history = self.history();
            let jumps = self.world.facts().wall_offset != 0;
            self.promise(!history.in_flight, "two lookups of one identity at once");
            self.promise(jumps || began >= history.not_before, "a lookup before its pause has ended");
            self.promise(self.resource.as_str().ends_with(&own), "a lookup with another identity's token");
            history.in_flight = true;
        }
        let _in_flight = InFlight(self);
        if outcome == 9 {
            // The crate ends it after a minute.
            self.hang().await;
        }
        sleep(latency.min(Duration::from_secs(59))).await;
        match outcome {
            0..5 => {
                let value = {
                    let mut facts = self.world.facts();
                    let value = format!("0x{:x}", facts.values.len() + 1);
                    let identity = identity.parse().unwrap();
                    facts.values.insert(value.clone(), (identity, began, began_by_wall));
                    value
                };
                self.ended(began, true);
                Ok(HeaderValue::from_str(&value).unwrap())
            }
            5..8 => {
                self.ended(began, false);
                self.world.facts().failures += 1;
                Err(Error::transport("an outage", true))
            }
            _ => {
                self.ended(began, false);
                panic!("a secret")
            }
        }
    }

    async fn hang(&self) {
        // The failure is counted at the time limit, which is a moment later than this.
        sleep(Duration::from_secs(59)).await;
        self.ended(Duration::ZERO, false);
        sleep(Duration::from_secs(100)).await;
    }
}

impl Lookup for Server {
    fn look_up<'a>(
        &'a self,
        _resource: &'a Resource,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<HeaderValue, Error>> {
        Box::pin(self.answer(token))
    }
}

/// Sends a request and checks its headers. Returns whether it had a boundary.
async fn request(world: &World, credentials: &Credentials) -> bool {
    let mut headers = HeaderMap::new();
    if world.facts().random.percent(30) {
        // Of another credential, or made up.
        headers.insert(headers::ALLOWED_LOCATIONS, HeaderValue::from_static("0xdead"));
    }
    let (was_cached, before) = (credentials.cached().is_some(), Instant::now());
    let Ok(()) = credentials.apply(&mut headers).await else {
        assert!(!was_cached, "a request failed although a token was cached");
        return false;
    };
    if was_cached {
        // At most the pause in which the cache waits for a better token.
        assert!(before.elapsed() <= Duration::from_secs(2), "a request waited {:?}", before.elapsed());
    }
    let secret = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let identity: u64 = secret.split_once('.').unwrap().0.parse().unwrap();
    assert!(headers.get_all(HEADER).iter().count() <= 1);
    let Some(value) = headers.get(HEADER) else { return false };
    let facts = world.facts();
    let (owner, mono, wall) = facts.values[value.to_str().unwrap()];
    assert_eq!(owner, identity, "a boundary was sent with the token of another identity");
    assert!(facts.mono() < mono + LIFETIME, "a boundary was sent after its end");
    assert!(facts.wall() < wall + LIFETIME, "a boundary was sent after its end by the wall clock");
    true
}

/// The handles of one world: those with a boundary, and others without.
struct Handles {
    bounded: Vec<Credentials>,
    other: Credentials,
}

async fn live(seed: u64) -> (u64, u64, u64) {
    let world = World::new(seed);
    let other = Credentials::fixed(Token::new("0.0", None).unwrap());
    let mut handles = Handles { bounded: vec![world.credentials()], other };
    let mut bounded = 0;
    for _ in 0..EVENTS {
        bounded += u64::from(happen(&world, &mut handles, seed.is_multiple_of(3)).await);
    }
    recover(&world, &handles.bounded[0]).await;
    // A lookup begins, and then there is nobody who needs it.
    sleep(LIFETIME).await;
    let _ = request(&world, &handles.bounded[0]).await;
    drop(handles);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let facts = world.facts();
    assert_eq!(facts.in_flight, 0, "a lookup outlives the credentials");
    assert_eq!(facts.broken, None);
    (bounded, facts.lookups, facts.failures)
}

/// Lets one random event happen. Returns whether it was a request with a boundary.
async fn happen(world: &World, handles: &mut Handles, clocks_jump: bool) -> bool {
    let event = world.facts().random.within(0..20);
    let clone = world.facts().random.choose(&handles.bounded).clone();
    match event {
        0..9 => {
            let is_bounded = request(world, &clone).await;
            // A lookup that it began reads the clocks before they are changed.
            tokio::task::yield_now().await;
            return is_bounded;
        }
        9..11 => {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static("0xdead"));
            // The flag of the process is set by the first token with a boundary.
            if clone.cached().is_some() {
                handles.other.apply(&mut headers).await.unwrap();
                assert!(!headers.contains_key(HEADER), "a boundary with another credential's token");
            }
        }
        11..14 => {
            let pause = world.facts().random.millis(0..5000);
            sleep(pause).await;
        }
        14..16 => {
            let pause = world.facts().random.millis(60_000..9_000_000);
            sleep(pause).await;
        }
        16 => {
            let mut facts = world.facts();
            facts.file = facts.random.within(0..3);
        }
        // Another cache on the same source.
        17 => world.facts().read_file(),
        18 => handles.bounded.push(clone),
        _ if clocks_jump => {
            let mut facts = world.facts();
            facts.wall_offset += facts.random.within(0..50_000) as i64 - 20_000;
        }
        _ => handles.bounded.truncate(1),
    }
    false
}

/// The servers are healthy again: after the longest pause, requests have the boundary.
async fn recover(world: &World, credentials: &Credentials) {
    sleep(Duration::from_secs(100)).await;
    world.facts().is_healthy = true;
    sleep(LONGEST_PAUSE).await;
    for _ in 0..3 {
        request(world, credentials).await;
        sleep(Duration::from_secs(60)).await;
    }
    assert!(request(world, credentials).await, "no boundary although all servers are healthy");
}

/// conf: B5, B6, P33
#[test]
fn the_boundary_keeps_its_promises_in_random_worlds() {
    let (worlds, first) = (setting("SIM_WORLDS", DEFAULT_WORLDS), setting("SIM_SEED", 1));
    let mut seen = (0, 0, 0);
    for seed in first..first + worlds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(live(seed))));
        let counts = result.unwrap_or_else(|_| panic!("a promise was broken in the world of seed {seed}"));
        seen = (seen.0 + counts.0, seen.1 + counts.1, seen.2 + counts.2);
    }
    // The worlds would prove nothing if nothing happened in them.
    assert!(seen.0 > worlds && seen.1 > worlds && seen.2 > worlds / 2, "{seen:?}");
}
