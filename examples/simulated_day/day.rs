//! What happens in a day, and the run through it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gcp_iam_credentials::{Credentials, IamCredentialsClient, ImpersonationPool, RetryPolicy, Token};
use tokio::time::{Instant, sleep_until};

use crate::Failure;
use crate::callers::{Callers, Waits};
use crate::iam::Iam;
use crate::timeline::Timeline;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What happens.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) identities: usize,
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    /// When IAM refuses all requests.
    pub(crate) outage: Range<Duration>,
    pub(crate) max_fetches_per_minute: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            identities: 100_000,
            seed: 1,
            length: 24 * HOUR,
            outage: 12 * HOUR..12 * HOUR + 15 * MINUTE,
            max_fetches_per_minute: ImpersonationPool::MAX_FETCHES_PER_MINUTE,
        }
    }
}

/// What was seen.
#[derive(Debug, PartialEq)]
pub(crate) struct Day {
    pub(crate) requests: Timeline,
    pub(crate) waits: Waits,
}

/// Runs through the day. At its beginning, somebody asks for each identity.
pub(crate) fn run(plan: &Plan) -> Result<Day, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(through(plan))
}

async fn through(plan: &Plan) -> Result<Day, Failure> {
    let began = Instant::now();
    let requests = Arc::new(Mutex::new(Timeline::new(plan.length)));
    let iam = Iam::new(plan.outage.clone(), began, Arc::clone(&requests));
    // A retry is a request, too, so each one is a fetch here: the pool counts those.
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("source", None)?))
        .endpoint("http://127.0.0.1:1")
        .retry(RetryPolicy::none())
        .build_with(iam.service())?;
    // tokio wakes those that wait for one and the same token in a random order.
    client.credentials().token().await?;
    let pool = ImpersonationPool::builder(client)
        .capacity(plan.identities)
        .max_fetches_per_minute(plan.max_fetches_per_minute)
        .jitter_seed(plan.seed)
        .build();
    let mut callers = Callers::new(plan, began, &pool)?;
    callers.use_all();
    for second in 0..plan.length.as_secs() {
        sleep_until(began + Duration::from_secs(second)).await;
        callers.use_those_of(second);
    }
    sleep_until(began + plan.length).await;
    let waits = callers.waits();
    let requests = std::mem::take(&mut *requests.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Day { requests, waits })
}
