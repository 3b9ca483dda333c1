//! Signatures that are verified with the published keys of their account.

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::verify::PublicKeys;
use serde_json::{Value, json};

use crate::support::accounts::TARGET;
use crate::support::emulator::{client_of, http, start};

/// Fetches the keys that an emulator publishes for an account.
async fn keys(emulator: &Emulator, account: &str) -> PublicKeys {
    let page = PublicKeys::url(account).replace("https://www.googleapis.com", emulator.endpoint());
    let (_, _, jwks) = http("GET", &page, &[], "").await;
    PublicKeys::from_jwks(std::str::from_utf8(&jwks).unwrap()).unwrap()
}

/// conf: P42
#[tokio::test]
async fn signatures_verify_with_the_keys_of_their_account_only() {
    let emulator = start().await;
    let client = client_of(&emulator);
    let signer = client.impersonate(TARGET).signer().unwrap();
    let blob = signer.sign_blob("bytes").await.unwrap();
    let jwt = signer.sign_jwt(&json!({ "sub": "someone" })).await.unwrap();

    let own = keys(&emulator, TARGET).await;
    own.verify_blob(&blob, b"bytes").unwrap();
    assert_eq!(own.verify_jwt::<Value>(jwt.as_str()).unwrap(), json!({ "sub": "someone" }));
    assert_eq!(own.verify_blob(&blob, b"other bytes").unwrap_err().field(), Some("signature"));

    client.sign_blob("other@example.com", "").await.unwrap();
    let foreign = keys(&emulator, "other@example.com").await;
    assert_eq!(foreign.verify_blob(&blob, b"bytes").unwrap_err().field(), Some("key_id"));
    assert_eq!(foreign.verify_jwt::<Value>(jwt.as_str()).unwrap_err().field(), Some("key_id"));
}

/// conf: P42
#[tokio::test]
async fn after_a_key_rotation_old_and_new_signatures_verify_with_the_new_keys() {
    let emulator = start().await;
    let signer = client_of(&emulator).impersonate(TARGET).signer().unwrap();
    let older = signer.sign_blob("bytes").await.unwrap();
    let keys_before = keys(&emulator, TARGET).await;

    emulator.keys().rotate(TARGET).await.unwrap();
    let newer = signer.sign_blob("bytes").await.unwrap();
    assert_eq!(keys_before.verify_blob(&newer, b"bytes").unwrap_err().field(), Some("key_id"));
    let keys_after = keys(&emulator, TARGET).await;
    keys_after.verify_blob(&newer, b"bytes").unwrap();
    keys_after.verify_blob(&older, b"bytes").unwrap();
}
