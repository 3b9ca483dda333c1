//! RSA keys: one, and the ring of them that an account owns.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::emulator::error::Refusal;
use crate::jwt;

/// An RSA-2048 key pair. All signatures here are PKCS #1 v1.5 with SHA-256.
pub(crate) struct SigningKey {
    id: String,
    pair: RsaKeyPair,
    created: SystemTime,
}

impl SigningKey {
    /// Makes a key, which takes from a few hundredths of a second to a few tenths.
    fn generate(created: SystemTime) -> Result<Self, Refusal> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)
            .map_err(|_| Refusal::internal("the emulator could not make an RSA key"))?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pair.public_key().as_ref());
        Ok(Self { id: hex(&digest.as_ref()[..20]), pair, created })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Refusal::internal("the emulator could not sign"))?;
        Ok(signature)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public_key())
            .verify(message, signature)
            .is_ok()
    }

    pub(crate) fn modulus(&self) -> &[u8] {
        self.pair.public_key().modulus().big_endian_without_leading_zero()
    }

    pub(crate) fn exponent(&self) -> &[u8] {
        self.pair.public_key().exponent().big_endian_without_leading_zero()
    }

    pub(crate) fn created(&self) -> SystemTime {
        self.created
    }

    pub(crate) fn jwk(&self) -> Value {
        json!({
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.id,
            "n": jwt::encode(self.modulus()),
            "e": jwt::encode(self.exponent()),
        })
    }

    pub(crate) fn pkcs8_der(&self) -> Result<Vec<u8>, Refusal> {
        let der: Pkcs8V1Der<'_> =
            self.pair.as_der().map_err(|_| Refusal::internal("the emulator could not write an RSA key"))?;
        Ok(der.as_ref().to_vec())
    }

    pub(crate) fn pkcs8_pem(&self) -> Result<String, Refusal> {
        Ok(pem("PRIVATE KEY", &self.pkcs8_der()?))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys of one account, or of "Google": made when first needed.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    keys: Mutex<Keys>,
    /// Held while a key is made, so that many who need the first one make one.
    making: Mutex<()>,
}

#[derive(Debug, Default)]
struct Keys {
    /// The system-managed key that signs.
    current: Option<Arc<SigningKey>>,
    /// Rotated out, published still.
    retired: Vec<Arc<SigningKey>>,
    /// The user-managed key, the one in a key file.
    file: Option<Arc<SigningKey>>,
}

/// Which key of a ring.
#[derive(Clone, Copy)]
enum Use {
    System,
    File,
}

impl KeyRing {
    /// The key that signs for the API. Blocks while it makes the first one.
    pub(crate) fn current(&self, now: SystemTime) -> Result<Arc<SigningKey>, Refusal> {
        self.get_or_make(Use::System, now)
    }

    /// The key that goes into a key file. Blocks while it makes it.
    pub(crate) fn file(&self, now: SystemTime) -> Result<Arc<SigningKey>, Refusal> {
        self.get_or_make(Use::File, now)
    }

    /// A new signing key; the old ones stay published. Blocks while it makes it.
    pub(crate) fn rotate(&self, now: SystemTime) -> Result<Arc<SigningKey>, Refusal> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Arc::new(SigningKey::generate(now)?);
        let mut keys = self.lock();
        let old = keys.current.replace(Arc::clone(&fresh));
        keys.retired.extend(old);
        Ok(fresh)
    }

    /// All keys whose signatures are good: the current one first. Makes none.
    pub(crate) fn published(&self) -> Vec<Arc<SigningKey>> {
        let keys = self.lock();
        keys.current.iter().chain(&keys.retired).chain(&keys.file).cloned().collect()
    }

    fn get_or_make(&self, which: Use, now: SystemTime) -> Result<Arc<SigningKey>, Refusal> {
        if let Some(key) = self.lock().get(which) {
            return Ok(key);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.lock().get(which) {
            return Ok(key);
        }
        let key = Arc::new(SigningKey::generate(now)?);
        *self.lock().slot(which) = Some(Arc::clone(&key));
        Ok(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Keys> {
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

/// Runs work on keys off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Refusal::internal("the emulator is stopping")),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_key_stays_published_and_signs_no_more() {
        let now = SystemTime::now();
        let ring = KeyRing::default();
        assert!(ring.published().is_empty(), "keys are made lazily");
        let first = ring.current(now).unwrap();
        assert_eq!(ring.current(now).unwrap().id(), first.id());
        let file = ring.file(now).unwrap();
        let second = ring.rotate(now).unwrap();
        assert_eq!(ring.current(now).unwrap().id(), second.id());
        assert_eq!(ring.file(now).unwrap().id(), file.id());
        let published: Vec<_> = ring.published().iter().map(|key| key.id().to_owned()).collect();
        assert_eq!(published, [second.id(), first.id(), file.id()]);
    }

    #[test]
    fn a_signature_verifies_with_its_own_key_and_message_only() {
        let now = SystemTime::now();
        let (one, other) = (SigningKey::generate(now).unwrap(), SigningKey::generate(now).unwrap());
        let signature = one.sign(b"message").unwrap();
        assert_eq!(signature.len(), 256);
        assert!(one.verify(b"message", &signature));
        assert!(!one.verify(b"massage", &signature));
        assert!(!other.verify(b"message", &signature));
        assert!(!format!("{one:?}").contains("pair"));
    }
}
