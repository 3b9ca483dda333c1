//! Lets a world happen to a pool, on a paused clock.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, advance, sleep, timeout};

use super::ledger::Ledger;
use super::service::{Shared, client};
use super::world::{Answer, Event, Patience, World};
use crate::random::Random;
use crate::{Credentials, ImpersonationPool};

/// How long a healthy reply takes.
const LATENCY: Duration = Duration::from_millis(100);

/// Returns the first promise that the pool breaks in this world.
pub(super) fn run(world: &World) -> Result<(), String> {
    let runtime = paused();
    // The clocks of later runtimes start at the real time, and can only be advanced.
    runtime.block_on(advance(Duration::from_secs(86_400)));
    let mut running = Running::new(&runtime, world);
    for event in &world.events {
        running.happen(*event);
        if let Some(broken) = running.broken() {
            return Err(format!("{event:?}: {broken}"));
        }
    }
    running.end()
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// A world while it happens.
struct Running<'a> {
    world: &'a World,
    runtime: &'a Runtime,
    random: Random,
    pool: ImpersonationPool,
    outside: Shared,
    callers: Vec<AbortHandle>,
    blocked: Option<Runtime>,
}

impl<'a> Running<'a> {
    fn new(runtime: &'a Runtime, world: &'a World) -> Self {
        let _context = runtime.enter();
        let outside = Shared::new(Ledger::new(world));
        let pool = ImpersonationPool::builder(client(outside.clone()).expect("a client"))
            .capacity(world.capacity)
            .max_in_flight(world.at_once)
            .max_fetches_per_minute(world.per_minute)
            .jitter_seed(world.seed)
            .build();
        let random = Random::new(world.seed);
        Self { world, runtime, random, pool, outside, callers: Vec::new(), blocked: None }
    }

    fn broken(&self) -> Option<String> {
        let mut outside = self.outside.lock();
        let stats = self.pool.stats();
        let requests = outside.ledger.requests;
        outside.ledger.keep(stats.fetches() == requests, || format!("{requests} requests, but {stats:?}"));
        outside.ledger.broken.clone()
    }

    fn happen(&mut self, event: Event) {
        let _context = self.runtime.enter();
        match event {
            Event::Pass(time) => self.pass(time),
            Event::StandStill(time) => {
                self.outside.lock().ledger.stands_still(time);
                self.runtime.block_on(async {
                    advance(time).await;
                    self.outside.lock().ledger.is_disturbed();
                });
            }
            Event::Service(answer) => self.outside.lock().answer = answer,
            Event::AskAll(patience) => (0..self.world.identities).for_each(|one| self.ask(one, patience)),
            Event::Ask(count, patience) => (0..count).for_each(|_| {
                let one = self.draw();
                self.ask(one, patience);
            }),
            Event::Traffic(count, seconds) => (0..seconds).for_each(|_| {
                (0..count).for_each(|_| {
                    let one = self.draw();
                    self.ask(one, Patience::Patient);
                });
                self.pass(Duration::from_secs(1));
            }),
            Event::Refresh(count) => (0..count).for_each(|_| {
                let one = self.draw();
                self.outside.lock().ledger.asks(one, None, false);
                let acting = self.credentials(one);
                self.callers.push(self.runtime.spawn(async move { acting.refresh().await }).abort_handle());
            }),
            Event::Reject(count) => (0..count).for_each(|_| {
                let acting = self.acting();
                let _ = acting.cached().map(|token| acting.invalidate(&token));
            }),
            Event::Forget(count) => (0..count).for_each(|_| {
                if !self.callers.is_empty() {
                    let index = self.random.within(0..self.callers.len() as u64) as usize;
                    self.callers.swap_remove(index).abort();
                }
            }),
            Event::BlockedRuntime(count, turns) => self.block_a_runtime(count, turns),
            Event::Unblock => self.unblock(),
            Event::Heal => self.heal(),
        }
        self.callers.retain(|caller| !caller.is_finished());
    }

    fn draw(&mut self) -> usize {
        self.random.within(0..self.world.identities as u64) as usize
    }

    fn acting(&mut self) -> Credentials {
        let one = self.draw();
        self.credentials(one)
    }

    fn credentials(&self, identity: usize) -> Credentials {
        let target = format!("customer-{identity}@project.iam.gserviceaccount.com");
        let acting = self.pool.impersonate(target).lifetime(self.world.lifetime);
        acting.access_token(["email"]).expect("credentials")
    }

    fn pass(&self, time: Duration) {
        self.runtime.block_on(async { sleep(time).await });
    }

    fn ask(&mut self, identity: usize, patience: Patience) {
        let (outside, acting) = (self.outside.clone(), self.credentials(identity));
        let caller = self.runtime.spawn(async move {
            let (deadline, stays) = match patience {
                Patience::Patient => (None, true),
                Patience::Within(time) => (Some(time), true),
                Patience::Dropped(_) => (None, false),
            };
            let caller = outside.lock().ledger.asks(identity, deadline, stays);
            let outcome = match patience {
                Patience::Patient => acting.token().await,
                Patience::Within(time) => acting.token_within(Instant::now() + time).await,
                Patience::Dropped(time) => match timeout(time, acting.token()).await {
                    Ok(outcome) => outcome,
                    Err(_) => return,
                },
            };
            outside.lock().ledger.gets(caller, &outcome);
        });
        self.callers.push(caller.abort_handle());
    }

    /// Asks on another runtime, and runs that for some turns.
    fn block_a_runtime(&mut self, count: usize, turns: u8) {
        self.unblock();
        let now = self.runtime.block_on(async {
            sleep(Duration::from_millis(1)).await;
            Instant::now()
        });
        let runtime = paused();
        let asking: Vec<Credentials> = (0..count).map(|_| self.acting()).collect();
        // Without this guard, the time would be the real one.
        runtime.block_on(async {
            advance(now - Instant::now()).await;
            for acting in asking {
                tokio::spawn(async move { acting.token().await });
            }
            for _ in 0..turns {
                yield_now().await;
            }
        });
        self.blocked = Some(runtime);
    }

    fn unblock(&mut self) {
        let Some(blocked) = self.blocked.take() else { return };
        let now = self.runtime.block_on(async { Instant::now() });
        blocked.block_on(async {
            advance(now - Instant::now()).await;
            for _ in 0..self.random.within(0..20) {
                yield_now().await;
            }
        });
        // What a fetch got is as old as its runtime stood still.
        self.runtime.block_on(async { self.outside.lock().ledger.is_disturbed() });
    }

    /// Makes everything healthy. Then everybody gets a token, in the time that the limits need.
    fn heal(&mut self) {
        self.unblock();
        self.outside.lock().answer = Answer::Token(LATENCY);
        let World { identities, at_once, per_minute, .. } = *self.world;
        let fetches = (self.pool.stats().waiting() + 2 * identities) as u32;
        let by_quota = if per_minute == 0 {
            Duration::ZERO
        } else {
            Duration::from_secs(62) * fetches / per_minute.max(1)
        };
        let by_slots = LATENCY * fetches / at_once.min(fetches as usize) as u32;
        // What hangs ends, what is lost is given up, and failures are replayed.
        let bound = by_quota * 2 + by_slots + Duration::from_secs(200);
        let all: Vec<_> = (0..identities)
            .map(|identity| {
                let acting = self.credentials(identity);
                let outside = self.outside.clone();
                self.runtime.spawn(async move {
                    outside.lock().ledger.asks(identity, None, true);
                    while acting.token().await.is_err() {
                        sleep(Duration::from_secs(1)).await;
                    }
                })
            })
            .collect();
        let everybody = joined(all);
        if self.runtime.block_on(async { timeout(bound, everybody).await }).is_err() {
            let stats = self.pool.stats();
            self.outside.lock().ledger.keep(false, || format!("somebody starves for {bound:?}: {stats:?}"));
        }
    }

    /// Ends the world. Nothing may be left behind.
    fn end(mut self) -> Result<(), String> {
        self.callers.drain(..).for_each(|caller| caller.abort());
        self.unblock();
        self.outside.lock().answer = Answer::Token(LATENCY);
        let fetches = (self.pool.stats().waiting() + 1) as u32;
        let minutes = 3 + fetches.checked_div(self.world.per_minute).unwrap_or_default();
        self.pass(Duration::from_secs(62) * minutes);
        let (stats, open) = (self.pool.stats(), self.outside.lock().ledger.open());
        if (stats.waiting(), stats.in_flight(), open) != (0, 0, 0) {
            return Err(format!("not everything has ended: {stats:?}, {open} requests are open"));
        }
        let Self { runtime, pool, .. } = self;
        drop(pool);
        runtime.block_on(async { sleep(Duration::from_millis(1)).await });
        match runtime.metrics().num_alive_tasks() {
            0 => Ok(()),
            left => Err(format!("{left} tasks are left")),
        }
    }
}

async fn joined(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("no panic");
    }
}
