//! `iamcreds sign-blob` and `sign-jwt`.

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
