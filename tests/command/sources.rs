//! The credentials that a command starts from.

use std::fs;

use gcp_iam_credentials::emulator::Method;

use crate::program::{ALICE_TOKEN, BUILDER, DEPLOYER, alice, iamcreds, run, run_with_input, shop};

fn principal(emulator: &gcp_iam_credentials::emulator::Emulator, printed: &str) -> String {
    emulator.verify_access_token(printed.trim_end()).expect("a token of the emulator").principal().to_owned()
}

/// conf: I4
#[tokio::test]
async fn the_source_is_a_file_a_token_in_a_file_on_standard_input_or_in_a_variable() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = file("key.json", &emulator.service_account_key_json(BUILDER));
    let user = file("user.json", &emulator.authorized_user_json("alice@example.com"));
    let token = file("token", &format!("{ALICE_TOKEN}\n"));
    let endpoint = emulator.endpoint();
    let command = |target: &str, more: &str| {
        let arguments = format!("access-token --target {target} --endpoint {endpoint} {more}");
        iamcreds(arguments.split_whitespace())
    };
    for (target, more) in [
        (DEPLOYER, format!("--credentials {key}")),
        (BUILDER, format!("--credentials {user}")),
        (BUILDER, format!("--source-token-file {token}")),
    ] {
        // An argument comes before the variable.
        let printed = run(command(target, &more).env("IAMCREDS_SOURCE_TOKEN", "of-nobody")).ok();
        assert_eq!(principal(&emulator, &printed), format!("serviceAccount:{target}"), "{more}");
    }
    let piped = run_with_input(&mut command(BUILDER, "--source-token-file -"), ALICE_TOKEN.as_bytes()).ok();
    let default = run(command(DEPLOYER, "").env("GOOGLE_APPLICATION_CREDENTIALS", &key)).ok();
    assert_eq!(principal(&emulator, &piped), format!("serviceAccount:{BUILDER}"));
    assert_eq!(principal(&emulator, &default), format!("serviceAccount:{DEPLOYER}"));
}

/// conf: I4
#[tokio::test]
async fn without_a_target_the_credential_file_says_it() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("impersonation.json");
    let user = emulator.authorized_user_json("alice@example.com");
    fs::write(&path, emulator.impersonated_service_account_json(&user, DEPLOYER, [BUILDER]).unwrap())
        .unwrap();
    let path = path.to_str().unwrap();
    let printed = run(&mut iamcreds(["access-token", "--credentials", path])).ok();
    assert_eq!(principal(&emulator, &printed), format!("serviceAccount:{DEPLOYER}"));
    let printed = run(iamcreds(["access-token"]).env("GOOGLE_APPLICATION_CREDENTIALS", path)).ok();
    assert_eq!(principal(&emulator, &printed), format!("serviceAccount:{DEPLOYER}"));

    let endpoint = emulator.endpoint();
    let (what, fix) =
        run(&mut iamcreds(["access-token", "--credentials", path, "--endpoint", endpoint])).two_lines(2);
    assert!(what.contains("--endpoint") && fix.contains("--target"), "{what}: {fix}");
}

/// conf: I4
#[tokio::test]
async fn the_emulators_variable_is_enough_and_says_so() {
    let emulator = gcp_iam_credentials::emulator::Emulator::builder().start().await.unwrap();
    let mut command = iamcreds(["access-token", "--target", BUILDER]);
    let printed = run(command.env("IAM_CREDENTIALS_EMULATOR_HOST", emulator.address().to_string()));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(principal(&emulator, &printed.stdout), format!("serviceAccount:{BUILDER}"));
    assert!(printed.stderr.contains("IAM_CREDENTIALS_EMULATOR_HOST"), "{printed:?}");
}

/// conf: I4
#[tokio::test]
async fn options_of_calls_reach_the_service() {
    let emulator = shop().await;
    let fault = gcp_iam_credentials::emulator::Fault::status(gcp_iam_credentials::Code::Unavailable);
    emulator.faults().inject(fault);
    let arguments = format!("access-token --target {BUILDER} --no-retry --quota-project billing");
    let (what, _) = lines(&run(&mut alice(&emulator, &arguments)).stderr);
    assert!(what.contains(BUILDER), "{what}");
    let entries = emulator.journal().of_method(Method::GenerateAccessToken);
    assert_eq!(entries.len(), 1, "--no-retry");
    assert!(format!("{:?}", entries[0]).contains("billing"), "{:?}", entries[0]);
}

fn lines(text: &str) -> (String, Option<String>) {
    let mut lines = text.lines().map(str::to_owned);
    (lines.next().unwrap_or_default(), lines.next())
}
