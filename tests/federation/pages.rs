//! The pages about GitHub Actions, Kubernetes, AWS and Azure: the files on them work with the policies on them.

use std::path::Path;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::{Emulator, Policy};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;

use crate::support::emulator::text;

const ACCOUNT: &str = "deployer@shop.iam.gserviceaccount.com";
const AUDIENCE: &str = "https://my-service.run.app";

/// Returns the one block of the page in this language that contains `part`.
fn block<'a>(page: &'a str, language: &str, part: &str) -> &'a str {
    let start = format!("```{language}\n");
    let blocks = page.split(&*start).skip(1).filter_map(|rest| rest.split("```").next());
    let found: Vec<_> = blocks.filter(|block| block.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part}");
    found[0]
}

/// Starts an emulator with the policy on the page.
async fn start(page: &str) -> Emulator {
    let policy = block(page, "json", "identityPools");
    // Who gets access on the page, gets it in the policy.
    let member = block(page, "sh", "add-iam-policy-binding").rsplit_once("--member=").unwrap().1.trim();
    assert!(policy.contains(&format!("\"{member}\"")), "{member}");
    Emulator::builder().policy(Policy::from_json(policy).unwrap()).start().await.unwrap()
}

/// Gets the tokens of the account with the file on the page. `platform` says what the emulator plays.
async fn get_tokens(page: &str, emulator: &Emulator, platform: &[(&str, &str)]) {
    let mut file = block(page, "json", "\"external_account\"").to_owned();
    let endpoint = emulator.endpoint();
    let google =
        [("https://sts.googleapis.com", endpoint), ("https://iamcredentials.googleapis.com", endpoint)];
    for (real, played) in google.iter().chain(platform) {
        assert!(file.contains(real), "{real}");
        file = file.replace(real, played);
    }
    let account = Credentials::builder().json_impersonation(&file).unwrap();
    let access = account.access_token([CLOUD_PLATFORM]).unwrap();
    let token = access.token().await.unwrap_or_else(|error| panic!("{error:#}"));
    let principal = emulator.verify_access_token(token.secret()).unwrap().principal().to_owned();
    assert_eq!(principal, format!("serviceAccount:{ACCOUNT}"));
    let id = account.id_token(AUDIENCE).unwrap();
    id.token().await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// conf: F2, F8
#[tokio::test]
async fn the_page_about_github_actions_is_right() {
    let page = include_str!("../../docs/github-actions.md");
    let emulator = start(page).await;
    let environment = format!("{}/emulator/external_accounts/job/environment", emulator.endpoint());
    let (_, environment) = text("GET", &environment, &[], "").await;
    let mut values = environment.lines().map(|line| line.split_once('=').unwrap().1);
    let (url, token) = (values.next().unwrap(), values.next().unwrap());
    let real = "https://run-actions-1-azure-eastus.actions.githubusercontent.com/token?api-version=2.0";
    get_tokens(page, &emulator, &[(real, url), ("REQUEST_TOKEN", token)]).await;
}

/// conf: F1, F8
#[tokio::test]
async fn the_page_about_kubernetes_is_right() {
    let page = include_str!("../../docs/kubernetes.md");
    let emulator = start(page).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mounted = "/var/run/secrets/google/token";
    std::fs::write(&path, emulator.external_account_token("web").await.unwrap()).unwrap();
    let (folder_in_pod, name) = mounted.rsplit_once('/').unwrap();
    let pod = block(page, "yaml", "kind: Pod");
    assert!(pod.contains(&format!("mountPath: {folder_in_pod}")) && pod.contains(&format!("path: {name}")));
    get_tokens(page, &emulator, &[(mounted, as_json(&path))]).await;
}

/// Returns a path whose characters need no escapes in JSON.
fn as_json(path: &Path) -> &str {
    path.to_str().filter(|path| !path.contains('\\')).unwrap()
}

/// conf: F4, F8
#[cfg(feature = "aws")]
#[tokio::test]
async fn the_page_about_aws_is_right() {
    let page = include_str!("../../docs/aws.md");
    let emulator = start(page).await;
    let metadata = format!("{}/emulator/external_accounts/vm", emulator.endpoint());
    get_tokens(page, &emulator, &[("http://169.254.169.254", &metadata)]).await;
}

/// conf: F2, F8
#[tokio::test]
async fn the_page_about_azure_is_right() {
    let page = include_str!("../../docs/azure.md");
    let emulator = start(page).await;
    let metadata = format!("{}/emulator/external_accounts/machine", emulator.endpoint());
    get_tokens(page, &emulator, &[("http://169.254.169.254", &metadata)]).await;
}
