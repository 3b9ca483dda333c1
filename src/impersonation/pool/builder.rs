//! The settings of a pool.

use std::sync::{Arc, Mutex};

use super::entries::Entries;
use super::{ImpersonationPool, Shared};
use crate::IamCredentialsClient;
use crate::credentials::{FetchQueue, JitterSeed};
use crate::measurements::PoolMeasurement;

/// Builds an [`ImpersonationPool`]. [`ImpersonationPool::builder`] returns it.
///
/// ```no_run
/// use gcp_iam_credentials::{IamCredentialsClient, ImpersonationPool};
///
/// # fn pool() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let pool = ImpersonationPool::builder(client)
///     .capacity(100_000)
///     .max_in_flight(32)
///     .build();
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    client: IamCredentialsClient,
    capacity: usize,
    max_in_flight: usize,
    max_fetches_per_minute: u32,
    seed: Option<u64>,
}

impl PoolBuilder {
    pub(super) fn new(client: IamCredentialsClient) -> Self {
        Self {
            client,
            capacity: ImpersonationPool::CAPACITY,
            max_in_flight: ImpersonationPool::MAX_IN_FLIGHT,
            max_fetches_per_minute: ImpersonationPool::MAX_FETCHES_PER_MINUTE,
            seed: None,
        }
    }

    /// Sets the largest number of identities in the pool. Zero counts as one. Default:
    /// [`CAPACITY`](ImpersonationPool::CAPACITY).
    pub fn capacity(mut self, identities: usize) -> Self {
        self.capacity = identities.max(1);
        self
    }

    /// Sets the largest number of fetches that run at the same time. The others wait for their turns.
    /// Zero counts as one. Default:
    /// [`MAX_IN_FLIGHT`](ImpersonationPool::MAX_IN_FLIGHT).
    pub fn max_in_flight(mut self, fetches: usize) -> Self {
        self.max_in_flight = fetches.max(1);
        self
    }

    /// Sets the largest number of fetches that start in any window of 60 s, wherever it begins. Zero
    /// is no limit. Default: [`MAX_FETCHES_PER_MINUTE`](ImpersonationPool::MAX_FETCHES_PER_MINUTE).
    ///
    /// Google counts the requests for tokens of all processes that use a project, and refuses those
    /// beyond its quota. If several processes share a project, give each its part.
    ///
    /// * A sixtieth of the limit may start at once. Beyond that, fetches wait for their turns:
    ///   [`PoolStats::waiting`](crate::pool::PoolStats::waiting) counts them. So 100,000 identities have their first tokens after about
    ///   two minutes.
    /// * A fetch that a caller waits for comes before a refresh of a token that is still good.
    ///   Otherwise, the one that came first is the next. A caller that leaves gives up this priority.
    /// * The time in the line isn't part of [`FETCH_TIMEOUT`](crate::Credentials::FETCH_TIMEOUT). A
    ///   caller without a deadline waits for up to 5 min. A caller whose time ends in the line gets an
    ///   error of the kind [`Timeout`](crate::ErrorKind::Timeout) that says so, and the fetch keeps its
    ///   place.
    /// * A token whose fetch waited for a second or longer is refreshed at a random time in the second
    ///   half of its life. So tokens that came together aren't refreshed together.
    ///
    /// Each fetch counts once, whatever kind of token it gets. Retries of a failed call don't count,
    /// but a client makes at most about ten of them in a second. Calls of signers don't count.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::{IamCredentialsClient, ImpersonationPool};
    ///
    /// # fn pool() -> Result<(), gcp_iam_credentials::Error> {
    /// // Four processes share the quota of one project.
    /// let pool = ImpersonationPool::builder(IamCredentialsClient::new()?)
    ///     .max_fetches_per_minute(12_000)
    ///     .build();
    /// println!("{} fetches wait", pool.stats().waiting());
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_fetches_per_minute(mut self, fetches: u32) -> Self {
        self.max_fetches_per_minute = fetches;
        self
    }

    /// Makes the random times of refreshes the same in each run, for simulations with tokio's paused
    /// clock. The pool's wall clock runs with that clock, too. Default: the times differ, also between
    /// processes, which a real program needs, and the wall clock is the machine's.
    ///
    /// ```no_run
    /// # use gcp_iam_credentials::{IamCredentialsClient, ImpersonationPool};
    /// # fn pool(client: IamCredentialsClient) {
    /// let pool = ImpersonationPool::builder(client).jitter_seed(1).build();
    /// # }
    /// ```
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the pool. Sends nothing.
    pub fn build(self) -> ImpersonationPool {
        let queue = FetchQueue::new(self.max_fetches_per_minute, self.max_in_flight);
        ImpersonationPool {
            shared: Arc::new(Shared {
                client: self.client,
                capacity: self.capacity,
                queue: Arc::new(queue),
                seed: self.seed.map(JitterSeed::new),
                entries: Mutex::new(Entries::default()),
                measurement: PoolMeasurement::begin(),
            }),
        }
    }
}
