//! Credentials of many targets over one client.

mod builder;
mod entries;
mod pooled;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

pub use self::builder::PoolBuilder;
use self::entries::Entries;
pub use self::pooled::PooledImpersonation;
use super::source::ImpersonatedSource;
use crate::source::{BoxFuture, CacheHints, FetchRequest, SourceInfo};
use crate::{Credentials, Error, IamCredentialsClient, Token, TokenSource};

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
    in_flight: usize,
    fetches: u64,
}

struct Shared {
    client: IamCredentialsClient,
    capacity: usize,
    gate: Arc<Gate>,
    /// Never held across an await.
    entries: Mutex<Entries>,
}

/// Limits how many fetches run at the same time.
struct Gate {
    permits: Semaphore,
    limit: usize,
    fetches: AtomicU64,
}

impl ImpersonationPool {
    /// The default capacity: 10,000 identities.
    pub const CAPACITY: usize = 10_000;
    /// The default number of fetches that may run at the same time: 64. HTTP/2 servers commonly
    /// allow 100 requests at the same time on one connection.
    pub const MAX_IN_FLIGHT: usize = 64;

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
        let gate = &self.shared.gate;
        PoolStats {
            in_flight: gate.limit - gate.permits.available_permits(),
            fetches: gate.fetches.load(Ordering::Relaxed),
            ..self.entries().stats()
        }
    }

    /// Returns the credentials of an identity: the ones in the pool, or new ones.
    fn credentials(&self, source: ImpersonatedSource) -> Credentials {
        let source = PooledSource { source, gate: Arc::clone(&self.shared.gate) };
        self.entries().get_or_insert(source, self.shared.capacity)
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

    /// Returns how many fetches are in progress: at most
    /// [`max_in_flight`](PoolBuilder::max_in_flight).
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns how many fetches have started so far.
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

/// A source that waits for a permit before it fetches. It is also the key of its pool entry.
struct PooledSource {
    source: ImpersonatedSource,
    gate: Arc<Gate>,
}

impl TokenSource for PooledSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            // The semaphore is never closed, so this always returns a permit.
            let _permit = self.gate.permits.acquire().await;
            self.gate.fetches.fetch_add(1, Ordering::Relaxed);
            self.source.fetch(request).await
        })
    }

    fn info(&self) -> SourceInfo {
        self.source.info()
    }

    fn cache_hints(&self) -> CacheHints {
        self.source.cache_hints()
    }

    fn revision(&self) -> u64 {
        self.source.revision()
    }
}

impl PartialEq for PooledSource {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for PooledSource {}

impl Hash for PooledSource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}
