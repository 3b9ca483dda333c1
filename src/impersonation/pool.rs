//! Credentials of many targets over one client.

mod builder;
#[cfg(test)]
mod crowd;
mod entries;
mod pooled;
#[cfg(test)]
mod simulation;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::builder::PoolBuilder;
use self::entries::Entries;
pub use self::pooled::PooledImpersonation;
use super::source::ImpersonatedSource;
use crate::credentials::{FetchQueue, JitterSeed};
use crate::measurements::PoolMeasurement;
use crate::{Credentials, IamCredentialsClient};

/// Credentials of many targets over one client, such as one target per customer in one process.
///
/// If the same identity is requested twice, the pool returns the same credentials, so both users
/// share one token. An identity is the target together with everything that decides what its tokens
/// are: delegates, scopes, lifetime, audience, subject and quota project.
///
/// When the pool is full, it drops an identity that wasn't used recently. Existing clones of its
/// credentials continue to work. No task runs for an idle identity, and its token is replaced only
/// when it is used.
///
/// However many tokens are due at once, no more fetches start in a minute than Google's quota allows,
/// with a reserve: see [`max_fetches_per_minute`](PoolBuilder::max_fetches_per_minute).
///
/// Cloning a pool is cheap, and clones share their identities.
///
/// ```no_run
/// use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
/// use gcp_iam_credentials::{IamCredentialsClient, ImpersonationPool};
///
/// # async fn serve() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let pool = ImpersonationPool::builder(client).capacity(100_000).build();
/// for customer in ["one", "two"] {
///     let target = format!("{customer}@project.iam.gserviceaccount.com");
///     let acting = pool.impersonate(target).access_token([CLOUD_PLATFORM])?;
///     let token = acting.token().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ImpersonationPool {
    shared: Arc<Shared>,
}

/// A snapshot of a pool: see [`ImpersonationPool::stats`].
///
/// ```
/// use gcp_iam_credentials::pool::PoolStats;
///
/// fn hit_rate(stats: &PoolStats) -> f64 {
///     stats.hits() as f64 / (stats.hits() + stats.misses()).max(1) as f64
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    identities: usize,
    hits: u64,
    misses: u64,
    evictions: u64,
    waiting: usize,
    in_flight: usize,
    fetches: u64,
}

struct Shared {
    client: IamCredentialsClient,
    capacity: usize,
    queue: Arc<FetchQueue>,
    /// The source of the jitter of refreshes, if it is to be repeatable.
    seed: Option<JitterSeed>,
    /// Never held across an await.
    entries: Mutex<Entries>,
    measurement: PoolMeasurement,
}

impl ImpersonationPool {
    /// The default capacity: 10,000 identities.
    pub const CAPACITY: usize = 10_000;
    /// The default number of fetches that may run at the same time: 64. HTTP/2 servers commonly
    /// allow 100 requests at the same time on one connection.
    pub const MAX_IN_FLIGHT: usize = 64;
    /// The default number of fetches that may start in a minute: 48,000. Google's quota is 60,000
    /// requests a minute for each project, so a fifth is left for retries and for other users.
    pub const MAX_FETCHES_PER_MINUTE: u32 = 48_000;

    /// Returns a builder of a pool that makes its calls with `client`.
    pub fn builder(client: IamCredentialsClient) -> PoolBuilder {
        PoolBuilder::new(client)
    }

    /// Returns the options for acting as `target`: an e-mail address, a numeric unique id or a full
    /// resource name.
    ///
    /// They are the options and verbs of [`Impersonation`](crate::Impersonation). Sends nothing. An
    /// invalid target is an error of the verb that is called.
    pub fn impersonate(&self, target: impl AsRef<str>) -> PooledImpersonation {
        PooledImpersonation::new(self.clone(), self.client().impersonate(target))
    }

    /// Returns the client that makes the calls.
    pub fn client(&self) -> &IamCredentialsClient {
        &self.shared.client
    }

    /// Returns a snapshot of what the pool contains and has done.
    pub fn stats(&self) -> PoolStats {
        let queue = self.shared.queue.stats();
        PoolStats {
            waiting: queue.waiting,
            in_flight: queue.running,
            fetches: queue.started,
            ..self.entries().stats()
        }
    }

    /// Returns the credentials of an identity: the ones in the pool, or new ones.
    fn credentials(&self, source: ImpersonatedSource) -> Credentials {
        let Shared { queue, seed, capacity, measurement, .. } = &*self.shared;
        let make =
            |source: Arc<ImpersonatedSource>| Credentials::in_queue(source, Arc::clone(queue), seed.as_ref());
        let mut entries = self.entries();
        let before = entries.stats();
        let credentials = entries.get_or_insert(source, *capacity, make);
        let after = entries.stats();
        drop(entries);
        measurement.changed(after.misses - before.misses, after.evictions - before.evictions);
        credentials
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolStats {
    /// Returns how many identities the pool contains.
    pub fn identities(&self) -> usize {
        self.identities
    }

    /// Returns how often a requested identity was in the pool.
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// Returns how often a requested identity wasn't in the pool.
    pub fn misses(&self) -> u64 {
        self.misses
    }

    /// Returns how many identities were dropped because the pool was full.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Returns how many fetches wait for their turns, because
    /// [`max_fetches_per_minute`](PoolBuilder::max_fetches_per_minute) or
    /// [`max_in_flight`](PoolBuilder::max_in_flight) doesn't let them start yet.
    ///
    /// A number that stays above zero says that the limits, or the project's quota, are too small for
    /// the identities.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns how many fetches are in progress: at most
    /// [`max_in_flight`](PoolBuilder::max_in_flight).
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns how many fetches have started so far, those that failed included. Those that
    /// [wait](Self::waiting) aren't.
    pub fn fetches(&self) -> u64 {
        self.fetches
    }
}

impl fmt::Debug for ImpersonationPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImpersonationPool")
            .field("client", self.client())
            .field("capacity", &self.shared.capacity)
            .field("stats", &self.stats())
            .finish()
    }
}
