//! Tokens that the emulator's token service verifies, from every place that AWS's credentials come
//! from.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri};
use serde_json::Value;

use super::*;
use crate::emulator::{
    Emulator, ExternalAccount, ExternalAccountFile, Fault, IdentityProvider, Method as Page, PlatformFault,
    Policy,
};
use crate::http_client::HttpClient;
use crate::sts_protocol::{ACCESS_TOKEN_TYPE, AWS_TYPE, TOKEN_EXCHANGE};

const PROVIDER: &str = "projects/12/locations/global/workloadIdentityPools/cloud/providers/aws";

async fn start() -> Emulator {
    let policy = Policy::new()
        .identity_provider(PROVIDER, IdentityProvider::aws("123456789012"))
        .external_account("vm", ExternalAccount::new(PROVIDER).role("web").region("us-east-2").imds_v2_only())
        .external_account("old", ExternalAccount::new(PROVIDER));
    Emulator::builder().policy(policy).start().await.unwrap()
}

fn no_variables(_: &str) -> Option<String> {
    None
}

/// Returns the source that a file of the emulator describes.
fn source(emulator: &Emulator, account: &str) -> AwsSource {
    let json = emulator.external_account_json(account, &ExternalAccountFile::new()).unwrap();
    let file: Value = serde_json::from_str(&json).unwrap();
    let source = &file["credential_source"];
    let url = |field: &str| source[field].as_str().map(|url| url.parse::<Uri>().unwrap());
    let verification_url = source["regional_cred_verification_url"].as_str().unwrap();
    AwsSource {
        audience: file["audience"].as_str().unwrap().into(),
        verification_url: VerificationUrl::new(verification_url, "url").unwrap(),
        metadata_server: MetadataServer {
            http: HttpClient::shared(),
            url: url("url"),
            region_url: url("region_url"),
            session_token_url: url("imdsv2_session_token_url"),
        },
        variables: no_variables,
    }
}

async fn fetch(source: &AwsSource) -> Result<SubjectToken, Error> {
    source.fetch(Instant::now() + Duration::from_secs(20)).await
}

/// Returns the status and the description of the token service's reply.
async fn exchange(emulator: &Emulator, token: &SubjectToken) -> (u16, String) {
    let body = serde_json::json!({
        "grantType": TOKEN_EXCHANGE, "audience": format!("//iam.googleapis.com/{PROVIDER}"),
        "requestedTokenType": ACCESS_TOKEN_TYPE, "scope": crate::scopes::CLOUD_PLATFORM,
        "subjectToken": token.secret(), "subjectTokenType": AWS_TYPE,
    });
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/v1/token", emulator.endpoint()))
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let reply = HttpClient::shared().send(request).await.unwrap();
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status.as_u16(), body["error_description"].as_str().unwrap_or_default().to_owned())
}

/// Returns how many requests the metadata server received, and forgets them.
fn requests(emulator: &Emulator) -> usize {
    let entries = emulator.journal().of_method(Page::ExternalAccount);
    emulator.journal().clear();
    entries.len()
}

/// conf: F4
#[tokio::test]
async fn the_metadata_server_is_asked_in_both_of_its_versions() {
    let emulator = start().await;
    for account in ["vm", "old"] {
        let source = source(&emulator, account);
        let token = fetch(&source).await.unwrap();
        assert_eq!(requests(&emulator), 4, "{account}: session, zone, role, credentials");
        assert_eq!(exchange(&emulator, &token).await, (200, String::new()), "{account}");
    }
    let mut version_1 = source(&emulator, "old");
    version_1.metadata_server.session_token_url = None;
    let token = fetch(&version_1).await.unwrap();
    assert_eq!(requests(&emulator), 3, "zone, role, credentials");
    assert_eq!(exchange(&emulator, &token).await.0, 200);

    let mut refused = source(&emulator, "vm");
    refused.metadata_server.session_token_url = None;
    let error = fetch(&refused).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("401"), "{error}");
}

/// The variables that `ENVIRONMENT` holds.
fn variables(name: &str) -> Option<String> {
    let environment = ENVIRONMENT.lock().unwrap();
    environment.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

static ENVIRONMENT: Mutex<String> = Mutex::new(String::new());

/// conf: F4
#[tokio::test]
async fn the_environment_comes_first_and_needs_no_metadata_server() {
    let emulator = start().await;
    let page = format!("{}/emulator/external_accounts/vm/environment", emulator.endpoint());
    let request = Request::builder().uri(page).body(Bytes::new()).unwrap();
    let reply = HttpClient::shared().send(request).await.unwrap();
    let environment = String::from_utf8(reply.body.to_vec()).unwrap();
    emulator.journal().clear();

    let mut source = source(&emulator, "vm");
    source.variables = variables;
    let set = |text: String| *ENVIRONMENT.lock().unwrap() = text;
    set(environment.clone());
    let token = fetch(&source).await.unwrap();
    assert_eq!(requests(&emulator), 0, "{environment}");
    assert_eq!(exchange(&emulator, &token).await, (200, String::new()));
    emulator.journal().clear();

    let without = |name: &str| {
        environment.lines().filter(|line| !line.starts_with(name)).map(|line| format!("{line}\n")).collect()
    };
    set(without("AWS_SECRET_ACCESS_KEY"));
    fetch(&source).await.unwrap();
    assert_eq!(requests(&emulator), 3, "session, role, credentials: both parts of the key are needed");
    set(without("AWS_REGION"));
    source.metadata_server.region_url = None;
    source.variables = |name| variables(name).filter(|_| name != "AWS_DEFAULT_REGION");
    let error = fetch(&source).await.unwrap_err();
    assert!(error.to_string().contains("region_url"), "{error}");
    source.variables = no_variables;
    source.metadata_server.region_url = source.metadata_server.url.clone();
    let error = fetch(&source).await.unwrap_err();
    assert!(error.to_string().contains("availability zone"), "{error}");
}

/// conf: F4
#[tokio::test]
async fn what_the_platform_gets_wrong_is_refused_with_the_cause() {
    let emulator = start().await;
    let source = source(&emulator, "vm");
    for fault in
        [PlatformFault::ExpiredCredentials, PlatformFault::WrongSecret, PlatformFault::WrongTargetResource]
    {
        emulator.faults().inject(Fault::platform(fault).account("vm").times(1));
        let token = fetch(&source).await.unwrap();
        let (status, description) = exchange(&emulator, &token).await;
        assert!(status == 400 && !description.is_empty(), "{fault:?}: {status} {description}");
        let token = fetch(&source).await.unwrap();
        assert_eq!(exchange(&emulator, &token).await.0, 200, "{fault:?} has ended");
    }
    emulator.faults().inject(Fault::platform(PlatformFault::SessionTokenRefused).account("vm").times(1));
    let error = fetch(&source).await.unwrap_err().to_string();
    assert!(error.contains("imdsv2_session_token_url") && error.contains("hop"), "{error}");
}

/// conf: F4
#[tokio::test]
async fn a_metadata_server_in_an_outage_is_asked_again_and_then_the_error_is_transient() {
    let emulator = start().await;
    let source = source(&emulator, "vm");
    let outage = || Fault::status(crate::Code::Unavailable).method(Page::ExternalAccount);
    emulator.faults().inject(outage().times(2));
    fetch(&source).await.unwrap();
    emulator.faults().inject(outage());
    let error = fetch(&source).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("503"), "{error}");
}
