//! Signing keys, for tests in Rust.

use super::error::EmulatorError;
use crate::emulator::control::commands::{Commands, KeyOwner};

/// Reads, prepares and rotates signing keys. [`Emulator::keys`](crate::emulator::Emulator::keys)
/// returns it.
///
/// An account's key is made when it is first needed, which takes milliseconds: the process searches for primes
/// in the background as soon as its first emulator starts, and makes keys of pairs of them. If all pairs are
/// used, the next key takes up to 0.5 s. No two keys of a process are equal, but keys share primes. So they
/// are secure in no way, and of use only for tests.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::emulator::Emulator;
///
/// let email = "sa@p.iam.gserviceaccount.com";
/// let emulator = Emulator::builder().start().await?;
/// emulator.keys().prepare(email).await?;
/// let new_key = emulator.keys().rotate(email).await?;
/// let published = emulator.keys().jwks(email);
/// assert!(published.contains(&new_key));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeyControl<'a>(&'a Commands);

impl<'a> KeyControl<'a> {
    pub(crate) fn new(commands: &'a Commands) -> Self {
        Self(commands)
    }

    /// Generates an account's signing key now, so that the first call that needs it is fast.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::Key`] if the account doesn't exist or if no key can be generated.
    pub async fn prepare(&self, email: &str) -> Result<(), EmulatorError> {
        Ok(self.0.prepare_key(email).await?)
    }

    /// Replaces an account's signing key and returns the id of the new one. Old keys stay published.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::Key`] if the account doesn't exist or if no key can be generated.
    pub async fn rotate(&self, email: &str) -> Result<String, EmulatorError> {
        Ok(self.0.rotate_key(KeyOwner::Account(email)).await?)
    }

    /// Replaces the key with which "Google" signs ID tokens, and returns the id of the new one. Old
    /// keys stay published.
    ///
    /// # Errors
    ///
    /// Returns [`EmulatorError::Key`] if no key can be generated.
    pub async fn rotate_google(&self) -> Result<String, EmulatorError> {
        Ok(self.0.rotate_key(KeyOwner::Google).await?)
    }

    /// Returns an account's existing public keys as the text of a JSON Web Key Set, the signing key
    /// first. Generates none. [`PublicKeys::from_jwks`](crate::verify::PublicKeys::from_jwks) reads
    /// it.
    pub fn jwks(&self, email: &str) -> String {
        self.0.jwks(KeyOwner::Account(email)).to_string()
    }

    /// Returns the public keys of "Google", which signs ID tokens, as the text of a JSON Web Key Set.
    pub fn google_jwks(&self) -> String {
        self.0.jwks(KeyOwner::Google).to_string()
    }
}
