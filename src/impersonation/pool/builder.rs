//! The settings of a pool.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::entries::Entries;
use super::{Gate, ImpersonationPool, Shared};
use crate::IamCredentialsClient;

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
}

impl PoolBuilder {
    pub(super) fn new(client: IamCredentialsClient) -> Self {
        Self {
            client,
            capacity: ImpersonationPool::CAPACITY,
            max_in_flight: ImpersonationPool::MAX_IN_FLIGHT,
        }
    }

    /// Sets the largest number of identities in the pool. Zero counts as one. Default:
    /// [`CAPACITY`](ImpersonationPool::CAPACITY).
    pub fn capacity(mut self, identities: usize) -> Self {
        self.capacity = identities.max(1);
        self
    }

    /// Sets the largest number of fetches that run at the same time. The others wait, each within
    /// its own deadline. Zero counts as one. Default:
    /// [`MAX_IN_FLIGHT`](ImpersonationPool::MAX_IN_FLIGHT).
    pub fn max_in_flight(mut self, fetches: usize) -> Self {
        self.max_in_flight = fetches.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Builds the pool. Sends nothing.
    pub fn build(self) -> ImpersonationPool {
        let gate = Gate {
            permits: Semaphore::new(self.max_in_flight),
            limit: self.max_in_flight,
            fetches: AtomicU64::new(0),
        };
        ImpersonationPool {
            shared: Arc::new(Shared {
                client: self.client,
                capacity: self.capacity,
                gate: Arc::new(gate),
                entries: Mutex::new(Entries::default()),
            }),
        }
    }
}
