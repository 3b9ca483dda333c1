//! An emulator of the IAM Service Account Credentials API, for tests in any language.
//!
//! An [`Emulator`] listens on a loopback port and replies as Google does. It serves the four RPCs
//! with real RSA keys, the OAuth token endpoint that key files name, the metadata server, and the
//! public keys. So unmodified clients work with it.
//!
//! ```
//! # async fn try_it() -> Result<(), Box<dyn std::error::Error>> {
//! use gcp_iam_credentials::emulator::Emulator;
//! use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
//! use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
//!
//! let emulator = Emulator::builder().start().await?;
//! let client = IamCredentialsClient::builder()
//!     .endpoint(emulator.endpoint())
//!     .credentials(Credentials::fixed(Token::new("anything", None)?))
//!     .build()?;
//! let target = "sa@project.iam.gserviceaccount.com";
//! let token = client.generate_access_token(target, [CLOUD_PLATFORM]).await?;
//!
//! let verified = emulator.verify_access_token(token.secret());
//! let verified = verified.ok_or("not a token of this emulator")?;
//! assert_eq!(verified.principal(), format!("serviceAccount:{target}"));
//! assert_eq!(emulator.journal().entries().len(), 1);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(try_it()).unwrap();
//! ```
//!
//! Its tokens and keys are valid only for this emulator.

mod api;
mod builder;
mod called_method;
mod certificate_authority;
mod clock;
mod connection;
mod control;
mod error;
mod faults;
mod fingerprint;
mod iam;
mod journal;
mod method;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod protocol;
mod reply;
mod server;
mod server_certificate;
mod state;

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;

use self::control::commands::Commands;
use self::control::handle;
use self::server::running::RunningServer;

pub use self::builder::{DEFAULT_ADDRESS, EmulatorBuilder};
pub use self::certificate_authority::CertificateAuthority;
pub use self::control::external_account_file::{ExternalAccountFile, SubjectTokenSource};
pub use self::control::handle::{
    ClockControl, EmulatorError, FaultControl, JournalControl, KeyControl, PolicyControl, VerifiedToken,
};
pub use self::faults::{DEFAULT_FAULT_MESSAGE, Fault, FaultId, InvalidShare, PlatformFault, StatusFault};
/// The language of conditions, for tests of what writes conditions.
#[cfg(all(test, feature = "credential-files", feature = "_tls"))]
pub(crate) use self::iam::federation::cel;
pub use self::iam::policy::{
    DEFAULT_AWS_REGION, DisabledAccount, ExternalAccount, IdentityProvider, Member, MiddleHop, Policy,
    PolicyError, ProjectInName, Role, UnknownAccount,
};
pub use self::journal::{JOURNAL_BYTES, JOURNAL_CAPACITY, JournalEntry, Outcome, Protocol, RequestFields};
pub use self::method::{Method, UnknownMethod};

/// A running emulator. Dropping it stops it at once and frees its port; [`stop`](Self::stop) waits for
/// replies.
///
/// It has its own thread and runtime. Several emulators can run at once: each has its own port,
/// accounts, keys and tokens.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use gcp_iam_credentials::Code;
/// use gcp_iam_credentials::emulator::{Emulator, Fault};
///
/// let emulator = Emulator::builder().start().await?;
/// emulator.faults().inject(Fault::status(Code::Unavailable).times(1));
/// emulator.clock().advance(Duration::from_secs(3600));
/// // … the code under test makes its calls …
/// for entry in emulator.journal().entries() {
///     println!("{}: {:?}", entry.method(), entry.outcome());
/// }
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct Emulator {
    commands: Commands,
    server: RunningServer,
}

impl Emulator {
    /// Returns a builder. Its method [`start`](EmulatorBuilder::start) starts the emulator.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::new()
    }

    /// Returns the URL for gRPC and REST: `http://127.0.0.1:43210`, for example. The same port also serves
    /// `https`.
    pub fn endpoint(&self) -> &str {
        &self.commands.state().endpoint
    }

    /// Returns the address that the emulator listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns how many connections the emulator has accepted since its start.
    pub fn connections(&self) -> u64 {
        self.server.connections()
    }

    /// Returns the certificate of the certificate authority that clients over TLS must trust, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.commands.state().ca_pem
    }

    /// Returns the control of the clock. It can let tokens expire, or tell clients a different time.
    pub fn clock(&self) -> ClockControl<'_> {
        ClockControl::new(&self.commands)
    }

    /// Returns the control of faults. It injects and clears them.
    pub fn faults(&self) -> FaultControl<'_> {
        FaultControl::new(&self.commands)
    }

    /// Returns the control of the journal. It reads and clears the list of requests.
    pub fn journal(&self) -> JournalControl<'_> {
        JournalControl::new(&self.commands)
    }

    /// Returns the control of the policy. It reads and changes the policy in force.
    pub fn policy(&self) -> PolicyControl<'_> {
        PolicyControl::new(&self.commands)
    }

    /// Returns the control of signing keys. It reads, prepares and rotates them.
    pub fn keys(&self) -> KeyControl<'_> {
        KeyControl::new(&self.commands)
    }

    /// Stops the emulator when all requests in progress have their replies, at the latest after
    /// `patience`. New connections are refused at once.
    ///
    /// Dropping the emulator stops it without waiting for replies.
    pub async fn stop(self, patience: Duration) {
        self.server.stop_after_replies(patience).await;
    }

    /// Restores the state at the start: no faults, no tokens, an empty journal, the machine's time
    /// and the initial policy. Keys and refresh tokens stay, also those that were revoked, so credential
    /// files stay valid.
    pub fn reset(&self) {
        self.commands.reset();
    }

    /// Returns the key file of a service account. Its `token_uri` is this emulator.
    ///
    /// The first call for an account makes its key, which may block for up to 0.5 s. Later calls return
    /// the same file.
    ///
    /// # Panics
    ///
    /// Panics if [`try_service_account_key_json`](Self::try_service_account_key_json) fails.
    #[expect(clippy::panic, reason = "documented, and a variant without a panic exists")]
    pub fn service_account_key_json(&self, email: &str) -> String {
        self.try_service_account_key_json(email)
            .unwrap_or_else(|error| panic!("no key file for {email:?}: {error}"))
    }

    /// Returns the key file of a service account, or an error.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::Key`] if the account doesn't exist or if no key can be generated.
    pub fn try_service_account_key_json(&self, email: &str) -> Result<String, EmulatorError> {
        Ok(format!("{:#}", self.commands.service_account_file(email)?))
    }

    /// Returns the credential file of a user who logged in with gcloud. It contains a refresh token
    /// for this emulator.
    pub fn authorized_user_json(&self, email: &str) -> String {
        format!("{:#}", self.commands.authorized_user_file(email))
    }

    /// Returns a credential file that impersonates `target` through `delegates`. `source` is the text
    /// of the credential file whose credentials impersonate it.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::CredentialFile`] if `source` isn't JSON.
    pub fn impersonated_service_account_json<D: AsRef<str>>(
        &self,
        source: &str,
        target: &str,
        delegates: impl IntoIterator<Item = D>,
    ) -> Result<String, EmulatorError> {
        let source = serde_json::from_str(source).map_err(|error| {
            EmulatorError::CredentialFile(format!("invalid `source`: must be JSON: {error}"))
        })?;
        let delegates: Vec<D> = delegates.into_iter().collect();
        let delegates: Vec<&str> = delegates.iter().map(AsRef::as_ref).collect();
        Ok(format!("{:#}", self.commands.impersonated_file(source, target, &delegates)))
    }

    /// Returns a credential file of an external account of the policy: `name` is its name there.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::CredentialFile`] if the policy has no such account, or if `file` has a
    /// lifetime and impersonates nobody.
    pub fn external_account_json(
        &self,
        name: &str,
        file: &ExternalAccountFile,
    ) -> Result<String, EmulatorError> {
        let json = self.commands.external_account_file(name, file);
        let json = json.map_err(|error| EmulatorError::CredentialFile(error.message().to_owned()))?;
        Ok(format!("{json:#}"))
    }

    /// Returns a token that the platform of an external account of the policy issues, for an hour and for the
    /// account's provider. A test writes it to the file of [`SubjectTokenSource::File`]. Faults of the platform
    /// apply, except for their delays.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::Key`] if the policy has no such account, if it is of AWS, or if no key can be
    /// generated.
    pub async fn external_account_token(&self, name: &str) -> Result<String, EmulatorError> {
        Ok(self.commands.external_account_token(name).await?)
    }

    /// Returns the credential file of a person who signed in with a workforce pool: `name` is that of an
    /// external account of the policy.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::CredentialFile`] if the policy has no such account, or if its provider isn't
    /// in a workforce pool.
    pub fn external_account_authorized_user_json(&self, name: &str) -> Result<String, EmulatorError> {
        let json = self.commands.external_account_authorized_user_file(name);
        let json = json.map_err(|error| EmulatorError::CredentialFile(error.message().to_owned()))?;
        Ok(format!("{json:#}"))
    }

    /// Returns the numeric unique id of an account.
    pub fn unique_id(&self, email: &str) -> String {
        self.commands.state().identities.accounts.get(email).unique_id().to_owned()
    }

    /// Returns the principal, scopes and expiry of an access token. It is `None` if this emulator
    /// didn't issue the token, or if the token has expired.
    pub fn verify_access_token(&self, token: &str) -> Option<VerifiedToken> {
        handle::verify_access_token(self.commands.state(), token)
    }

    /// Returns the claims of an ID token. It is `None` if this emulator's "Google" didn't sign the
    /// token, if it has expired, or if the claims can't be deserialized as `T`.
    pub fn verify_id_token<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        handle::verify_id_token(self.commands.state(), token)
    }

    /// Returns the claims of a JWT that an account signed with any of its keys. It is `None` if the
    /// account didn't sign it, or if the claims can't be deserialized as `T`. Times aren't checked.
    pub fn verify_jwt<T: DeserializeOwned>(&self, email: &str, token: &str) -> Option<T> {
        handle::verify_jwt(self.commands.state(), email, token)
    }

    /// Returns whether an account signed `payload` with any of its keys.
    pub fn verify_blob(&self, email: &str, payload: &[u8], signature: &[u8]) -> bool {
        handle::verify_blob(self.commands.state(), email, payload, signature)
    }
}
