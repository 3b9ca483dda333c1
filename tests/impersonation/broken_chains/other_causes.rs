//! What keeps a chain from working besides a grant, and the commands that change it.

use gcp_iam_credentials::diagnosis::{Diagnosis, Operation};
use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use gcp_iam_credentials::source::SourceInfo;
use gcp_iam_credentials::{IamCredentialsClient, Impersonation};

use super::gcloud::{Gcloud, TOKEN};
use crate::support::token_source::ScriptedSource;

const ALICE: &str = "user:alice@example.com";
const OWNER: &str = "user:owner@example.com";
const MIDDLE: &str = "middle@p.iam.gserviceaccount.com";
const TARGET: &str = "target@p.iam.gserviceaccount.com";

/// Returns Alice, who acts as the target through the account in the middle.
fn alice(emulator: &Emulator, quota_project: Option<&str>) -> Impersonation {
    let info = SourceInfo::new().with_principal("alice@example.com");
    let credentials = ScriptedSource::tokens(["alice"]).with_info(info).credentials();
    let mut client = IamCredentialsClient::builder().credentials(credentials).endpoint(emulator.endpoint());
    if let Some(project) = quota_project {
        client = client.quota_project(project);
    }
    client.build().unwrap().impersonate(TARGET).delegates([MIDDLE])
}

async fn diagnose(acting: &Impersonation) -> Diagnosis {
    acting.diagnose(Operation::AccessToken).await.unwrap()
}

fn policy() -> Policy {
    Policy::new()
        .token("alice", ALICE)
        .token(TOKEN, OWNER)
        .grant_on_project(OWNER, Role::OWNER, "p")
        .grant_on_project(OWNER, Role::OWNER, "quota")
        .grant(ALICE, Role::TOKEN_CREATOR, MIDDLE)
        .grant(format!("serviceAccount:{MIDDLE}"), Role::TOKEN_CREATOR, TARGET)
}

/// Runs the command of each diagnosis until the chain works, and returns the commands.
async fn fix(emulator: &Emulator, acting: &Impersonation) -> Vec<String> {
    let mut commands = Vec::new();
    loop {
        let diagnosis = diagnose(acting).await;
        let Some(hop) = diagnosis.failure() else { return commands };
        let fix = hop.fix().unwrap_or_else(|| panic!("{diagnosis}"));
        let command = fix.command().unwrap_or_else(|| panic!("{diagnosis}")).to_owned();
        assert!(fix.changes() && fix.placeholder().is_none(), "{fix:?}");
        assert!(!commands.contains(&command), "{command} didn't help: {diagnosis}");
        Gcloud::new(emulator, "p").run(&command).await;
        commands.push(command);
    }
}

/// conf: A11, I11
#[tokio::test]
async fn the_commands_enable_the_api_and_allow_the_quota_project() {
    for (policy, quota_project, expected) in [
        (
            policy().api_disabled("p"),
            None,
            vec!["gcloud services enable iamcredentials.googleapis.com --project="],
        ),
        (policy(), Some("quota"), vec!["gcloud projects add-iam-policy-binding quota --member="]),
        (
            policy().api_disabled("quota"),
            Some("quota"),
            vec![
                "gcloud projects add-iam-policy-binding quota",
                "gcloud services enable iamcredentials.googleapis.com",
            ],
        ),
    ] {
        let emulator = Emulator::builder().policy(policy).start().await.unwrap();
        let commands = fix(&emulator, &alice(&emulator, quota_project)).await;
        assert_eq!(commands.len(), expected.len(), "{commands:?}");
        for (command, start) in commands.iter().zip(expected) {
            assert!(command.starts_with(start), "{command}");
        }
    }
}

/// conf: I10
#[tokio::test]
async fn a_quota_project_is_named_by_its_number_too() {
    let document = policy().api_disabled("quota").to_json();
    let document = document.replacen(r#""quota": {"#, r#""quota": {"number": 421234567890,"#, 1);
    let emulator = Emulator::builder().policy(Policy::from_json(&document).unwrap()).start().await.unwrap();
    let commands = fix(&emulator, &alice(&emulator, Some("421234567890"))).await;
    assert!(commands[0].starts_with("gcloud projects add-iam-policy-binding 421234567890 "), "{commands:?}");
    assert!(commands[1].ends_with(" --project=421234567890"), "{commands:?}");
    assert_eq!(commands.len(), 2);
}
