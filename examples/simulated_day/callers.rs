//! Those who use the identities.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::source::BoxFuture;
use gcp_iam_credentials::{Credentials, Error, ImpersonationPool, Token};
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::day::Plan;
use crate::random::Random;

/// Each identity is used once in so many seconds.
const PERIOD: usize = 60;
/// A caller that gets an error asks again after this time.
const PAUSE: Duration = Duration::from_secs(1);
/// For so long after the outage, callers may get an error from it: a request in progress ends, and its
/// failure is replayed for up to a second.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How callers fared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Waits {
    /// How often an identity was used.
    pub(crate) uses: u64,
    /// How many callers had to wait for a token.
    pub(crate) waited: u64,
    /// How many errors callers got because of the outage, and how many others.
    pub(crate) errors_of_outage: u64,
    pub(crate) other_errors: u64,
    /// The longest wait of a caller that came before the outage.
    pub(crate) longest_before: Duration,
    /// The longest wait from the end of the outage on.
    pub(crate) longest_after: Duration,
}

pub(crate) struct Callers {
    acting: Vec<Credentials>,
    /// Which identities are used in each second of a minute.
    seconds: Vec<Vec<usize>>,
    shared: Arc<Shared>,
}

struct Shared {
    began: Instant,
    outage: Range<Duration>,
    seen: Mutex<Seen>,
}

struct Seen {
    waits: Waits,
    /// Whether somebody waits for the identity.
    waiting: Vec<bool>,
}

impl Callers {
    pub(crate) fn new(plan: &Plan, began: Instant, pool: &ImpersonationPool) -> Result<Self, Failure> {
        let mut random = Random::new(plan.seed);
        let mut seconds = vec![Vec::new(); PERIOD];
        let mut acting = Vec::with_capacity(plan.identities);
        for identity in 0..plan.identities {
            let target = format!("customer-{identity}@project.iam.gserviceaccount.com");
            acting.push(pool.impersonate(target).access_token([CLOUD_PLATFORM])?);
            seconds[random.within(0..PERIOD as u64) as usize].push(identity);
        }
        let seen = Seen { waits: Waits::default(), waiting: vec![false; plan.identities] };
        let shared = Shared { began, outage: plan.outage.clone(), seen: Mutex::new(seen) };
        Ok(Self { acting, seconds, shared: Arc::new(shared) })
    }

    /// Uses each identity.
    pub(crate) fn use_all(&mut self) {
        (0..self.acting.len()).for_each(|identity| self.use_one(identity));
    }

    /// Uses those whose turn it is in this second.
    pub(crate) fn use_those_of(&mut self, second: u64) {
        for &identity in &self.seconds[second as usize % PERIOD] {
            self.use_one(identity);
        }
    }

    pub(crate) fn waits(&self) -> Waits {
        self.shared.seen().waits.clone()
    }

    /// Uses an identity, unless somebody waits for it. Most callers have their token at once.
    fn use_one(&self, identity: usize) {
        {
            let mut seen = self.shared.seen();
            if seen.waiting[identity] {
                return;
            }
            seen.waits.uses += 1;
        }
        let mut call = token_of(&self.acting[identity]);
        let outcome = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Ok(_)) = outcome {
            return;
        }
        self.shared.seen().waiting[identity] = true;
        let (acting, shared) = (self.acting[identity].clone(), Arc::clone(&self.shared));
        tokio::spawn(async move {
            let asked = Instant::now();
            // What was polled once goes on.
            let mut outcome = Some(outcome);
            let first = poll_fn(|cx| match outcome.take() {
                Some(Poll::Ready(ready)) => Poll::Ready(ready),
                _ => call.as_mut().poll(cx),
            });
            shared.wait(identity, asked, first.await, &acting).await;
        });
    }
}

impl Shared {
    /// Asks again until there is a token.
    async fn wait(
        &self,
        identity: usize,
        asked: Instant,
        mut outcome: Result<Token, Error>,
        acting: &Credentials,
    ) {
        let mut called = asked;
        while outcome.is_err() {
            self.take_in_an_error(called);
            sleep(PAUSE).await;
            called = Instant::now();
            outcome = acting.token().await;
        }
        let (asked, now) = (asked - self.began, self.began.elapsed());
        let mut seen = self.seen();
        seen.waiting[identity] = false;
        let waits = &mut seen.waits;
        waits.waited += 1;
        if now < self.outage.start {
            waits.longest_before = waits.longest_before.max(now - asked);
        } else if now >= self.outage.end {
            waits.longest_after = waits.longest_after.max(now - asked.max(self.outage.end));
        }
    }

    /// Takes in that a call failed, which began at `called`.
    fn take_in_an_error(&self, called: Instant) {
        let (called, now) = (called - self.began, self.began.elapsed());
        let is_of_outage = now >= self.outage.start && called < self.outage.end + AFTERMATH;
        let waits = &mut self.seen().waits;
        if is_of_outage {
            waits.errors_of_outage += 1;
        } else {
            waits.other_errors += 1;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn token_of(acting: &Credentials) -> Pin<Box<dyn Future<Output = Result<Token, Error>> + Send>> {
    let acting = acting.clone();
    let call: BoxFuture<'static, _> = Box::pin(async move { acting.token().await });
    call
}
