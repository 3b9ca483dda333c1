//! `iamcreds sign-blob`, `sign-jwt` and `sign-url`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::program::{BUILDER, DEPLOYER, alice, run, run_with_input, shop};

/// conf: I1
#[tokio::test]
async fn a_file_or_standard_input_is_signed_byte_for_byte() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bytes");
    let bytes: Vec<u8> = (0..=255).collect();
    std::fs::write(&file, &bytes).unwrap();
    let command = |more: &str| alice(&emulator, &format!("sign-blob --target {BUILDER} {more}"));

    let printed = run(command("").arg(&file)).ok();
    let signature = BASE64_STANDARD.decode(printed.trim_end()).unwrap();
    assert!(emulator.verify_blob(BUILDER, &bytes, &signature));

    let shown: Value =
        serde_json::from_str(&run_with_input(&mut command("- --format json"), &bytes).ok()).unwrap();
    assert_eq!(shown["signature"], printed.trim_end());
    assert_eq!(shown["signer"], BUILDER);

    let out = folder.path().join("signature");
    run(command("--format binary --out").arg(&out).arg(&file)).ok();
    assert_eq!(std::fs::read(&out).unwrap(), signature);
}

/// conf: I1
#[tokio::test]
async fn claims_are_signed_as_they_are() {
    let emulator = shop().await;
    let chain = format!("--target {DEPLOYER} --via {BUILDER}");
    // A number that a float can't hold stays.
    let claims = r#"{"b": 12345678901234567890, "a": "ü"}"#;
    let printed =
        run_with_input(&mut alice(&emulator, &format!("sign-jwt - {chain}")), claims.as_bytes()).ok();
    let payload = printed.split('.').nth(1).unwrap();
    assert_eq!(base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap(), claims.as_bytes());
    let verified: Value = emulator.verify_jwt(DEPLOYER, printed.trim_end()).unwrap();
    assert_eq!(verified["a"], "ü");

    let shown =
        run_with_input(&mut alice(&emulator, &format!("sign-jwt - {chain} --format json")), b"{}").ok();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(emulator.verify_jwt::<Value>(DEPLOYER, shown["jwt"].as_str().unwrap()), Some(json!({})));
    assert!(!shown["key_id"].as_str().unwrap().is_empty());
}

/// conf: I1, U1
#[tokio::test]
async fn a_signed_url_has_all_that_the_arguments_say() {
    let emulator = shop().await;
    let mut command = alice(&emulator, "sign-url gs://my_bucket/a//b?x#y --method put --lifetime 168h");
    command.args(["--target", DEPLOYER, "--via", BUILDER, "--storage-endpoint", "http://localhost:4443"]);
    command.args(["--header", "X-Goog-Meta-A: 1:2", "--header", "b:", "--query", "c==&", "--query", "d="]);
    let text = run(&mut command).ok();
    let (base, query) = text.trim_end().split_once('?').unwrap();
    assert_eq!(base, "http://localhost:4443/my_bucket/a//b%3Fx%23y");
    for part in ["Expires=604800&", "SignedHeaders=b%3Bhost%3Bx-goog-meta-a&c=%3D%26&d=&X-Goog-Signature="] {
        assert!(query.contains(part), "{query}");
    }

    let shown: Value = serde_json::from_str(&run(command.args(["--format", "json"])).ok()).unwrap();
    let signature = shown["url"].as_str().unwrap().rsplit_once('=').unwrap().1;
    let bytes = |at: usize| u8::from_str_radix(&signature[2 * at..2 * at + 2], 16).unwrap();
    let signature: Vec<u8> = (0..signature.len() / 2).map(bytes).collect();
    let signed = shown["string_to_sign"].as_str().unwrap();
    assert!(emulator.verify_blob(DEPLOYER, signed.as_bytes(), &signature));
    assert_eq!((&shown["method"], &shown["signer"]), (&json!("PUT"), &json!(DEPLOYER)));
    assert_eq!(shown["headers"], json!({"x-goog-meta-a": "1:2", "b": ""}));
    assert!(shown["canonical_request"].as_str().unwrap().starts_with("PUT\n/my_bucket/a//b%3Fx%23y\n"));

    let bucket = run(&mut alice(&emulator, &format!("sign-url gs://b --target {BUILDER}"))).ok();
    assert!(bucket.starts_with("https://storage.googleapis.com/b?X-Goog-"), "{bucket}");
    let bound = "--bucket-bound-host cdn.example.com";
    let bound = run(&mut alice(&emulator, &format!("sign-url gs://b/o --target {BUILDER} {bound}"))).ok();
    assert!(bound.starts_with("https://cdn.example.com/o?X-Goog-"), "{bound}");
}
