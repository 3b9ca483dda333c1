//! The OpenID Connect issuers outside Google Cloud that the emulator plays, and their keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::emulator::iam::key_ring::KeyRing;

/// The issuers, and the keys with which they sign.
#[derive(Debug, Default)]
pub(crate) struct Issuers {
    rings: Mutex<HashMap<String, Arc<KeyRing>>>,
    /// Keys that no issuer publishes any longer.
    unpublished: Arc<KeyRing>,
}

impl Issuers {
    /// Returns the keys of the issuer with this URI.
    pub(crate) fn keys(&self, issuer_uri: &str) -> Arc<KeyRing> {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rings.entry(issuer_uri.to_owned()).or_default())
    }

    /// Returns keys that no issuer publishes any longer.
    pub(crate) fn unpublished_keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.unpublished)
    }
}
