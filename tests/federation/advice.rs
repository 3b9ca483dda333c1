//! Federated identities that are refused: the cause that errors and diagnoses name, and the printed
//! command, carried out.

mod world;

use gcp_iam_credentials::diagnosis::{Finding, Operation};
use gcp_iam_credentials::emulator::{Fault, PlatformFault};
use gcp_iam_credentials::{Credentials, IamCredentialsClient};

use self::world::{Provider, World};
use crate::support::federation::DEPLOYER;

/// One thing that is wrong, what the advice says about it, and whether its command needs to know the
/// provider's configuration.
struct Broken {
    name: &'static str,
    change: fn(&mut Provider),
    advice: &'static str,
    needs_description: bool,
}

const OTHER: &str = "https://other.example";

const BROKEN: [Broken; 6] = [
    Broken {
        name: "the audience",
        change: |provider| provider.claim("aud", OTHER),
        advice: "which the provider doesn't accept",
        needs_description: false,
    },
    Broken {
        name: "one audience of several",
        change: |provider| {
            provider.allowed_audiences = vec!["https://first.example".to_owned()];
            provider.claim("aud", OTHER);
        },
        advice: "https://other.example",
        needs_description: false,
    },
    Broken {
        name: "the issuer",
        change: |provider| provider.claim("iss", OTHER),
        advice: "use the provider of the token's issuer https://other.example",
        needs_description: false,
    },
    Broken {
        name: "the condition",
        change: |provider| provider.condition = "assertion.sub == 'it\\'s another'".to_owned(),
        advice: "accept the subject system:serviceaccount:shop:web",
        needs_description: true,
    },
    Broken {
        name: "the length of the subject",
        change: |provider| provider.claim("sub", "x".repeat(200)),
        advice: "at most 127 bytes (the token's `sub` has 200)",
        needs_description: false,
    },
    Broken {
        name: "the provider, which is disabled",
        change: |provider| provider.is_disabled = true,
        advice: "enable",
        needs_description: true,
    },
];

/// conf: F7
#[tokio::test]
async fn each_refusal_names_its_cause_and_a_command_that_fixes_it() {
    for broken in BROKEN {
        let name = broken.name;
        for is_described in [true, false] {
            let mut world = World::start(broken.change).await;
            let credentials = world.credentials(is_described);
            let error = credentials.token().await.unwrap_err();
            let hint = error.hint().unwrap_or_else(|| panic!("{name}: {error}"));
            assert!(!error.is_transient() && hint.contains(broken.advice), "{name}: {error}");
            assert!(error.to_string().contains("(subject token from "), "{name}: {error}");

            let client = IamCredentialsClient::builder().credentials(credentials.clone());
            let client = client.endpoint(world.emulator.endpoint()).build().unwrap();
            let diagnosis = client.impersonate(DEPLOYER).diagnose(Operation::AccessToken).await.unwrap();
            let source = diagnosis.source().expect("a federated source");
            let fix = source.fix().unwrap_or_else(|| panic!("{name}: {diagnosis}"));
            let command = fix.command().unwrap_or_else(|| panic!("{name}: {diagnosis}"));
            assert!(diagnosis.to_string().contains(command) && hint.contains(command), "{diagnosis}");
            assert!(hint.starts_with(fix.advice()), "{fix:?}");
            assert_eq!(fix.placeholder(), command.contains("CLAIM").then_some("CLAIM"));
            assert_eq!(fix.changes(), !command.contains(" describe "), "{fix:?}");
            assert!(matches!(diagnosis.failure().unwrap().finding(), Finding::SourceFailed(_)));
            if broken.needs_description && !is_described {
                assert!(command.contains(" providers describe projects/12/"), "{command}");
                continue;
            }
            world.run(command);
            credentials.refresh().await.unwrap_or_else(|error| panic!("{name}: {command}: {error}"));
            let diagnosis = client.impersonate(DEPLOYER).diagnose(Operation::AccessToken).await.unwrap();
            assert!(diagnosis.source().unwrap().error().is_none(), "{diagnosis}");
        }
    }
}

/// conf: F7
#[tokio::test]
async fn a_missing_grant_of_a_federated_identity_is_that_of_workload_identity_users() {
    for is_described in [true, false] {
        let mut world = World::start(|provider| provider.grants.clear()).await;
        let credentials = world.credentials(is_described);
        let client = IamCredentialsClient::builder().credentials(credentials);
        let client = client.endpoint(world.emulator.endpoint()).build().unwrap();
        let acting = client.impersonate(DEPLOYER);
        let error = acting.access_token(["email"]).unwrap().token().await.unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.contains("grant roles/iam.workloadIdentityUser, which includes"), "{hint}");
        assert_eq!(hint.contains("likely"), !is_described, "{hint}");

        let diagnosis = acting.diagnose(Operation::AccessToken).await.unwrap();
        assert!(diagnosis.source().unwrap().error().is_none(), "{diagnosis}");
        let failure = diagnosis.failure().unwrap();
        let Finding::MissingRole { role, .. } = failure.finding() else { panic!("{diagnosis}") };
        assert_eq!(role, "roles/iam.workloadIdentityUser");
        assert_eq!(diagnosis.to_string().contains("likely"), !is_described, "{diagnosis}");
        let fix = failure.fix().unwrap();
        let command = fix.command().unwrap();
        assert!(hint.contains(command), "{hint}");
        assert_eq!(fix.is_member_likely(), !is_described);
        world.run(command);
        assert!(acting.diagnose(Operation::AccessToken).await.unwrap().is_allowed(), "{command}");
        // Who the member is doesn't matter for an account that doesn't exist.
        let nobody = client.impersonate("nobody@project.iam.gserviceaccount.com");
        let diagnosis = nobody.diagnose(Operation::AccessToken).await.unwrap();
        assert!(matches!(diagnosis.failure().unwrap().finding(), Finding::UnknownAccount), "{diagnosis}");
        assert!(!diagnosis.to_string().contains("likely"), "{diagnosis}");
    }
}

/// conf: I54
#[tokio::test]
async fn a_refused_impersonation_in_a_file_is_a_failure_of_the_source_and_its_command_fixes_it() {
    let mut world = World::start(|provider| provider.grants.clear()).await;
    let file = world.file_that_impersonates(DEPLOYER);
    let credentials = Credentials::from_json(&file).unwrap();
    let client = IamCredentialsClient::builder().credentials(credentials);
    let client = client.endpoint(world.emulator.endpoint()).build().unwrap();
    let acting = client.impersonate("target@project.iam.gserviceaccount.com");
    let diagnosis = acting.diagnose(Operation::AccessToken).await.unwrap();
    assert!(diagnosis.source().unwrap().error().is_none(), "the subject token is accepted: {diagnosis}");
    let failure = diagnosis.failure().unwrap();
    assert!(matches!(failure.finding(), Finding::SourceFailed(_)), "{diagnosis}");
    let fix = failure.fix().unwrap();
    let command = fix.command().unwrap_or_else(|| panic!("{diagnosis}"));
    let grant = "add-iam-policy-binding deployer@project.iam.gserviceaccount.com --member=principal://";
    assert!(command.contains(grant) && command.ends_with("roles/iam.workloadIdentityUser"), "{command}");
    assert!(fix.changes() && fix.is_member_likely(), "{fix:?}");
    world.run(command);
    client.credentials().refresh().await.unwrap();
    // Then the next hop is the one that fails.
    let diagnosis = acting.diagnose(Operation::AccessToken).await.unwrap();
    assert!(!matches!(diagnosis.failure().unwrap().finding(), Finding::SourceFailed(_)), "{diagnosis}");
}

/// conf: F7
#[tokio::test]
async fn a_token_that_no_command_can_fix_is_explained_too() {
    let now = crate::support::emulator::now();
    let early: fn(&mut Provider) = |provider| provider.claim("nbf", crate::support::emulator::now() + 900);
    let world = World::start(early).await;
    let error = world.credentials(false).token().await.unwrap_err();
    assert!(!error.is_transient() && error.hint().unwrap().contains("check the clocks"), "{error}");

    let world = World::start(|_| {}).await;
    let credentials = world.credentials(false);
    let faults = world.emulator.faults();
    let stale = faults.inject(Fault::platform(PlatformFault::StaleToken).account("pod"));
    let error = credentials.token().await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        !error.is_transient() && hint.contains("renew the subject token at its source"),
        "{now}: {error}"
    );
    faults.clear(stale);
    credentials.refresh().await.unwrap();

    faults.inject(Fault::platform(PlatformFault::IssuerUnreachable).account("pod"));
    let error = credentials.refresh().await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(error.is_transient(), "{error}");
    let discovery = "curl -fsS https://issuer.example/.well-known/openid-configuration";
    assert!(hint.contains(discovery), "{hint}");
    faults.clear_all();
    credentials.refresh().await.unwrap();

    let explained = credentials.explain().to_string();
    for part in
        ["audience: //iam.googleapis.com/", "(likely: ", "principal: principal://", "subject tokens from"]
    {
        assert!(explained.contains(part), "{explained}");
    }
}

/// conf: F7
#[tokio::test]
async fn a_description_of_another_provider_is_refused() {
    let world = World::start(|_| {}).await;
    let mut description = world.provider.describe();
    description["name"] = "projects/12/locations/global/workloadIdentityPools/ci/providers/q".into();
    let builder = Credentials::builder();
    let error = builder.provider_description(description.to_string()).json(&world.file()).unwrap_err();
    assert_eq!(error.field(), Some("provider_description"));
}
