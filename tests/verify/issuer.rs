//! An issuer of tokens, valid ones and others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::verify::{IdTokenRules, PublicKeys};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::Signer;
use serde_json::{Value, json};

use crate::support::emulator::EMAIL;

pub(crate) const AUDIENCE: &str = "https://service.example";
pub(crate) const CALLER: &str = "caller@project.iam.gserviceaccount.com";

/// The time of all tokens, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

/// An RSA key of the emulator, which signs anything.
pub(crate) struct Issuer {
    pub(crate) jwks: String,
    pub(crate) key_id: String,
    signer: Box<dyn Signer>,
}

impl Issuer {
    pub(crate) fn new(emulator: &Emulator) -> Self {
        let file: Value = serde_json::from_str(&emulator.service_account_key_json(EMAIL)).unwrap();
        let key = PrivateKeyDer::from_pem_slice(file["private_key"].as_str().unwrap().as_bytes()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Self {
            jwks: emulator.keys().jwks(EMAIL),
            key_id: file["private_key_id"].as_str().unwrap().to_owned(),
            signer: key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).unwrap(),
        }
    }

    pub(crate) fn keys(&self) -> PublicKeys {
        PublicKeys::from_jwks(&self.jwks).unwrap()
    }

    /// Returns a header that names the key.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": "RS256", "kid": self.key_id, "typ": "JWT" })
    }

    /// Signs these texts, whatever they are.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.signer.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature))
    }

    /// Returns a token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }
}

/// Returns claims that [`rules`] accept.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "sub": "1234567890",
        "iat": NOW,
        "exp": NOW + 3600,
        "email": CALLER,
        "email_verified": true,
    })
}

/// Returns claims of which one differs. `Null` removes it.
pub(crate) fn claims_but(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
        value => claims[claim] = value,
    }
    claims
}

/// Returns rules for the time [`NOW`].
pub(crate) fn rules() -> IdTokenRules {
    IdTokenRules::for_audience(AUDIENCE).at(at(NOW))
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
