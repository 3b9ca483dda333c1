//! The callers, and what became of their calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::bearer::BearerService;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

use crate::faults::Fault;
use crate::log::Log;
use crate::random::Random;
use crate::{Failure, IDENTITIES};

const CALLERS: usize = 64;

/// How long one attempt of a fetch may take, and one fetch. Both are less than at Google, because tokens
/// live for seconds.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that a call of the API has. It is sent as `grpc-timeout`.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// When a caller gives up by itself, because a call hasn't ended by its deadline.
const GIVE_UP: Duration = Duration::from_secs(30);

/// The calls that ended in one way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcomes {
    /// By code. `Ok` is success.
    pub(crate) by_code: BTreeMap<i32, u64>,
    pub(crate) longest: Duration,
}

/// What became of all calls, by the fault during which they began.
pub(crate) type Tally = BTreeMap<Fault, Outcomes>;

/// The callers while they run.
pub(crate) struct Callers {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    start: Instant,
    stopped: AtomicBool,
    current: Mutex<Fault>,
    tally: Mutex<Tally>,
    /// When the latest successful and the latest failed call of each identity began, in milliseconds
    /// since the start.
    succeeded: [AtomicU64; IDENTITIES],
    failed: [AtomicU64; IDENTITIES],
    acting: Vec<Credentials>,
    log: Arc<Log>,
}

impl Callers {
    pub(crate) fn start(
        acting: Vec<Credentials>,
        endpoint: &str,
        log: Arc<Log>,
        random: &mut Random,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            stopped: AtomicBool::new(false),
            current: Mutex::new(Fault::Nothing),
            tally: Mutex::default(),
            succeeded: Default::default(),
            failed: Default::default(),
            acting,
            log,
        });
        let channel = Channel::from_shared(endpoint.to_owned())?.connect_lazy();
        let mut tasks = JoinSet::new();
        for number in 0..CALLERS {
            let identity = number % IDENTITIES;
            let layer = shared.acting[identity].layer();
            let health = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel.clone()));
            tasks.spawn(Arc::clone(&shared).call_repeatedly(identity, health, Random::new(random.next())));
        }
        Ok(Self { shared, tasks })
    }

    /// Says what is broken from now on.
    pub(crate) fn set_fault(&self, fault: Fault) {
        *lock(&self.shared.current) = fault;
    }

    /// Waits until each identity has a token that was fetched after now, and has used it. Returns how long
    /// after now the last call began that failed, or `None` after `patience`.
    ///
    /// It is not enough that a call succeeds, because it can use a token from before the fault.
    pub(crate) async fn recovered(&self, patience: Duration) -> Option<Duration> {
        let (now, wall) = (self.shared.start.elapsed(), SystemTime::now());
        let mut waiting: Vec<usize> = (0..IDENTITIES).collect();
        let mut renewed = [None; IDENTITIES];
        while !waiting.is_empty() {
            let elapsed = self.shared.start.elapsed();
            if elapsed > now + patience {
                return None;
            }
            waiting.retain(|identity| {
                let fetched = self.shared.acting[*identity].status().last_refresh();
                if renewed[*identity].is_none() && fetched.is_some_and(|fetched| fetched > wall) {
                    renewed[*identity] = Some(millis(elapsed));
                }
                let succeeded = self.shared.succeeded[*identity].load(Ordering::Relaxed);
                renewed[*identity].is_none_or(|renewed| succeeded <= renewed)
            });
            sleep(Duration::from_millis(10)).await;
        }
        let failed = self.shared.failed.iter().map(|begun| begun.load(Ordering::Relaxed)).max();
        Some(Duration::from_millis(failed.unwrap_or_default().saturating_sub(millis(now))))
    }

    /// Stops all callers when their calls have ended.
    pub(crate) async fn stop(mut self) -> Tally {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        lock(&self.shared.tally).clone()
    }
}

impl Shared {
    async fn call_repeatedly(
        self: Arc<Self>,
        identity: usize,
        mut health: HealthClient<BearerService<Channel>>,
        mut random: Random,
    ) {
        while !self.stopped.load(Ordering::Relaxed) {
            let fault = *lock(&self.current);
            let begun = Instant::now();
            let mut request = Request::new(HealthCheckRequest::default());
            request.set_timeout(CALL_TIMEOUT);
            let code = match timeout(GIVE_UP, health.check(request)).await {
                Ok(Ok(_)) => Code::Ok,
                Ok(Err(status)) => {
                    self.log.search(&format!("{status:?} {status}"));
                    status.code()
                }
                Err(_) => Code::DeadlineExceeded,
            };
            let latest = if code == Code::Ok { &self.succeeded } else { &self.failed };
            latest[identity].fetch_max(millis(begun.duration_since(self.start)), Ordering::Relaxed);
            // A call in progress when a fault begins belongs to the fault.
            let fault = if fault == Fault::Nothing { *lock(&self.current) } else { fault };
            self.count(fault, code, begun.elapsed());
            sleep(random.millis(40..121)).await;
        }
    }

    fn count(&self, fault: Fault, code: Code, took: Duration) {
        let mut tally = lock(&self.tally);
        let outcomes = tally.entry(fault).or_default();
        *outcomes.by_code.entry(code as i32).or_default() += 1;
        outcomes.longest = outcomes.longest.max(took);
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
