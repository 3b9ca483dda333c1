//! The IAM Service Account Credentials API, offline: for tests of impersonation in any language.
//!
//! An [`Emulator`] listens on a loopback port and answers as Google does: the four RPCs with real
//! RSA keys, the OAuth token endpoint that key files point to, and the pages of public keys. So
//! unmodified clients work against it.
//!
//! ```
//! # async fn try_it() -> Result<(), Box<dyn std::error::Error>> {
//! use gcp_iam_credentials::emulator::Emulator;
//! use gcp_iam_credentials::proto::GenerateAccessTokenRequest;
//! use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
//! use gcp_iam_credentials::{scopes, service_account_path};
//!
//! let emulator = Emulator::builder().start().await?;
//! let channel = tonic::transport::Channel::from_shared(emulator.endpoint().to_owned())?.connect_lazy();
//! let mut stub = IamCredentialsClient::new(channel);
//! let mut request = tonic::Request::new(GenerateAccessTokenRequest {
//!     name: service_account_path("-", "sa@project.iam.gserviceaccount.com"),
//!     scope: vec![scopes::CLOUD_PLATFORM.to_owned()],
//!     ..Default::default()
//! });
//! request.metadata_mut().insert("authorization", "Bearer anything".parse()?);
//! let reply = stub.generate_access_token(request).await?.into_inner();
//!
//! let token = emulator.verify_access_token(&reply.access_token).ok_or("not one of ours")?;
//! assert_eq!(token.principal, "serviceAccount:sa@project.iam.gserviceaccount.com");
//! assert_eq!(emulator.journal().len(), 1);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(try_it()).unwrap();
//! ```
//!
//! Nothing in here is secret, and nothing that comes from here is worth anything elsewhere.

mod api;
mod builder;
mod clock;
mod control;
mod error;
mod faults;
mod iam;
mod journal;
mod method;
mod protocol;
mod server;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use self::control::fixtures;
use self::error::Refusal;
use self::iam::jwt::Parsed;
use self::iam::key::{KeyRing, blocking};
use self::protocol::key_sets;
use self::server::listener::Running;
use self::state::World;

pub use self::builder::{DEFAULT_ADDRESS, EmulatorBuilder, EmulatorError};
pub use self::faults::{Fault, FaultId};
pub use self::iam::policy::{
    DisabledAccount, MiddleHop, OPENID_TOKEN_CREATOR, Policy, PolicyError, ProjectInName,
    SERVICE_ACCOUNT_USER, SERVICE_USAGE_CONSUMER, TOKEN_CREATOR, UnknownAccount, WORKLOAD_IDENTITY_USER,
};
pub use self::journal::{JOURNAL_CAPACITY, JournalEntry, Outcome, Protocol, RequestFields};
pub use self::method::{Method, UnknownMethod};

/// A running emulator; it stops when dropped, and its port is free then.
///
/// It runs on a thread and a runtime of its own. Many may run at once: each has its own port,
/// accounts, keys and tokens.
#[derive(Debug)]
pub struct Emulator {
    world: Arc<World>,
    running: Running,
}

impl Emulator {
    /// Sets one up; [`start`](EmulatorBuilder::start) starts it.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::new()
    }

    /// Where it is: `http://127.0.0.1:43210`, for gRPC and for REST.
    pub fn endpoint(&self) -> &str {
        &self.world.endpoint
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// How many connections it has accepted so far.
    pub fn connections(&self) -> u64 {
        self.running.connections()
    }

    /// The key file of a service account, whose `token_uri` is this emulator's.
    ///
    /// The first call for an account makes its key, which takes some hundredths of a second and
    /// blocks; later calls return the same file.
    ///
    /// # Panics
    /// The machine cannot make an RSA key. [`try_service_account_key_json`] returns an error instead.
    ///
    /// [`try_service_account_key_json`]: Self::try_service_account_key_json
    #[expect(clippy::expect_used, reason = "a test that has no keys cannot go on")]
    pub fn service_account_key_json(&self, email: &str) -> String {
        self.try_service_account_key_json(email).expect("the machine makes RSA keys")
    }

    /// [`service_account_key_json`](Self::service_account_key_json), with an error in place of the panic.
    ///
    /// # Errors
    /// The machine cannot make an RSA key.
    pub fn try_service_account_key_json(&self, email: &str) -> Result<String, EmulatorError> {
        let account = self.world.accounts.get(email);
        let file = fixtures::service_account_key(&self.world, &account)
            .map_err(|refusal| EmulatorError::Key(refusal.message().to_owned()))?;
        Ok(format!("{file:#}"))
    }

    /// The credential file of a user who logged in with gcloud, with a refresh token for this emulator.
    pub fn authorized_user_json(&self, email: &str) -> String {
        format!("{:#}", fixtures::authorized_user(&self.world, email))
    }

    /// A credential file that acts as `target`, through `delegates`, from a source credential: the
    /// text of another credential file.
    ///
    /// # Errors
    /// The source is not JSON.
    pub fn impersonated_service_account_json<D: AsRef<str>>(
        &self,
        source: &str,
        target: &str,
        delegates: impl IntoIterator<Item = D>,
    ) -> Result<String, EmulatorError> {
        let source = serde_json::from_str(source)
            .map_err(|error| EmulatorError::Fixture(format!("the source credential is not JSON: {error}")))?;
        let delegates: Vec<D> = delegates.into_iter().collect();
        let delegates: Vec<&str> = delegates.iter().map(AsRef::as_ref).collect();
        Ok(format!("{:#}", fixtures::impersonated(&self.world, source, target, &delegates)))
    }

    /// The certificate authority of the TLS certificate, in PEM; `None` on plaintext.
    pub fn ca_pem(&self) -> Option<&str> {
        self.world.ca_pem.as_deref()
    }

    /// Makes an account's signing key now, so that the first call that needs it is fast.
    ///
    /// # Errors
    /// The machine cannot make an RSA key.
    pub async fn prepare(&self, email: &str) -> Result<(), EmulatorError> {
        let account = self.world.accounts.get(email);
        self.world
            .with_key(&account, |_| Ok(()))
            .await
            .map_err(|refusal| EmulatorError::Key(refusal.message().to_owned()))
    }

    /// What an access token is good for; `None` if it is not of this emulator, or has expired.
    pub fn verify_access_token(&self, token: &str) -> Option<VerifiedToken> {
        let record = self.world.tokens.find(token)?;
        (record.expires > self.world.clock.now()).then(|| VerifiedToken {
            principal: record.principal.to_string(),
            scopes: record.scopes.to_vec(),
            expires_at: self.world.clock.shown(record.expires),
        })
    }

    /// The claims of an ID token; `None` if "Google" did not sign it here, or it has expired.
    pub fn verify_id_token(&self, token: &str) -> Option<Map<String, Value>> {
        let claims = self.world.id_token_claims(token)?;
        let expires = claims.get("exp").and_then(Value::as_i64)?;
        (expires > self.world.clock.shown_unix()).then_some(claims)
    }

    /// The claims of a JWT that the account signed, with any of its keys; `None` if it did not.
    /// Times are not checked.
    pub fn verify_jwt(&self, email: &str, token: &str) -> Option<Map<String, Value>> {
        let account = self.world.accounts.find(email)?;
        let parsed = Parsed::from_token(token)?;
        let keys = account.keys().published();
        parsed.is_signed_by(keys.iter().map(|key| &**key)).then_some(parsed.claims)
    }

    /// Whether the account signed `payload`, with any of its keys.
    pub fn verify_blob(&self, email: &str, payload: &[u8], signature: &[u8]) -> bool {
        let account = self.world.accounts.find(email);
        account.is_some_and(|account| {
            account.keys().published().iter().any(|key| key.verify(payload, signature))
        })
    }

    /// The public keys of an account as a JSON Web Key Set: those made so far, the signing one first.
    pub fn jwks(&self, email: &str) -> Value {
        self.world
            .accounts
            .find(email)
            .map_or_else(|| key_sets::jwks(&[]), |account| key_sets::jwks(&account.keys().published()))
    }

    /// The public keys of "Google", which signs ID tokens, as a JSON Web Key Set.
    pub fn google_jwks(&self) -> Value {
        key_sets::jwks(&self.world.google.published())
    }

    /// The numeric unique id of an account.
    pub fn unique_id(&self, email: &str) -> String {
        self.world.accounts.get(email).unique_id().to_owned()
    }

    /// The policy in force, if there is one.
    pub fn policy(&self) -> Option<Policy> {
        self.world.policy().map(|rules| rules.policy.clone())
    }

    /// Puts another policy into force, or none. Tokens stay.
    ///
    /// # Errors
    /// The policy is wrong; the old one stays in force.
    pub fn set_policy(&self, policy: impl Into<Option<Policy>>) -> Result<(), PolicyError> {
        let policy = policy.into();
        policy.as_ref().map_or(Ok(()), Policy::validate)?;
        self.world.set_policy(policy);
        Ok(())
    }

    /// Adds a grant to the policy in force, as [`Policy::grant`] does.
    ///
    /// # Errors
    /// The grant makes no sense; nothing has changed.
    pub fn grant(&self, member: &str, role: &str, email: &str) -> Result<(), PolicyError> {
        self.grant_after(Duration::ZERO, member, role, email)
    }

    /// [`grant`](Self::grant), in force once `propagation` has passed from now on.
    ///
    /// # Errors
    /// The grant makes no sense; nothing has changed.
    pub fn grant_after(
        &self,
        propagation: Duration,
        member: &str,
        role: &str,
        email: &str,
    ) -> Result<(), PolicyError> {
        self.world.change_policy(|policy, age| {
            // A grant in force at once must not wait for a clock that has not moved.
            let from = if propagation.is_zero() { Duration::ZERO } else { age + propagation };
            policy.add_grant(from, member, role, email);
        })
    }

    /// Takes a role from a member, at once; `false` if there was no such grant.
    pub fn revoke(&self, member: &str, role: &str, email: &str) -> bool {
        self.policy().is_some()
            && self.world.change_policy(|policy, _| policy.remove_grant(member, role, email)).unwrap_or(false)
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.world.faults.inject(fault)
    }

    /// Ends a fault; `false` if it had ended already.
    pub fn clear_fault(&self, id: FaultId) -> bool {
        self.world.faults.clear_one(id)
    }

    /// Ends all faults. What already hangs goes on hanging.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// The requests so far, oldest first: the last [`JOURNAL_CAPACITY`] of them, those under way included.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.world.journal.entries()
    }

    /// The requests of one kind in the [`journal`](Self::journal).
    pub fn calls(&self, method: Method) -> Vec<JournalEntry> {
        let mut entries = self.journal();
        entries.retain(|entry| entry.method == method);
        entries
    }

    /// Empties the journal.
    pub fn clear_journal(&self) {
        self.world.journal.clear();
    }

    /// Lets the emulator's time jump forward: tokens expire.
    pub fn advance(&self, by: Duration) {
        self.world.clock.advance(by);
    }

    /// Tells callers a time ahead of the true one, in expiry times and claims, and reads theirs so.
    /// Zero ends it. Nothing expires sooner or later by it.
    pub fn run_ahead(&self, by: Duration) {
        self.world.clock.skew(by, false);
    }

    /// Like [`run_ahead`](Self::run_ahead), but tells a time behind the true one.
    pub fn run_behind(&self, by: Duration) {
        self.world.clock.skew(by, true);
    }

    /// The time that callers are told.
    pub fn now(&self) -> SystemTime {
        self.world.clock.shown(self.world.clock.now())
    }

    /// Gives an account a new signing key. The old ones stay published.
    ///
    /// # Errors
    /// The machine cannot make an RSA key.
    pub async fn rotate_key(&self, email: &str) -> Result<String, EmulatorError> {
        let (account, now) = (self.world.accounts.get(email), self.world.clock.now());
        rotate(Arc::clone(account.keys()), now).await
    }

    /// Gives "Google" a new key for ID tokens. The old ones stay published.
    ///
    /// # Errors
    /// The machine cannot make an RSA key.
    pub async fn rotate_google_key(&self) -> Result<String, EmulatorError> {
        rotate(Arc::clone(&self.world.google), self.world.clock.now()).await
    }

    /// Back to the start: no faults, no tokens, an empty journal, the right time. Keys stay.
    pub fn reset(&self) {
        self.world.reset();
    }
}

async fn rotate(ring: Arc<KeyRing>, now: SystemTime) -> Result<String, EmulatorError> {
    let rotated = blocking(move || ring.rotate(now).map(|key| key.id().to_owned())).await;
    rotated.map_err(|refusal: Refusal| EmulatorError::Key(refusal.message().to_owned()))
}

/// The recipes of the page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/emulator.md")]
struct Page;

/// What an access token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedToken {
    /// Whose token it is: `serviceAccount:{email}` or `user:{email}`.
    pub principal: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it expires, as its holder was told.
    pub expires_at: SystemTime,
}
