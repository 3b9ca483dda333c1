//! Many identities over one client.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::{Equivalent, IndexMap};
use tokio::sync::Semaphore;

use super::source::{Grant, How, ImpersonatedSource};
use super::{Impersonation, Signer};
use crate::{
    BoxFuture, CacheHints, Credentials, Error, FetchRequest, IamCredentialsClient, ServiceAccountName,
    SourceInfo, Token, TokenSource,
};

/// Credentials of many targets over one client: one per customer, say, in one process.
///
/// Asked twice for the same identity, it hands out the same credentials, so that they share a
/// token. An identity is the target with all that shapes its tokens: delegates, scopes, lifetime,
/// audience and the like. Beyond its capacity the pool lets go of an identity that was not asked
/// for lately; whoever still holds those credentials goes on using them. No task runs for an idle
/// identity, and its token is replaced only when it is used.
///
/// Cheap to clone; clones are the same pool.
///
/// ```no_run
/// use gcp_iam_credentials::{IamCredentialsClient, ImpersonationPool, scopes::CLOUD_PLATFORM};
///
/// # async fn serve() -> Result<(), gcp_iam_credentials::Error> {
/// let pool = ImpersonationPool::builder(IamCredentialsClient::new()?).capacity(10_000).build();
/// for customer in ["one", "two"] {
///     let acting = pool.access_token(format!("{customer}@project.iam.gserviceaccount.com"), [CLOUD_PLATFORM])?;
///     let token = acting.token().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ImpersonationPool {
    shared: Arc<Shared>,
}

/// Makes an [`ImpersonationPool`].
#[must_use = "a builder does nothing until it builds"]
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    client: IamCredentialsClient,
    capacity: usize,
    max_in_flight: usize,
}

/// What a pool holds and has done: see [`ImpersonationPool::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Identities held now.
    pub identities: usize,
    /// How often an identity was asked for that was held already.
    pub hits: u64,
    /// How often an identity was asked for that was not.
    pub misses: u64,
    /// How many identities were let go to make room.
    pub evictions: u64,
    /// Fetches that are under way now; never more than the pool's limit.
    pub in_flight: usize,
    /// Fetches so far.
    pub fetches: u64,
}

struct Shared {
    client: IamCredentialsClient,
    capacity: usize,
    gate: Arc<Gate>,
    /// Never held across an await.
    identities: Mutex<Identities>,
}

struct Identities {
    held: IndexMap<Identity, Held>,
    /// One of each way to shape tokens, so that many identities share it.
    ways: IndexMap<Way, ()>,
    /// Counts up with every request, to tell what was used lately.
    clock: u64,
    hits: u64,
    misses: u64,
    evictions: u64,
    hasher: RandomState,
}

struct Held {
    credentials: Credentials,
    used: u64,
}

/// Lets so many fetches through at a time.
struct Gate {
    permits: Semaphore,
    limit: usize,
    fetches: AtomicU64,
}

impl ImpersonationPool {
    /// How many identities a pool holds by default.
    pub const CAPACITY: usize = 10_000;
    /// How many fetches run at a time by default. HTTP/2 servers commonly take 100 on a
    /// connection.
    pub const MAX_IN_FLIGHT: usize = 64;

    /// Sets a pool up over `client`, which makes its calls.
    pub fn builder(client: IamCredentialsClient) -> PoolBuilder {
        PoolBuilder { client, capacity: Self::CAPACITY, max_in_flight: Self::MAX_IN_FLIGHT }
    }

    /// Credentials with access tokens of `target` that have these scopes.
    ///
    /// # Errors
    ///
    /// As [`Impersonation::access_token`].
    pub fn access_token(
        &self,
        target: impl AsRef<str>,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Credentials, Error> {
        self.hold(self.client().impersonate(target).access_token_source(scopes)?)
    }

    /// Credentials with ID tokens of `target` for `audience`.
    ///
    /// # Errors
    ///
    /// As [`Impersonation::id_token`].
    pub fn id_token(&self, target: impl AsRef<str>, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        self.hold(self.client().impersonate(target).id_token_source(audience)?)
    }

    /// Signs as `target`. A signer holds no token and takes no room in the pool.
    ///
    /// # Errors
    ///
    /// As [`Impersonation::signer`].
    pub fn signer(&self, target: impl AsRef<str>) -> Result<Signer, Error> {
        self.client().impersonate(target).signer()
    }

    /// As [`access_token`](Self::access_token), with options: delegates, a lifetime, a subject, a
    /// quota project. What the options came with, a client among it, gives way to the pool's.
    ///
    /// # Errors
    ///
    /// As [`Impersonation::access_token`].
    pub fn access_token_with(
        &self,
        how: &Impersonation,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Credentials, Error> {
        self.hold(how.over(self.client()).access_token_source(scopes)?)
    }

    /// As [`id_token`](Self::id_token), with options: see
    /// [`access_token_with`](Self::access_token_with).
    ///
    /// # Errors
    ///
    /// As [`Impersonation::id_token`].
    pub fn id_token_with(
        &self,
        how: &Impersonation,
        audience: impl AsRef<str>,
    ) -> Result<Credentials, Error> {
        self.hold(how.over(self.client()).id_token_source(audience)?)
    }

    /// The client that makes the calls.
    pub fn client(&self) -> &IamCredentialsClient {
        &self.shared.client
    }

    /// What the pool holds and has done.
    pub fn stats(&self) -> PoolStats {
        let gate = &self.shared.gate;
        let identities = self.lock();
        PoolStats {
            identities: identities.held.len(),
            hits: identities.hits,
            misses: identities.misses,
            evictions: identities.evictions,
            in_flight: gate.limit - gate.permits.available_permits(),
            fetches: gate.fetches.load(Ordering::Relaxed),
        }
    }

    /// The credentials of an identity: those that are held, or new ones.
    fn hold(&self, source: ImpersonatedSource) -> Result<Credentials, Error> {
        let mut identities = self.lock();
        let identities = &mut *identities;
        identities.clock += 1;
        let used = identities.clock;
        let how = identities.share(source.how);
        if let Some(held) = identities.held.get_mut(&Wanted { target: &source.target, how: &how }) {
            held.used = used;
            identities.hits += 1;
            return Ok(held.credentials.clone());
        }
        identities.misses += 1;
        while identities.held.len() >= self.shared.capacity {
            identities.evict();
        }
        let pooled = Arc::new(PooledSource {
            source: ImpersonatedSource { how, ..source },
            gate: Arc::clone(&self.shared.gate),
        });
        let credentials = Credentials::from_shared_source(Arc::clone(&pooled) as _);
        identities.held.insert(Identity(pooled), Held { credentials: credentials.clone(), used });
        Ok(credentials)
    }

    fn lock(&self) -> MutexGuard<'_, Identities> {
        self.shared.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Identities {
    /// How many identities are looked at to find one that was not used lately.
    const SAMPLE: usize = 8;

    /// The way that is known already, if it is the same.
    fn share(&mut self, how: Arc<How>) -> Arc<How> {
        let way = Way(how);
        if let Some((known, ())) = self.ways.get_key_value(&way) {
            return Arc::clone(&known.0);
        }
        // Ways of identities that have gone are forgotten before many more are kept.
        if self.ways.len() >= 64 && self.ways.len() > 2 * self.held.len() {
            self.ways.retain(|way, ()| Arc::strong_count(&way.0) > 1);
        }
        let how = Arc::clone(&way.0);
        self.ways.insert(way, ());
        how
    }

    /// Lets go of the identity that was used the longest ago, of a few taken at random.
    fn evict(&mut self) {
        let len = self.held.len();
        let sample = (0..Self::SAMPLE).map(|turn| self.hasher.hash_one((self.clock, turn)) as usize % len);
        let oldest = sample.min_by_key(|index| self.held.get_index(*index).map(|(_, held)| held.used));
        if let Some(index) = oldest {
            self.held.swap_remove_index(index);
            self.evictions += 1;
        }
    }
}

impl PoolBuilder {
    /// How many identities are held at most; zero counts as one. Default:
    /// [`CAPACITY`](ImpersonationPool::CAPACITY).
    pub fn capacity(mut self, identities: usize) -> Self {
        self.capacity = identities.max(1);
        self
    }

    /// How many fetches run at a time; the others wait, each within its own deadline. Zero counts
    /// as one. Default: [`MAX_IN_FLIGHT`](ImpersonationPool::MAX_IN_FLIGHT).
    pub fn max_in_flight(mut self, fetches: usize) -> Self {
        self.max_in_flight = fetches.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Makes the pool.
    pub fn build(self) -> ImpersonationPool {
        let gate = Gate {
            permits: Semaphore::new(self.max_in_flight),
            limit: self.max_in_flight,
            fetches: AtomicU64::new(0),
        };
        let identities = Identities {
            held: IndexMap::new(),
            ways: IndexMap::new(),
            clock: 0,
            hits: 0,
            misses: 0,
            evictions: 0,
            hasher: RandomState::new(),
        };
        ImpersonationPool {
            shared: Arc::new(Shared {
                client: self.client,
                capacity: self.capacity,
                gate: Arc::new(gate),
                identities: Mutex::new(identities),
            }),
        }
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

/// A source that waits for its turn.
struct PooledSource {
    source: ImpersonatedSource,
    gate: Arc<Gate>,
}

impl TokenSource for PooledSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            // The semaphore is never closed, so there is always a permit to wait for.
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
}

/// An identity as the map's key: it borrows from the source that the credentials hold anyway.
struct Identity(Arc<PooledSource>);

/// The same, to look one up.
struct Wanted<'a> {
    target: &'a ServiceAccountName,
    how: &'a Arc<How>,
}

impl Identity {
    fn wanted(&self) -> Wanted<'_> {
        Wanted { target: &self.0.source.target, how: &self.0.source.how }
    }
}

// Ways are shared, so that the same way is the same pointer.
impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.target.account().hash(state);
        Arc::as_ptr(self.how).hash(state);
    }
}

impl PartialEq for Wanted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.target.account() == other.target.account() && Arc::ptr_eq(self.how, other.how)
    }
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wanted().hash(state);
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.wanted() == other.wanted()
    }
}

impl Eq for Identity {}

impl Equivalent<Identity> for Wanted<'_> {
    fn equivalent(&self, key: &Identity) -> bool {
        *self == key.wanted()
    }
}

/// A way to shape tokens, compared by its content.
struct Way(Arc<How>);

impl Way {
    fn parts(&self) -> (&[String], Option<&str>, Shape<'_>) {
        let shape = match &self.0.grant {
            Grant::AccessToken { scopes, lifetime } => Shape::AccessToken(scopes, lifetime.as_nanos()),
            Grant::IdToken { audience, include_email } => Shape::IdToken(audience, *include_email),
            Grant::SelfSignedJwt { audience, lifetime } => {
                Shape::SelfSignedJwt(audience, lifetime.as_nanos())
            }
            Grant::Subject { subject, scope, .. } => Shape::Subject(subject, scope),
        };
        (&self.0.delegates, self.0.quota_project.as_deref(), shape)
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Shape<'a> {
    AccessToken(&'a [String], u128),
    IdToken(&'a str, bool),
    SelfSignedJwt(&'a str, u128),
    Subject(&'a str, &'a str),
}

impl Hash for Way {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Way {}
