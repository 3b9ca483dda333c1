//! The pages of public keys.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::emulator::error::Refusal;
use crate::emulator::iam::key::{KeyRing, SigningKey, blocking};
use crate::emulator::server::certificate;
use crate::emulator::state::World;

/// The name in the certificates of "Google's" own keys.
const GOOGLE: &str = "federated-signon.system.gserviceaccount.com";

/// How public keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A JSON Web Key Set.
    Jwk,
    /// Certificates in PEM by key id.
    X509,
    /// Modulus and exponent.
    Raw,
}

/// "Google's" own keys, which sign ID tokens.
pub(crate) async fn of_google(world: &World, form: Form) -> Result<Value, Refusal> {
    page(world, Arc::clone(&world.google), GOOGLE.to_owned(), form).await
}

/// The keys of an account.
pub(crate) async fn of_account(world: &World, email: &str, form: Form) -> Result<Value, Refusal> {
    let account = world.account(email).ok_or_else(|| Refusal::unknown_account(email))?;
    page(world, Arc::clone(account.keys()), account.email().to_owned(), form).await
}

async fn page(world: &World, ring: Arc<KeyRing>, owner: String, form: Form) -> Result<Value, Refusal> {
    let now = world.clock.now();
    blocking(move || {
        // A verifier may ask before the first signature, and remember what it was told.
        ring.current(now)?;
        let keys = ring.published();
        match form {
            Form::Jwk => Ok(jwks(&keys)),
            Form::X509 => x509(&keys, &owner),
            Form::Raw => Ok(json!({ "keyvalues": keys.iter().map(|key| raw(key)).collect::<Vec<_>>() })),
        }
    })
    .await
}

pub(crate) fn jwks(keys: &[Arc<SigningKey>]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

fn x509(keys: &[Arc<SigningKey>], owner: &str) -> Result<Value, Refusal> {
    let mut page = Map::new();
    for key in keys {
        page.insert(key.id().to_owned(), certificate::of_key(key, owner)?.into());
    }
    Ok(page.into())
}

fn raw(key: &SigningKey) -> Value {
    json!({
        "algorithm": "RSA",
        "keyid": key.id(),
        "modulus": BASE64_STANDARD.encode(key.modulus()),
        "exponent": BASE64_STANDARD.encode(key.exponent()),
    })
}
