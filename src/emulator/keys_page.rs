//! The pages of public keys.

use serde_json::{Value, json};

use super::key::{KeyRing, blocking};
use super::refusal::Refusal;
use super::world::World;

/// The JSON Web Key Set of "Google's" own keys.
pub(super) async fn google_jwks(world: &World) -> Result<Value, Refusal> {
    let (google, now) = (std::sync::Arc::clone(&world.google), world.clock.now());
    // A verifier may ask before the first token is signed, and remember what it was told.
    blocking(move || {
        google.current(now)?;
        Ok(jwks(&google))
    })
    .await
}

/// The JSON Web Key Set of an account.
pub(super) async fn account_jwks(world: &World, email: &str) -> Result<Value, Refusal> {
    let account = world.accounts.find(email).ok_or_else(|| Refusal::unknown_account(email))?;
    let (ring, now) = (std::sync::Arc::clone(account.keys()), world.clock.now());
    blocking(move || {
        ring.current(now)?;
        Ok(jwks(&ring))
    })
    .await
}

fn jwks(ring: &KeyRing) -> Value {
    let keys: Vec<_> = ring.published().iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys })
}
