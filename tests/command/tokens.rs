//! `iamcreds access-token`, `id-token` and `self-signed-jwt`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use serde_json::Value;

use crate::program::{ALICE_TOKEN, BUILDER, DEPLOYER, alice, run, shop};

/// conf: I1
#[tokio::test]
async fn an_access_token_is_the_targets_with_the_scopes_and_lifetime_that_were_asked_for() {
    let emulator = shop().await;
    let printed = run(&mut alice(&emulator, &format!("access-token --target {BUILDER}"))).ok();
    let token = emulator.verify_access_token(printed.trim_end()).unwrap();
    assert_eq!(
        (token.principal(), token.scopes()),
        (&*format!("serviceAccount:{BUILDER}"), &[CLOUD_PLATFORM.to_owned()][..])
    );

    let arguments = format!("access-token --target {BUILDER} --scope email --scope openid --lifetime 10m");
    let printed = run(&mut alice(&emulator, &arguments)).ok();
    let token = emulator.verify_access_token(printed.trim_end()).unwrap();
    assert_eq!(token.scopes(), ["email", "openid"]);
    let left = token.expires_at().duration_since(SystemTime::now()).unwrap();
    assert!((580..=600).contains(&left.as_secs()), "{left:?}");
}

/// conf: I1
#[tokio::test]
async fn delegates_are_given_one_by_one_or_as_in_gcloud() {
    let emulator = shop().await;
    for chain in
        [format!("--target {DEPLOYER} --via {BUILDER}"), format!("--impersonate {BUILDER},{DEPLOYER}")]
    {
        let printed = run(&mut alice(&emulator, &format!("access-token {chain}"))).ok();
        let token = emulator.verify_access_token(printed.trim_end()).unwrap();
        assert_eq!(token.principal(), format!("serviceAccount:{DEPLOYER}"), "{chain}");
    }
}

/// conf: I2
#[tokio::test]
async fn a_token_is_shown_as_text_json_or_a_header_and_a_file_is_private() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let command = |more: &str| alice(&emulator, &format!("access-token --target {BUILDER} {more}"));
    let header = run(&mut command("--format header")).ok();
    let token = header.strip_prefix("Authorization: Bearer ").unwrap().trim_end();
    emulator.verify_access_token(token).unwrap();

    let shown: Value = serde_json::from_str(&run(&mut command("--format json")).ok()).unwrap();
    emulator.verify_access_token(shown["access_token"].as_str().unwrap()).unwrap();
    assert!((3590..=3600).contains(&shown["expires_in"].as_u64().unwrap()), "{shown}");

    let path = folder.path().join("token");
    assert_eq!(run(command("--out").arg(&path)).ok(), "");
    emulator.verify_access_token(fs::read_to_string(&path).unwrap().trim_end()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a file is left");
}

/// conf: I1
#[tokio::test]
async fn an_id_token_has_the_audience_and_the_email_if_it_is_wanted() {
    let emulator = shop().await;
    for (more, email) in [("", None), ("--include-email", Some(BUILDER))] {
        let arguments = format!("id-token --target {BUILDER} --audience https://a.run.app {more}");
        let printed = run(&mut alice(&emulator, &arguments)).ok();
        let claims: Value = emulator.verify_id_token(printed.trim_end()).unwrap();
        assert_eq!((&claims["aud"], claims["email"].as_str()), (&"https://a.run.app".into(), email));
    }
}

/// conf: I1
#[tokio::test]
async fn a_self_signed_jwt_is_for_its_api_and_short_if_that_is_wanted() {
    let emulator = shop().await;
    let arguments = format!(
        "self-signed-jwt --target {BUILDER} --audience https://pubsub.googleapis.com/ --lifetime 10m --format json"
    );
    let shown: Value = serde_json::from_str(&run(&mut alice(&emulator, &arguments)).ok()).unwrap();
    let claims: Value = emulator.verify_jwt(BUILDER, shown["jwt"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["aud"], &claims["iss"]), (&"https://pubsub.googleapis.com/".into(), &BUILDER.into()));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 600);
}

/// conf: I3
#[tokio::test]
async fn nothing_but_the_result_is_printed_and_no_log_has_a_secret() {
    let emulator = shop().await;
    let printed = run(&mut alice(&emulator, &format!("access-token -vvv --target {BUILDER}")));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.stdout.lines().count(), 1);
    assert!(printed.stderr.contains("iam_credentials_call"), "{}", printed.stderr);
    for secret in [ALICE_TOKEN, printed.stdout.trim_end()] {
        assert!(!printed.stderr.contains(secret), "{}", printed.stderr);
    }
}

/// conf: I1
#[tokio::test]
async fn a_call_ends_at_the_time_limit() {
    let emulator = shop().await;
    emulator.faults().inject(gcp_iam_credentials::emulator::Fault::hang());
    let start = tokio::time::Instant::now();
    let failed = run(&mut alice(&emulator, &format!("access-token --target {BUILDER} --timeout 1s")));
    assert_eq!(failed.code, Some(5), "{failed:?}");
    assert!(failed.stderr.contains(BUILDER), "{failed:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
