//! Lets a world happen to a cache, on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, advance, sleep};

use super::callers::Program;
use super::source::Shared;
use super::world::{Answer, Api, Client, Event, Patience, World};
use crate::Credentials;
use crate::credentials::KeepWarm;

/// A local clock that is further ahead than this makes every token of an hour seem too old.
const CLOCK_TOLERANCE: i64 = 50 * 60 * 1000;

/// The runtime that all worlds of a thread share. It goes on when others end.
pub(super) struct Stage(Runtime);

impl Stage {
    pub(super) fn new() -> Self {
        let runtime = paused();
        // The clocks of later runtimes start at the real time, and can only be advanced.
        runtime.block_on(advance(Duration::from_secs(86_400)));
        Self(runtime)
    }

    /// Returns the first promise that the cache breaks in this world.
    pub(super) fn run(&self, world: &World) -> Option<String> {
        let mut running = Running::new(&self.0, world);
        for event in &world.events {
            running.happen(*event);
            if let Some(broken) = running.broken() {
                return Some(broken);
            }
        }
        running.end()
    }
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// A world while it happens.
struct Running<'a> {
    runtime: &'a Runtime,
    program: Option<Program>,
    outside: Shared,
    callers: Vec<AbortHandle>,
    warm: Option<KeepWarm>,
    blocked: Option<Runtime>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.blocked = None;
        self.warm = None;
        self.callers.drain(..).for_each(|caller| caller.abort());
        self.program = None;
        self.runtime.block_on(async { sleep(Duration::from_millis(1)).await });
    }
}

impl<'a> Running<'a> {
    fn new(runtime: &'a Runtime, world: &World) -> Self {
        let _context = runtime.enter();
        let outside = Shared::new(world.hints, world.jitter);
        let time = outside.lock().ledger.clocks.manual();
        outside.lock().lasting = Some(runtime.handle().id());
        let credentials = Credentials::with_time_source(Arc::new(outside.clone()), time);
        let program = Some(Program { credentials, outside: outside.clone() });
        Self { runtime, program, outside, callers: Vec::new(), warm: None, blocked: None }
    }

    fn broken(&self) -> Option<String> {
        self.outside.lock().ledger.broken.clone()
    }

    fn program(&self) -> Program {
        self.program.clone().expect("the world goes on")
    }

    fn happen(&mut self, event: Event) {
        let _context = self.runtime.enter();
        match event {
            Event::Pass(time) => self.pass(time),
            Event::Ask(patience) => self.ask(patience),
            Event::AskAtOnce(count) => (0..count).for_each(|_| self.ask(Patience::Patient)),
            Event::AskEachSecond(times) => self.spawn(self.program().ask_each_second(times)),
            Event::Refresh => self.spawn(self.program().refresh()),
            Event::Intercept => {
                let program = self.program();
                self.spawn(async move { program.intercept() });
            }
            Event::KeepWarm => self.warm = Some(self.program().credentials.keep_warm()),
            Event::CoolDown => self.warm = None,
            Event::Call(client, api, travel) => self.spawn(self.program().call(client, api, travel)),
            Event::EndingRuntime(turns) => drop(self.ask_elsewhere(turns)),
            Event::BlockedRuntime(turns) => self.block_a_runtime(turns),
            Event::Unblock => self.unblock(),
            Event::Heal => self.heal(),
            event => self.change_the_outside(event),
        }
    }

    fn change_the_outside(&self, event: Event) {
        let mut outside = self.outside.lock();
        match event {
            Event::Source(answer, latency) => (outside.answer, outside.latency) = (answer, latency),
            Event::Replace(answer, latency) => {
                (outside.answer, outside.latency) = (answer, latency);
                outside.ledger.revision += 1;
            }
            Event::RejectNext(count) => outside.reject_next = count.into(),
            Event::RejectAll(rejects) => outside.reject_all = rejects,
            Event::Revoke => outside.revoke_all(),
            Event::ClockAhead(time) => outside.ledger.clocks.jump(time.as_millis() as i64),
            Event::ClockBack(time) => outside.ledger.clocks.jump(-(time.as_millis() as i64)),
            Event::Suspend(time) => outside.ledger.clocks.suspend(time),
            event => unreachable!("{event:?} isn't one of the outside"),
        }
    }

    /// Lets everything happen that happens in this time.
    fn pass(&self, time: Duration) {
        self.runtime.block_on(async { sleep(time).await });
        self.outside.lock().ledger.check();
    }

    fn spawn<T: Send + 'static>(&mut self, caller: impl Future<Output = T> + Send + 'static) {
        self.callers.push(self.runtime.spawn(caller).abort_handle());
    }

    fn ask(&mut self, patience: Patience) {
        let program = self.program();
        match patience {
            Patience::Patient => self.spawn(program.ask(None)),
            Patience::Within(time) => self.spawn(program.ask(Some(time))),
            Patience::RetryWithin(time) => self.spawn(program.ask_for_retry(time)),
            Patience::Dropped(time) => {
                self.spawn(async move { tokio::time::timeout(time, program.ask(None)).await.is_ok() });
            }
        }
    }

    /// Asks on another runtime, and runs that for some turns.
    fn ask_elsewhere(&self, turns: u8) -> Runtime {
        // What began before on this runtime has had its first turn.
        let now = self.runtime.block_on(async {
            sleep(Duration::from_millis(1)).await;
            Instant::now()
        });
        let runtime = paused();
        let program = self.program();
        // Without this guard, the time would be the real one.
        runtime.block_on(async {
            advance(now - Instant::now()).await;
            tokio::spawn(program.ask(None));
            for _ in 0..turns {
                yield_now().await;
            }
        });
        runtime
    }

    fn block_a_runtime(&mut self, turns: u8) {
        self.unblock();
        self.blocked = Some(self.ask_elsewhere(turns));
        let mut outside = self.outside.lock();
        outside.ledger.blocked = Some(outside.ledger.clocks.mono());
    }

    fn unblock(&mut self) {
        self.blocked = None;
        self.outside.lock().ledger.blocked = None;
    }

    /// Makes everything healthy, and checks that calls succeed soon, and go on to do so.
    fn heal(&mut self) {
        self.be_healthy();
        let recovery = self.outside.lock().ledger.recovery();
        let began = Instant::now();
        let clients = [Client::Layer, Client::Repeating];
        let (mut good, mut calls) = (0, 0);
        for client in clients.into_iter().cycle() {
            let is_good = self.runtime.block_on(self.program().call(client, Api::Usual, Duration::ZERO));
            self.pass(Duration::from_secs(1));
            calls += 1;
            good = if is_good { good + 1 } else { 0 };
            if good == 5 || self.broken().is_some() {
                return;
            }
            if !is_good && began.elapsed() > recovery {
                let mut outside = self.outside.lock();
                let text =
                    format!("no good token {recovery:?} after everything was healthy, in {calls} calls");
                let context = format!("{text}: {:?}", outside.ledger.current());
                outside.ledger.broken.get_or_insert(context);
                return;
            }
        }
    }

    fn be_healthy(&self) {
        let mut outside = self.outside.lock();
        outside.answer = Answer::New(Duration::from_secs(3600));
        outside.latency = Duration::from_millis(100);
        outside.reject_next = 0;
        outside.reject_all = false;
        let off = outside.ledger.clocks.off();
        if off > CLOCK_TOLERANCE {
            outside.ledger.clocks.jump(-off);
        }
    }

    /// Ends the world. Nothing may be left behind.
    fn end(mut self) -> Option<String> {
        let outside = self.outside.clone();
        let runtime = self.runtime;
        self.callers.drain(..).for_each(|caller| caller.abort());
        drop(self);
        if let Some(broken) = outside.lock().ledger.broken.clone() {
            return Some(broken);
        }
        let left = (runtime.metrics().num_alive_tasks(), outside.holders());
        (left != (0, 0)).then(|| format!("tasks and handles that are left: {left:?}"))
    }
}
