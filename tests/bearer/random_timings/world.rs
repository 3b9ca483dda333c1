//! One world: a source of tokens, callers with deadlines, and the rules that they check.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::bearer::BearerError;
use gcp_iam_credentials::{Credentials, Error, Token};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};

use super::inner::Inner;
use crate::support::random::Random;
use crate::support::runtime::ms;

/// The shortest timeout of a caller. tokio's timers are late by up to 1 ms.
const SHORTEST_TIMEOUT: u64 = 10;

pub(super) struct World {
    /// The wall clock isn't paused. The cache may count what has passed on it as a part of a token's life.
    created: SystemTime,
    random: Mutex<Random>,
    /// The most milliseconds that the service needs to become ready, the source to fetch, and a
    /// token to live.
    service_delay: u64,
    fetch_delay: u64,
    lifetime: u64,
    /// How many of 100 replies reject their token.
    rejected: u64,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    /// When each token ends, by its header.
    token_ends: HashMap<String, Instant>,
    calls: Vec<Call>,
    tally: Tally,
    violations: Vec<String>,
}

/// A request that a caller made.
struct Call {
    began: Instant,
    timeout: Option<Duration>,
    tokens_before: usize,
    sent: bool,
}

/// How many requests of each sort there were.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) sent_at_once: u64,
    pub(super) sent_after_wait: u64,
    pub(super) sent_with_another_token: u64,
    pub(super) failed: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sent_at_once += other.sent_at_once;
        self.sent_after_wait += other.sent_after_wait;
        self.sent_with_another_token += other.sent_with_another_token;
        self.failed += other.failed;
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let mut random = Random::new(seed);
        Arc::new(Self {
            created: SystemTime::now(),
            service_delay: *random.choose(&[1, 30, 3_000, 90_000]),
            fetch_delay: *random.choose(&[1, 100, 2_000, 70_000]),
            lifetime: *random.choose(&[50, 1_000, 20_000, 3_600_000]),
            rejected: *random.choose(&[0, 10, 50, 100]),
            random: Mutex::new(random),
            record: Mutex::default(),
        })
    }

    pub(super) async fn run(self: &Arc<Self>) {
        let world = Arc::clone(self);
        let credentials = Credentials::from_fn(move || Arc::clone(&world).fetch());
        let service = credentials.layer().layer(Inner::new(Arc::clone(self)));
        let mut callers = JoinSet::new();
        for _ in 0..self.draw(|random| random.within(1..8)) {
            let (begin, service) = (self.delay(3_000), service.clone());
            let (world, credentials) = (Arc::clone(self), credentials.clone());
            callers.spawn(async move {
                sleep(begin).await;
                world.call(service, &credentials).await;
            });
        }
        if self.draw(|random| random.percent(30)) {
            sleep(self.delay(3_000)).await;
            credentials.cached().inspect(|token| credentials.invalidate(token));
        }
        callers.join_all().await;
    }

    pub(super) fn report(&self, violation: String) {
        self.record(|record| record.violations.push(violation));
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.record(|record| record.violations.clone())
    }

    pub(super) fn tally(&self) -> Tally {
        self.record(|record| record.tally)
    }

    pub(super) fn service_delay(&self) -> Duration {
        self.delay(self.service_delay)
    }

    /// Takes in a request that the layer sends, and checks its token and its deadline.
    pub(super) fn receive(&self, request: &Request<usize>) -> Response<()> {
        let now = Instant::now();
        self.record(|record| record.receive(*request.body(), request.headers(), now));
        let mut reply = Response::new(());
        if self.draw(|random| random.percent(self.rejected)) {
            *reply.status_mut() = StatusCode::UNAUTHORIZED;
        }
        reply
    }

    async fn fetch(self: Arc<Self>) -> Result<Token, Error> {
        let began = Instant::now();
        sleep(self.delay(self.fetch_delay)).await;
        let fate = self.draw(|random| random.within(0..100));
        match fate {
            0..10 => return Err(Error::transient("no token this time")),
            10..15 => std::future::pending().await,
            _ => {}
        }
        let lifetime = ms(self.draw(|random| random.within(1..self.lifetime)));
        let end = began + lifetime + self.created.elapsed().unwrap_or_default();
        self.record(|record| {
            let secret = format!("token-{}", record.token_ends.len());
            record.token_ends.insert(format!("Bearer {secret}"), end);
            Token::new(secret, Some(SystemTime::now() + lifetime))
        })
    }

    /// Makes one request, as a tonic client does, and checks how a failure comes.
    async fn call<S, E>(&self, mut service: S, credentials: &Credentials)
    where
        S: Service<Request<usize>, Error = BearerError<E>>,
    {
        let Ok(service) = service.ready().await else { unreachable!("the inner service never fails") };
        let timeout = self.draw(|random| {
            random
                .percent(80)
                .then(|| ms(SHORTEST_TIMEOUT + random.within(0..20_000) / random.within(1..500)))
        });
        let id = self.record(|record| record.begin(timeout));
        let mut request = Request::new(id);
        if let Some(timeout) = timeout {
            request
                .headers_mut()
                .insert("grpc-timeout", format!("{}m", timeout.as_millis()).parse().unwrap());
        }
        if let Err(BearerError::Token(error)) = service.call(request).await {
            let withheld = credentials.cached().is_some() && error.cause().to_string().contains("no token");
            self.record(|record| record.fail(id, withheld, error.cause()));
        }
    }

    /// Draws a delay of at most so many milliseconds. Every second one is zero.
    fn delay(&self, most: u64) -> Duration {
        ms(self.draw(|random| if random.percent(50) { 0 } else { random.within(0..most + 1) }))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.lock().unwrap())
    }

    fn record<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        change(&mut self.record.lock().unwrap())
    }
}

impl Record {
    fn begin(&mut self, timeout: Option<Duration>) -> usize {
        let tokens_before = self.token_ends.len();
        self.calls.push(Call { began: Instant::now(), timeout, tokens_before, sent: false });
        self.calls.len() - 1
    }

    fn receive(&mut self, id: usize, headers: &HeaderMap, now: Instant) {
        let call = &mut self.calls[id];
        if std::mem::replace(&mut call.sent, true) {
            self.violations.push(format!("request {id} was sent twice"));
        }
        let token = headers["authorization"].to_str().unwrap();
        if now >= self.token_ends[token] {
            self.violations.push(format!("request {id} was sent with a token that has expired"));
        }
        let waited = now - call.began;
        match waited.is_zero() {
            true => self.tally.sent_at_once += 1,
            false => self.tally.sent_after_wait += 1,
        }
        if self.token_ends.len() > call.tokens_before + 1 {
            self.tally.sent_with_another_token += 1;
        }
        if let Some(timeout) = call.timeout.filter(|_| !waited.is_zero()) {
            let sent = headers["grpc-timeout"].to_str().unwrap();
            let left = timeout.saturating_sub(waited);
            if left * 5 < timeout {
                self.violations.push(format!("request {id} was sent with {left:?} of {timeout:?} left"));
            }
            if parse(sent).abs_diff(left) > Duration::from_micros(1) {
                self.violations.push(format!("request {id}: {left:?} are left, grpc-timeout is {sent}"));
            }
        }
    }

    fn fail(&mut self, id: usize, withheld: bool, error: &Error) {
        let call = &self.calls[id];
        self.tally.failed += 1;
        let waited = call.began.elapsed();
        if call.sent {
            self.violations.push(format!("request {id} was sent, but failed: {error}"));
        }
        if call.timeout.is_some_and(|timeout| waited >= timeout) {
            self.violations.push(format!("request {id} failed after {waited:?} of {:?}", call.timeout));
        }
        if withheld {
            self.violations.push(format!("request {id} got no token, but one is live: {error}"));
        }
    }
}

/// Returns the time that a `grpc-timeout` allows.
fn parse(timeout: &str) -> Duration {
    let (digits, unit) = timeout.split_at(timeout.len() - 1);
    let value: u64 = digits.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(value),
        "u" => Duration::from_micros(value),
        "m" => Duration::from_millis(value),
        _ => Duration::from_secs(value),
    }
}
