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
    /// The user-managed key, which is in the key file.
    file: Option<Arc<SigningKey>>,
}

/// Which key of a ring.
#[derive(Clone, Copy)]
enum Use {
    System,
    File,
}

impl KeyRing {
    /// Returns the key that signs for the API. Blocks while it generates the first one.
    pub(crate) fn current(&self, now: SystemTime) -> Result<Arc<SigningKey>, ApiError> {
        self.get_or_generate(Use::System, now)
    }

    /// Returns the key of the key file. Blocks while it generates it.
    pub(crate) fn file(&self, now: SystemTime) -> Result<Arc<SigningKey>, ApiError> {
        self.get_or_generate(Use::File, now)
    }

    /// Replaces the signing key. Old keys stay published. Blocks while it generates the new one.
    pub(crate) fn rotate(&self, now: SystemTime) -> Result<Arc<SigningKey>, ApiError> {
        let _generating = self.generating.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Arc::new(SigningKey::generate(now)?);
        let mut keys = self.lock();
        let old = keys.current.replace(Arc::clone(&fresh));
        keys.retired.extend(old);
        Ok(fresh)
    }

    /// Returns all keys whose signatures are valid, the current one first. Generates none.
    pub(crate) fn published(&self) -> Vec<Arc<SigningKey>> {
        let keys = self.lock();
        keys.current.iter().chain(&keys.retired).chain(&keys.file).cloned().collect()
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

    fn get_or_generate(&self, which: Use, now: SystemTime) -> Result<Arc<SigningKey>, ApiError> {
        if let Some(key) = self.lock().get(which) {
            return Ok(key);
        }
        let _generating = self.generating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.lock().get(which) {
            return Ok(key);
        }
        let key = Arc::new(SigningKey::generate(now)?);
        *self.lock().slot(which) = Some(Arc::clone(&key));
        Ok(key)
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn get(&mut self, which: Use) -> Option<Arc<SigningKey>> {
        self.slot(which).clone()
    }

    fn slot(&mut self, which: Use) -> &mut Option<Arc<SigningKey>> {
        match which {
            Use::System => &mut self.current,
            Use::File => &mut self.file,
        }
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
    }
}
