//! `iamcreds diagnose`: the diagram, the JSON and the exit code of chains that work and chains that don't.

use std::fs;

use gcp_iam_credentials::Code;
use gcp_iam_credentials::emulator::{Emulator, ExternalAccountFile, Fault, Method, Policy, Role};
use serde_json::Value;

use crate::program::{ALICE_TOKEN, BUILDER, DEPLOYER, POLICY, Run, alice, iamcreds, run, shop};

const BUILDER_MEMBER: &str = "serviceAccount:builder@shop.iam.gserviceaccount.com";

/// Diagnoses as Alice, who prints what she sees.
fn diagnose(emulator: &Emulator, arguments: &str) -> Run {
    let done = run(alice(emulator, &format!("diagnose {arguments}")).env("LANG", "C.UTF-8"));
    assert!(!format!("{done:?}").contains(ALICE_TOKEN), "{done:?}");
    done
}

/// Returns the printed document.
fn json(done: &Run) -> Value {
    assert_eq!(done.stderr, "");
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

/// Returns the lines that are commands.
fn commands(printed: &str) -> Vec<&str> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with("gcloud "))
        .collect()
}

/// conf: I50, I51
#[tokio::test]
async fn a_chain_is_drawn_with_the_missing_grant_and_its_command_until_it_works() {
    let emulator = shop().await;
    emulator.policy().revoke(BUILDER_MEMBER, Role::TOKEN_CREATOR, DEPLOYER).unwrap();
    let chain = format!("--target {DEPLOYER} --via {BUILDER}");
    let done = diagnose(&emulator, &chain);
    assert_eq!((done.code, done.stderr.as_str()), (Some(4), ""), "{done:?}");
    for part in [
        "✓  the caller\n   │  a fixed token\n   │\n   │  needs iam.serviceAccounts.implicitDelegation\n   ▼\n",
        "✗  deployer@shop.iam.gserviceaccount.com: likely missing: iam.serviceAccounts.getAccessToken on ",
        "?  builder@shop.iam.gserviceaccount.com: likely allowed",
        "\nNot allowed: the caller can't get access tokens of deployer@shop.iam.gserviceaccount.com yet.\n",
    ] {
        assert!(done.stdout.contains(part), "{part:?} isn't in:\n{}", done.stdout);
    }
    let expected = format!(
        "gcloud iam service-accounts add-iam-policy-binding {DEPLOYER} --member={BUILDER_MEMBER} \
         --role=roles/iam.serviceAccountTokenCreator"
    );
    assert_eq!(commands(&done.stdout)[0], expected, "{}", done.stdout);

    emulator.policy().grant(BUILDER_MEMBER, Role::TOKEN_CREATOR, DEPLOYER).unwrap();
    for purpose in ["access-token", "id-token", "sign-blob", "sign-jwt"] {
        let printed = diagnose(&emulator, &format!("{chain} --for {purpose}")).ok();
        assert!(printed.contains("\nAllowed: ") && commands(&printed).is_empty(), "{printed}");
    }
}

/// conf: I51
#[tokio::test]
async fn the_fields_of_the_json_are_stable() {
    let emulator = shop().await;
    let done = diagnose(&emulator, &format!("--target {DEPLOYER} --for id-token --format json"));
    assert_eq!(done.code, Some(4));
    let report = json(&done);
    let expected = serde_json::json!({
        "allowed": false,
        "for": "id-token",
        "source": {
            "description": "a fixed token", "explanation": null, "federated": false, "file": null,
            "finding": "allowed", "fix": null, "principal": null, "principal_certain": false,
        },
        "hops": [{
            "account": DEPLOYER, "certain": true, "finding": "missing_role", "principal": null,
            "permission": "iam.serviceAccounts.getOpenIdToken",
            "role": "roles/iam.serviceAccountOpenIdTokenCreator",
            "explanation": report["hops"][0]["explanation"],
            "fix": {
                "advice": report["hops"][0]["fix"]["advice"],
                "command": format!("gcloud iam service-accounts add-iam-policy-binding {DEPLOYER} --member=MEMBER \
                    --role=roles/iam.serviceAccountOpenIdTokenCreator"),
                "changes": true, "placeholder": "MEMBER", "member_certain": true,
                "check": format!("gcloud iam service-accounts describe {DEPLOYER}"),
            },
        }],
    });
    assert_eq!(report, expected);
}

/// conf: I51
#[tokio::test]
async fn the_exit_code_says_what_fails() {
    let emulator = shop().await;
    let target = format!("--target {BUILDER}");
    let unknown =
        run(alice(&emulator, &format!("diagnose {target}")).env("IAMCREDS_SOURCE_TOKEN", "of-nobody"));
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
    assert!(
        unknown.stdout.starts_with("NO the caller") && !unknown.stdout.contains("of-nobody"),
        "{unknown:?}"
    );
    assert_eq!(diagnose(&emulator, "--target nobody@shop.iam.gserviceaccount.com").code, Some(4));
    assert_eq!(diagnose(&emulator, "--target nobody").code, Some(2));
    assert_eq!(diagnose(&emulator, "").code, Some(2), "no target, and a token has none");

    // The target is refused, and then the service is away: no hop is blamed, and no command advised.
    emulator.faults().inject(Fault::status(Code::Unavailable).method(Method::SignJwt));
    let done = diagnose(&emulator, &format!("--target {DEPLOYER} --via {DEPLOYER} --no-retry"));
    assert_eq!(done.code, Some(5), "{done:?}");
    assert!(commands(&done.stdout).is_empty() && done.stdout.contains("UNAVAILABLE"), "{}", done.stdout);
    emulator.faults().inject(Fault::status(Code::Unavailable));
    assert_eq!(diagnose(&emulator, &format!("{target} --no-retry")).code, Some(5));
}

/// Writes a file, and returns its path.
fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// conf: I51, I54
#[tokio::test]
async fn a_file_that_impersonates_is_diagnosed_itself_and_before_what_starts_from_it() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let user = emulator.authorized_user_json("alice@example.com");
    let json_file = emulator.impersonated_service_account_json(&user, DEPLOYER, [BUILDER]).unwrap();
    let path = file(&folder, "impersonation.json", &json_file);
    let to_builder = format!("diagnose --target {BUILDER} --format json --endpoint {}", emulator.endpoint());
    let command = |more: &str| {
        let arguments = format!("{more} --credentials {path}");
        let done = run(&mut iamcreds(arguments.split_whitespace()));
        (done.code, json(&done))
    };
    let accounts = |report: &Value| -> Vec<String> {
        let hops = report["hops"].as_array().unwrap().iter();
        hops.map(|hop| format!("{} {}", hop["account"].as_str().unwrap(), hop["finding"].as_str().unwrap()))
            .collect()
    };
    let allowed = |account: &str| format!("{account} allowed");

    let (code, report) = command("diagnose --format json");
    assert_eq!((code, accounts(&report)), (Some(0), vec![allowed(BUILDER), allowed(DEPLOYER)]), "{report}");
    let (code, report) = command(&to_builder);
    let expected = vec![allowed(BUILDER), allowed(DEPLOYER), format!("{BUILDER} missing_role")];
    assert_eq!((code, accounts(&report)), (Some(4), expected), "{report}");
    let fix = report["hops"][2]["fix"]["command"].as_str().unwrap();
    assert!(fix.contains(&format!("{BUILDER} --member=serviceAccount:{DEPLOYER} ")), "{fix}");

    // The chain in the file fails at its second hop. What starts from it isn't tried.
    emulator.policy().revoke(BUILDER_MEMBER, Role::TOKEN_CREATOR, DEPLOYER).unwrap();
    let (code, report) = command(&to_builder);
    let expected = vec![format!("{BUILDER} likely_allowed"), format!("{DEPLOYER} missing_role")];
    assert_eq!((code, accounts(&report)), (Some(4), expected), "{report}");
    let fix = report["hops"][1]["fix"]["command"].as_str().unwrap();
    assert!(fix.contains(&format!("{DEPLOYER} --member={BUILDER_MEMBER} ")), "{fix}");
}

/// conf: I51
#[tokio::test]
async fn a_federated_source_starts_at_its_subject_token_and_with_the_provider_the_advice_is_certain() {
    let policy = POLICY
        .replace(r#""repository": "octo/shop""#, r#""repository": "octo/shop", "aud": "https://other""#);
    let emulator = Emulator::builder().policy(Policy::from_json(&policy).unwrap()).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = ExternalAccountFile::new().impersonate(DEPLOYER);
    let path = file(&folder, "job.json", &emulator.external_account_json("job", &options).unwrap());
    let description = file(
        &folder,
        "provider.json",
        r#"{"name": "projects/12/locations/global/workloadIdentityPools/ci/providers/github", "state": "ACTIVE",
            "oidc": {"issuerUri": "https://token.actions.githubusercontent.com"},
            "attributeMapping": {"google.subject": "assertion.sub"}}"#,
    );
    let diagnose = |more: &str| {
        let arguments = format!("diagnose --credentials {path} {more}");
        run(iamcreds(arguments.split_whitespace()).env("LANG", "C.UTF-8"))
    };
    let done = diagnose("");
    assert_eq!(done.code, Some(3), "{done:?}");
    let title =
        "✗  the caller\n   │  a federated identity (external_account), with subject tokens from a URL";
    assert!(done.stdout.starts_with(title), "{}", done.stdout);
    let fix = commands(&done.stdout);
    assert!(
        fix[0].contains(
            " providers update-oidc projects/12/locations/global/workloadIdentityPools/ci/providers/github "
        ) && fix[0].contains("https://other"),
        "{fix:?}"
    );
    assert!(
        done.stdout.contains("·  deployer@shop.iam.gserviceaccount.com: not known, because the source fails")
    );

    emulator.policy().set(Policy::from_json(POLICY).unwrap()).unwrap();
    let printed = diagnose("").ok();
    assert!(printed.contains("subject/repo:octo/shop:ref:refs/heads/main (likely)\n"), "{printed}");
    let printed = diagnose(&format!("--provider-description {description}")).ok();
    assert!(printed.contains("subject/repo:octo/shop:ref:refs/heads/main\n"), "{printed}");
    assert!(printed.contains("   │  the subject token is accepted\n"), "{printed}");
    let (what, _) = diagnose(&format!("--provider-description {path}")).two_lines(2);
    assert!(what.contains("provider_description"), "{what}");
}

/// conf: I50
#[tokio::test]
async fn a_pipe_gets_no_colours_and_a_c_locale_gets_ascii() {
    let emulator = shop().await;
    for (locale, is_ascii) in [("C", true), ("POSIX", true), ("en_US.UTF-8", false)] {
        let mut command = alice(&emulator, &format!("diagnose --target {BUILDER}"));
        let printed = run(command.env("LC_ALL", locale)).ok();
        assert_eq!(printed.is_ascii(), is_ascii, "{locale}: {printed}");
        assert!(!printed.contains('\u{1b}'), "{printed:?}");
    }
}
