//! Runs the steps of a scenario.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep};

use super::source::{Answer, Script};
use crate::credentials::clock::manual::ManualTime;
use crate::credentials::{KeepWarm, SentToken, invalidate_sent};
use crate::source::{CacheHints, FetchReason};
use crate::{Credentials, Error, ErrorKind, Token};

/// What all wall clocks show at first.
const EPOCH: Duration = Duration::from_secs(1_780_000_000);

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The source's hints. Only as the first step.
    Hints(CacheHints),
    /// Sets the jitter. At first it is zero.
    Jitter(f64),
    /// Sets the source's answer. At first it returns tokens of one hour.
    Source(Answer),
    /// Replaces what the source authenticates with.
    Replace,
    /// Lets time pass on all clocks.
    Advance(Duration),
    /// Moves the local wall clock alone.
    WallAhead(Duration),
    WallBack(Duration),

    /// Asks for a token. The answer must come at once.
    Get(Expect),
    /// The same as a caller that retries by itself.
    ForRetry(Expect),
    /// Asks for a token other than the last one.
    Other(Expect),
    Refresh(Expect),
    /// Checks which token is available without waiting.
    Cached(Option<u32>),
    /// Lets time pass and asks for a token, this many times.
    Every(Duration, u32, Expect),
    /// This many callers ask at once.
    Many(usize, Expect),

    /// A caller with this name starts to wait for a token, without a deadline or with one.
    Wait(&'static str),
    WaitWithin(&'static str, Duration),
    StillWaiting(&'static str),
    Got(&'static str, Expect),
    /// The caller with this name stops waiting.
    Leave(&'static str),

    /// An API rejects the token that the source returned last.
    Reject,
    /// This many replies reject it at once.
    RejectBurst(u32),
    /// Asks for a token like `Every`, and rejects each.
    RejectEvery(Duration, u32),
    /// An API rejects the source's first token.
    RejectFirst,
    /// Sends the fresh token as the layer does, which notes its generation.
    Send,
    /// The API rejects what was sent.
    RejectSent,

    KeepWarm,
    CoolDown,
    /// Drops the last handle.
    Drop,
    /// Checks how many tasks exist.
    Tasks(usize),
    /// Checks that no task exists, and that nothing holds the source.
    NothingLeft,

    /// Checks how many fetches have begun.
    Fetches(usize),
    FetchesBetween(usize, usize),
    /// Checks the last fetch's reason, and the rejected token that it was told of.
    Asked(FetchReason, Option<u32>),
    Failing(bool),
}

/// What an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The source's token of this number.
    Token(u32),
    /// Any live token.
    AnyToken,
    Transient,
    Permanent,
    Timeout,
    InvalidReply,
    /// There is no other token.
    NoOther,
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn run(steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut scenario = Scenario::new(match steps.first() {
            Some(Step::Hints(hints)) => *hints,
            _ => CacheHints::new(),
        });
        for (number, step) in steps.into_iter().enumerate() {
            scenario.context = format!("step {number}, {step:?}");
            scenario.run_step(step).await;
        }
    });
}

struct Scenario {
    time: ManualTime,
    source: Script,
    credentials: Option<Credentials>,
    waiters: HashMap<&'static str, JoinHandle<Result<Token, Error>>>,
    warm: Option<KeepWarm>,
    first: Option<Token>,
    sent: Option<u64>,
    context: String,
}

impl Scenario {
    fn new(hints: CacheHints) -> Self {
        let wall = SystemTime::UNIX_EPOCH + EPOCH;
        let time = ManualTime::new(wall);
        let source = Script::new(wall, hints);
        let credentials = Credentials::with_time_source(Arc::new(source.clone()), time.clone());
        let credentials = Some(credentials);
        let (waiters, context) = Default::default();
        Self { time, source, credentials, waiters, warm: None, first: None, sent: None, context }
    }

    fn credentials(&self) -> &Credentials {
        self.credentials.as_ref().expect("dropped")
    }

    async fn run_step(&mut self, step: Step) {
        match step {
            Step::Hints(_) => {}
            Step::Jitter(fraction) => self.time.set_jitter(fraction),
            Step::Source(answer) => self.source.set(answer),
            Step::Replace => self.source.replace(),
            Step::Advance(time) => sleep(time).await,
            Step::WallAhead(time) => self.time.jump(|wall| wall + time),
            Step::WallBack(time) => self.time.jump(|wall| wall - time),

            Step::Get(expected) => self.get(expected).await,
            Step::ForRetry(expected) => self.for_retry(expected).await,
            Step::Other(expected) => self.other(expected).await,
            Step::Refresh(expected) => self.refresh(expected).await,
            Step::Cached(expected) => self.cached(expected),
            Step::Every(interval, times, expected) => self.every(interval, times, expected).await,
            Step::Many(size, expected) => self.many(size, expected).await,

            Step::Wait(who) => self.wait(who, None),
            Step::WaitWithin(who, time) => self.wait(who, Some(later(time))),
            Step::StillWaiting(who) => assert!(!self.waiters[who].is_finished(), "{}", self.context),
            Step::Got(who, expected) => self.got(who, expected).await,
            Step::Leave(who) => self.waiter(who).abort(),

            Step::Reject => self.reject(),
            Step::RejectBurst(times) => (0..times).for_each(|_| self.reject()),
            Step::RejectEvery(interval, times) => self.reject_every(interval, times).await,
            Step::RejectFirst => self.reject_first(),
            Step::Send => self.sent = self.credentials().show_fresh(|_| {}),
            Step::RejectSent => self.reject_sent(),

            Step::KeepWarm => self.warm = Some(self.credentials().keep_warm()),
            Step::CoolDown => self.warm = None,
            Step::Drop => self.credentials = None,
            Step::Tasks(count) => assert_eq!(tasks(), count, "{}", self.context),
            Step::NothingLeft => {
                assert_eq!((tasks(), self.source.holders()), (0, 0), "tasks, holders at {}", self.context);
            }

            Step::Fetches(count) => assert_eq!(self.source.fetches(), count, "{}", self.context),
            Step::FetchesBetween(least, most) => self.fetches_between(least, most),
            Step::Asked(reason, rejected) => {
                assert_eq!(self.source.last_asked(), (reason, rejected.map(secret_of)), "{}", self.context);
            }
            Step::Failing(failing) => {
                assert_eq!(self.credentials().status().is_failing(), failing, "{}", self.context);
            }
        }
        settle().await;
    }

    async fn for_retry(&mut self, expected: Expect) {
        let outcome = self.credentials().token_for_retry_within(later(secs(600))).await;
        self.check(outcome, expected);
    }

    async fn other(&mut self, expected: Expect) {
        let last = self.source.last_given();
        match self.credentials().token_instead_of(&last, later(secs(600))).await.transpose() {
            Some(outcome) => self.check(outcome, expected),
            None => assert_eq!(expected, Expect::NoOther, "{}", self.context),
        }
    }

    async fn refresh(&mut self, expected: Expect) {
        let outcome = self.credentials().refresh().await;
        self.check(outcome, expected);
    }

    fn cached(&self, expected: Option<u32>) {
        let cached = self.credentials().cached();
        assert_eq!(self.credentials().is_valid(), expected.is_some(), "{}", self.context);
        let secret = cached.as_ref().map(Token::secret);
        assert_eq!(secret.map(str::to_owned), expected.map(secret_of), "{}", self.context);
    }

    async fn every(&mut self, interval: Duration, times: u32, expected: Expect) {
        for _ in 0..times {
            sleep(interval).await;
            settle().await;
            self.get(expected).await;
        }
    }

    async fn many(&mut self, size: usize, expected: Expect) {
        let tasks: Vec<_> = (0..size).map(|_| self.spawn_token(None)).collect();
        for task in tasks {
            let outcome = task.await.unwrap();
            self.check(outcome, expected);
        }
    }

    fn wait(&mut self, who: &'static str, deadline: Option<Instant>) {
        let task = self.spawn_token(deadline);
        self.waiters.insert(who, task);
    }

    async fn got(&mut self, who: &'static str, expected: Expect) {
        let task = self.waiter(who);
        assert!(task.is_finished(), "still waiting at {}", self.context);
        let outcome = task.await.unwrap();
        self.check(outcome, expected);
    }

    fn waiter(&mut self, who: &'static str) -> JoinHandle<Result<Token, Error>> {
        self.waiters.remove(who).expect("no caller with this name waits")
    }

    fn reject(&self) {
        self.credentials().invalidate(&self.source.last_given());
    }

    async fn reject_every(&mut self, interval: Duration, times: u32) {
        for _ in 0..times {
            sleep(interval).await;
            let token = self.credentials().token().await.expect(&self.context);
            self.credentials().invalidate(&token);
        }
    }

    fn reject_sent(&self) {
        let sent = SentToken::Generation(self.sent.expect("nothing sent"));
        invalidate_sent(self.credentials().number(), &sent);
    }

    fn reject_first(&self) {
        let first = self.first.as_ref().expect("no token so far");
        self.credentials().invalidate(first);
    }

    fn fetches_between(&self, least: usize, most: usize) {
        let fetches = self.source.fetches();
        assert!((least..=most).contains(&fetches), "{fetches} fetches at {}", self.context);
    }

    async fn get(&mut self, expected: Expect) {
        let before = Instant::now();
        let outcome = self.credentials().token().await;
        assert_eq!(before.elapsed(), Duration::ZERO, "had to wait at {}", self.context);
        self.check(outcome, expected);
    }

    fn spawn_token(&self, deadline: Option<Instant>) -> JoinHandle<Result<Token, Error>> {
        let credentials = self.credentials().clone();
        tokio::spawn(async move {
            match deadline {
                Some(deadline) => credentials.token_within(deadline).await,
                None => credentials.token().await,
            }
        })
    }

    fn check(&mut self, outcome: Result<Token, Error>, expected: Expect) {
        let context = &self.context;
        if let Ok(token) = &outcome {
            // Whatever the scenario: no token is handed out past its real expiry.
            let expiry = token.expires_at();
            assert!(expiry.is_none_or(|expiry| expiry > self.source.wall()), "expired token at {context}");
            self.first.get_or_insert_with(|| token.clone());
        }
        match (outcome, expected) {
            (Ok(_), Expect::AnyToken) => {}
            (Ok(token), Expect::Token(number)) => assert_eq!(token.secret(), secret_of(number), "{context}"),
            (Ok(token), expected) => panic!("{} instead of {expected:?} at {context}", token.secret()),
            (Err(error), expected) => {
                let as_expected = match (error.kind(), error.is_transient()) {
                    (ErrorKind::Timeout, _) => Expect::Timeout,
                    (ErrorKind::InvalidReply, _) => Expect::InvalidReply,
                    (_, true) => Expect::Transient,
                    (_, false) => Expect::Permanent,
                };
                assert_eq!(as_expected, expected, "{error} at {context}");
            }
        }
    }
}

fn secret_of(number: u32) -> String {
    format!("t{number}")
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

fn later(time: Duration) -> Instant {
    Instant::now() + time
}

/// Lets everything happen that can happen without time passing.
async fn settle() {
    for _ in 0..32 {
        yield_now().await;
    }
}
