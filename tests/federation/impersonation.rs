//! What a federated identity is good for: accounts that it impersonates.

use std::time::Duration;

use gcp_iam_credentials::emulator::{
    ExternalAccountFile, Fault, Method, PlatformFault, Protocol, SubjectTokenSource,
};
use gcp_iam_credentials::scopes::{CLOUD_PLATFORM, PUBSUB};
use gcp_iam_credentials::{Code, Credentials, IamCredentialsClient, ImpersonationPool};
use serde_json::{Value, json};

use crate::support::accounts::TARGET;
use crate::support::federation::{AUDIENCE, DEPLOYER, JWT, builder, count, file, start};
use crate::support::proxy::{Login, Proxy};

fn acting_as_deployer() -> ExternalAccountFile {
    ExternalAccountFile::new().source(SubjectTokenSource::GithubActions).impersonate(DEPLOYER)
}

/// conf: F8
#[tokio::test]
async fn the_impersonation_in_a_file_is_a_call_over_grpc_with_the_files_options() {
    let emulator = start().await;
    let options = acting_as_deployer().lifetime(Duration::from_secs(600));
    let credentials =
        Credentials::builder().scopes([PUBSUB]).json(&file(&emulator, &options, &json!({}))).unwrap();
    let token = credentials.token().await.unwrap();
    let left = token.expires_at().unwrap().duration_since(std::time::SystemTime::now()).unwrap();
    assert!(left <= Duration::from_secs(600), "{left:?}");
    let entries = emulator.journal().entries();
    let call = entries.iter().find(|entry| entry.method() == Method::GenerateAccessToken).unwrap();
    assert_eq!(call.protocol(), Protocol::Grpc);
    assert_eq!(
        (call.fields().scopes(), call.fields().lifetime()),
        (&[PUBSUB.to_owned()][..], Some(Duration::from_secs(600)))
    );
    assert!(call.principal().unwrap().starts_with("principal://iam.googleapis.com/"), "{call:?}");

    // The crate's retries apply to it.
    emulator.faults().inject(Fault::status(Code::Unavailable).method(Method::GenerateAccessToken).times(2));
    credentials.refresh().await.unwrap();
}

/// conf: F9
#[tokio::test]
async fn the_account_in_a_file_signs_and_gets_id_tokens_too() {
    let emulator = start().await;
    let json = file(&emulator, &acting_as_deployer(), &json!({}));
    let deployer = Credentials::builder().json_impersonation(&json).unwrap();
    let id_token = deployer.clone().include_email(true).id_token("https://service.run.app").unwrap();
    assert_eq!(id_token.token().await.unwrap().secret().split('.').count(), 3);
    let error = deployer.signer().unwrap().sign_blob("bytes").await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "workloadIdentityUser doesn't sign: {error}");
}

/// conf: F9
#[tokio::test]
async fn a_federated_identity_is_the_source_of_every_kind_of_credentials() {
    let emulator = start().await;
    // The account in the file may sign for the target.
    let source = Credentials::from_json(&file(&emulator, &acting_as_deployer(), &json!({}))).unwrap();
    let client =
        IamCredentialsClient::builder().credentials(source).endpoint(emulator.endpoint()).build().unwrap();
    let target = client.impersonate(TARGET);
    target.access_token([CLOUD_PLATFORM]).unwrap().token().await.unwrap();
    target.id_token("https://service.run.app").unwrap().token().await.unwrap();
    target.self_signed_jwt("https://pubsub.googleapis.com/").unwrap().token().await.unwrap();
    target.signer().unwrap().sign_blob("bytes").await.unwrap();
    let subject = target.clone().subject("user@corp.example").access_token([CLOUD_PLATFORM]).unwrap();
    let error = subject.token().await.unwrap_err();
    assert!(error.to_string().contains("unauthorized_client"), "no domain-wide delegation: {error}");
    let pool = ImpersonationPool::builder(client).build();
    pool.impersonate(TARGET).access_token([CLOUD_PLATFORM]).unwrap().token().await.unwrap();
    assert_eq!(count(&emulator, Method::ExternalAccount), 1, "one subject token for all of them");
}

/// conf: F9
#[tokio::test]
async fn a_file_may_have_a_federated_identity_as_its_source() {
    let emulator = start().await;
    let direct = file(&emulator, &ExternalAccountFile::new(), &json!({}));
    let chain = file(&emulator, &acting_as_deployer(), &json!({}));
    for (source, target) in [(direct, DEPLOYER), (chain, TARGET)] {
        let source: Value = serde_json::from_str(&source).unwrap();
        let url =
            format!("{}/v1/projects/-/serviceAccounts/{target}:generateAccessToken", emulator.endpoint());
        let outer = json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": url,
            "source_credentials": source,
        });
        let credentials = Credentials::from_json(&outer.to_string()).unwrap();
        credentials.token().await.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(credentials.info().principal(), Some(target));
    }
}

/// conf: F5, F9
#[tokio::test]
async fn a_supplied_identity_impersonates_too() {
    let emulator = std::sync::Arc::new(start().await);
    let (endpoint, supplier) = (emulator.endpoint().to_owned(), std::sync::Arc::clone(&emulator));
    let supply = move |_| {
        let emulator = std::sync::Arc::clone(&supplier);
        async move { emulator.external_account_token("pod").await.map_err(gcp_iam_credentials::Error::permanent) }
    };
    let builder = Credentials::builder().token_url(format!("{endpoint}/v1/token"));
    let federated = builder.external_account(AUDIENCE, JWT, supply).unwrap();
    let client = IamCredentialsClient::builder().credentials(federated).endpoint(endpoint).build().unwrap();
    let acting = client.impersonate(DEPLOYER);
    acting.access_token([CLOUD_PLATFORM]).unwrap().token().await.unwrap();
    acting.id_token("https://service.run.app").unwrap().token().await.unwrap();
}

/// conf: F8, F11
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_program_allows_is_called_over_rest_at_the_url_in_the_file() {
    const GATEWAY: &str = "iam.corp.example";
    let emulator = builder().tls().allow_host(GATEWAY).start().await.unwrap();
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let url =
        |host: &str| format!("https://{host}/v1/projects/-/serviceAccounts/{DEPLOYER}:generateAccessToken");
    let token = emulator.external_account_token("pod").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, token).unwrap();
    let file = |host: &str| {
        let changes = json!({
            "token_url": "https://sts.googleapis.com/v1/token",
            "token_info_url": null,
            "service_account_impersonation_url": url(host),
            "credential_source": {"file": path},
        });
        file(&emulator, &ExternalAccountFile::new(), &changes)
    };
    let builder =
        Credentials::builder().root_certificates(emulator.ca_pem()).proxy(proxy.url_without_login("http"));
    let error = builder.clone().json(&file(GATEWAY)).unwrap_err();
    assert_eq!(error.field(), Some("service_account_impersonation_url"), "{error}");
    for (host, protocol) in [(GATEWAY, Protocol::Rest), ("iamcredentials.googleapis.com", Protocol::Grpc)] {
        let credentials = builder.clone().allow_hosts([GATEWAY]).json(&file(host)).unwrap();
        credentials.token().await.unwrap_or_else(|error| panic!("{host}: {error:#}"));
        let entries = emulator.journal().entries();
        let call = entries.iter().rfind(|entry| entry.method() == Method::GenerateAccessToken).unwrap();
        assert_eq!(call.protocol(), protocol, "{host}");
        assert!(proxy.destinations().iter().any(|name| name.starts_with(host)), "{:?}", proxy.destinations());
    }
}

/// conf: F7, F9
#[tokio::test]
async fn a_refused_subject_token_ends_no_call_of_a_chain() {
    let emulator = start().await;
    let credentials = Credentials::from_json(&file(&emulator, &acting_as_deployer(), &json!({}))).unwrap();
    emulator.faults().inject(Fault::platform(PlatformFault::StaleToken).account("pod").times(1));
    credentials.token().await.unwrap();
    assert_eq!(count(&emulator, Method::GenerateAccessToken), 1);
}

/// conf: F9, F12
#[tokio::test]
async fn the_impersonation_in_a_file_uses_the_source_of_a_replaced_file() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adc.json");
    let source = |name: &str| json!({"credential_source": {"file": folder.path().join(name)}});
    let options = ExternalAccountFile::new().impersonate(DEPLOYER);
    std::fs::write(&path, file(&emulator, &options, &source("missing"))).unwrap();
    let deployer = gcp_iam_credentials::Impersonation::from_file(&path).unwrap();
    let acting = deployer.id_token("https://service.run.app").unwrap();
    let error = acting.token().await.unwrap_err();
    assert!(format!("{error:#}").contains("missing"), "{error:#}");

    let token = emulator.external_account_token("pod").await.unwrap();
    std::fs::write(folder.path().join("there"), token).unwrap();
    std::fs::write(&path, file(&emulator, &options, &source("there"))).unwrap();
    acting.token().await.unwrap_or_else(|error| panic!("{error:#}"));
}
