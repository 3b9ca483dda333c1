//! The keys of an account.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::jwt::Parsed;
use super::key::SigningKey;
use crate::emulator::error::ApiError;

/// The keys of one account, or of "Google". Each is generated when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    keys: Mutex<Keys>,
    /// Locked while a key is generated, so that concurrent requests generate only one.
    generating: Mutex<()>,
}

#[derive(Debug, Default)]
struct Keys {
    /// The system-managed key that signs.
    current: Option<Arc<SigningKey>>,
    /// Replaced by a rotation, but still published.
    retired: Vec<Arc<SigningKey>>,
    /// The user-managed keys, which are in key files. The first one is that of the control pages.
    of_user: Vec<Arc<SigningKey>>,
}

/// How many user-managed keys an account can have.
const MOST_OF_USER: usize = 10;

/// How many keys stay published after a rotation. The oldest goes first.
const MOST_RETIRED: usize = 10;

impl KeyRing {
    /// Returns the key that signs for the API. Blocks while it generates the first one.
    pub(crate) fn current(&self, now: SystemTime) -> Result<Arc<SigningKey>, ApiError> {
        self.get_or_generate(|keys| keys.current.clone(), |keys, key| keys.current = Some(key), now)
    }

    /// Returns the key of the key file. Blocks while it generates it.
    pub(crate) fn file(&self, now: SystemTime) -> Result<Arc<SigningKey>, ApiError> {
        self.get_or_generate(|keys| keys.of_user.first().cloned(), |keys, key| keys.of_user.push(key), now)
    }

    /// Adds a user-managed key. Returns `None` if there are as many as an account can have. Blocks while it
    /// generates the key.
    pub(crate) fn add_of_user(&self, now: SystemTime) -> Result<Option<Arc<SigningKey>>, ApiError> {
        let _generating = self.generating.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock().of_user.len() >= MOST_OF_USER {
            return Ok(None);
        }
        let key = Arc::new(SigningKey::generate(now)?);
        self.lock().of_user.push(Arc::clone(&key));
        Ok(Some(key))
    }

    /// Removes a user-managed key, whose signatures are invalid from then on. Returns `false` if there is none of
    /// that id.
    pub(crate) fn remove_of_user(&self, id: &str) -> bool {
        let mut keys = self.lock();
        let before = keys.of_user.len();
        keys.of_user.retain(|key| key.id() != id);
        keys.of_user.len() < before
    }

    /// Returns the user-managed keys.
    pub(crate) fn of_user(&self) -> Vec<Arc<SigningKey>> {
        self.lock().of_user.clone()
    }

    /// Returns the system-managed keys, the current one first.
    pub(crate) fn of_system(&self) -> Vec<Arc<SigningKey>> {
        let keys = self.lock();
        keys.current.iter().chain(&keys.retired).cloned().collect()
    }

    /// Replaces the signing key. The newest old keys stay published. Blocks while it generates the new one.
    pub(crate) fn rotate(&self, now: SystemTime) -> Result<Arc<SigningKey>, ApiError> {
        let _generating = self.generating.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Arc::new(SigningKey::generate(now)?);
        let mut keys = self.lock();
        let old = keys.current.replace(Arc::clone(&fresh));
        keys.retired.extend(old);
        let oldest = keys.retired.len().saturating_sub(MOST_RETIRED);
        keys.retired.drain(..oldest);
        Ok(fresh)
    }

    /// Returns all keys whose signatures are valid, the current one first. Generates none.
    pub(crate) fn published(&self) -> Vec<Arc<SigningKey>> {
        let keys = self.lock();
        keys.current.iter().chain(&keys.retired).chain(&keys.of_user).cloned().collect()
    }

    /// Returns all published keys as a JSON Web Key Set.
    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": self.published().iter().map(|key| key.jwk()).collect::<Vec<_>>() })
    }

    /// Returns whether one of the published keys signed `token`.
    pub(crate) fn has_signed(&self, token: &Parsed<'_>) -> bool {
        self.published().iter().any(|key| token.is_signed_by(key))
    }

    /// Runs `work` with the key that signs for the API, on a thread for blocking work.
    pub(crate) async fn with_current<T: Send + 'static>(
        self: &Arc<Self>,
        now: SystemTime,
        work: impl FnOnce(&SigningKey) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let ring = Arc::clone(self);
        blocking(move || work(&*ring.current(now)?)).await
    }

    fn get_or_generate(
        &self,
        get: fn(&Keys) -> Option<Arc<SigningKey>>,
        keep: fn(&mut Keys, Arc<SigningKey>),
        now: SystemTime,
    ) -> Result<Arc<SigningKey>, ApiError> {
        if let Some(key) = get(&self.lock()) {
            return Ok(key);
        }
        let _generating = self.generating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = get(&self.lock()) {
            return Ok(key);
        }
        let key = Arc::new(SigningKey::generate(now)?);
        keep(&mut self.lock(), Arc::clone(&key));
        Ok(key)
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs work with keys on a thread for blocking work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(ApiError::internal("the emulator is stopping")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_key_stays_published_but_no_longer_signs() {
        let now = SystemTime::now();
        let ring = KeyRing::default();
        assert!(ring.published().is_empty(), "keys are generated when first needed");
        let first = ring.current(now).unwrap();
        assert_eq!(ring.current(now).unwrap().id(), first.id());
        let file = ring.file(now).unwrap();
        let second = ring.rotate(now).unwrap();
        assert_eq!(ring.current(now).unwrap().id(), second.id());
        assert_eq!(ring.file(now).unwrap().id(), file.id());
        let published: Vec<_> = ring.published().iter().map(|key| key.id().to_owned()).collect();
        assert_eq!(published, [second.id(), first.id(), file.id()]);

        for _ in 0..MOST_RETIRED {
            ring.rotate(now).unwrap();
        }
        let published = ring.of_system();
        assert_eq!(published.len(), MOST_RETIRED + 1);
        let is_published = |key: &SigningKey| published.iter().any(|other| other.id() == key.id());
        assert!(is_published(&second) && !is_published(&first), "only the newest old keys stay");
    }
}
