//! The secrets of all scenarios, and whether they were in use.

use std::sync::Mutex;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::search::Searcher;

/// Every JSON Web Token that this crate makes or gets begins with this.
const START_OF_JWT: &[u8] = b"eyJhbGciOiJSUzI1NiI";

#[derive(Default)]
pub(crate) struct Secrets(Mutex<Vec<Secret>>);

struct Secret {
    name: String,
    bytes: Vec<u8>,
    was_used: bool,
}

impl Secrets {
    /// Returns a new secret of 43 letters, digits, `-` and `_`, which depends on its name.
    pub(crate) fn token(&self, name: &str) -> String {
        let token = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(name));
        self.add(name, &token, false);
        token
    }

    /// Adds a secret that the crate or the emulator made, so it was in use.
    pub(crate) fn made(&self, name: &str, secret: impl AsRef<[u8]>) {
        self.add(name, secret, true);
    }

    /// Adds a secret from elsewhere.
    pub(crate) fn add(&self, name: &str, secret: impl AsRef<[u8]>, was_used: bool) {
        let bytes = secret.as_ref().to_vec();
        self.0.lock().unwrap().push(Secret { name: name.to_owned(), bytes, was_used });
    }

    /// Notes the secrets in what a server received, or in what a caller got.
    pub(crate) fn saw(&self, traffic: impl AsRef<[u8]>) {
        let traffic = traffic.as_ref();
        for secret in self.0.lock().unwrap().iter_mut() {
            let length = secret.bytes.len();
            secret.was_used |= traffic.windows(length).any(|window| window == secret.bytes);
        }
    }

    /// Says that a secret was in use although it is never sent: a private key whose signature a server
    /// accepted.
    pub(crate) fn used(&self, name: &str) {
        let mut secrets = self.0.lock().unwrap();
        secrets.iter_mut().filter(|secret| secret.name == name).for_each(|secret| secret.was_used = true);
    }

    /// Returns the names of the secrets that nobody saw.
    pub(crate) fn unused(&self) -> Vec<String> {
        let secrets = self.0.lock().unwrap();
        secrets.iter().filter(|secret| !secret.was_used).map(|secret| secret.name.clone()).collect()
    }

    pub(crate) fn searcher(&self) -> Searcher {
        let mut searcher = Searcher::default();
        searcher.add("the start of a JWT", START_OF_JWT);
        self.0.lock().unwrap().iter().for_each(|secret| searcher.add(&secret.name, &secret.bytes));
        searcher
    }
}

#[test]
fn a_secret_that_nobody_saw_is_reported() {
    let secrets = Secrets::default();
    let (first, _) = (secrets.token("first"), secrets.token("second"));
    secrets.saw(format!("Bearer {first}"));
    assert_eq!(secrets.unused(), ["second"]);
    secrets.used("second");
    assert!(secrets.unused().is_empty());
}
