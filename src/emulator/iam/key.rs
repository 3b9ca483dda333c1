//! RSA keys.

use std::fmt;
use std::time::SystemTime;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::key_pool::KeyPool;
use crate::emulator::error::ApiError;
use crate::emulator::fingerprint;
use crate::jwt;

/// The length of a key's id in bytes, before it is written in hexadecimal.
const ID_LENGTH: usize = 20;

/// An RSA-2048 key pair. All signatures here are PKCS #1 v1.5 with SHA-256.
pub(crate) struct SigningKey {
    id: String,
    pair: RsaKeyPair,
    created: SystemTime,
}

impl SigningKey {
    /// Takes a key from the pool of the process. This takes a few milliseconds, and up to 0.5 s if the pool
    /// must find primes.
    pub(crate) fn generate(created: SystemTime) -> Result<Self, ApiError> {
        let pair = KeyPool::shared()
            .take()
            .map_err(|_| ApiError::internal("the emulator could not generate an RSA key"))?;
        let id = fingerprint::hex(pair.public_key().as_ref(), ID_LENGTH);
        Ok(Self { id, pair, created })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ApiError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| ApiError::internal("the emulator could not sign"))?;
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

    pub(crate) fn pkcs8_der(&self) -> Result<Vec<u8>, ApiError> {
        let der: Pkcs8V1Der<'_> =
            self.pair.as_der().map_err(|_| ApiError::internal("the emulator could not write an RSA key"))?;
        Ok(der.as_ref().to_vec())
    }

    /// Returns the public key as PEM.
    pub(crate) fn public_pem(&self) -> Result<String, ApiError> {
        let der: PublicKeyX509Der<'_> = (self.pair.public_key().as_der())
            .map_err(|_| ApiError::internal("the emulator could not write an RSA key"))?;
        Ok(pem("PUBLIC KEY", der.as_ref()))
    }

    pub(crate) fn pkcs8_pem(&self) -> Result<String, ApiError> {
        Ok(pem("PRIVATE KEY", &self.pkcs8_der()?))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
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
