//! Each kind of source, and everything that it is good for: access tokens, ID tokens, signatures, subjects, pools and
//! downscoped tokens. The test's name says which kind it is about.

use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
use gcp_iam_credentials::emulator::{Emulator, ExternalAccountFile, Policy, SubjectTokenSource};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, Error, IamCredentialsClient, ImpersonationPool};
use serde_json::{Value, json};

use crate::support::authority::{Authority, acceptor_for};
use crate::support::mutual_tls::MutualTls;
use crate::support::token_server::{Answer, TokenServer};

const POOL: &str = "projects/12/locations/global/workloadIdentityPools/ci";
const WORKFORCE: &str = "locations/global/workforcePools/staff";
const KEY: &str = "key@shop.iam.gserviceaccount.com";
const MIDDLE: &str = "middle@shop.iam.gserviceaccount.com";
const TARGET: &str = "target@shop.iam.gserviceaccount.com";
const USER: &str = "me@example.com";

/// Starts an emulator in which every kind of principal may do everything on the target.
async fn start() -> Emulator {
    let members = json!([
        format!("principalSet://iam.googleapis.com/{POOL}/*"),
        format!("principalSet://iam.googleapis.com/{WORKFORCE}/*"),
        format!("serviceAccount:{KEY}"),
        format!("serviceAccount:{MIDDLE}"),
        format!("user:{USER}"),
    ]);
    let creator = json!([{ "members": members, "role": "roles/iam.serviceAccountTokenCreator" }]);
    let policy = json!({
        "serviceAccounts": {
            KEY: {},
            MIDDLE: { "grants": creator },
            TARGET: { "grants": creator, "domainWideDelegation": [CLOUD_PLATFORM] },
        },
        "users": { USER: { "refreshToken": "1//me" } },
        "identityPools": {
            POOL: { "providers": {
                "oidc": { "oidc": { "issuerUri": "https://issuer.example" } },
                "aws": { "aws": { "accountId": "123456789012" } },
            } },
            WORKFORCE: { "providers": { "okta": { "oidc": { "issuerUri": "https://okta.example" } } } },
        },
        "externalAccounts": {
            "job": { "provider": format!("{POOL}/providers/oidc") },
            "vm": { "provider": format!("{POOL}/providers/aws"), "region": "us-east-2" },
            "ada": { "provider": format!("{WORKFORCE}/providers/okta") },
        },
    });
    Emulator::builder().policy(Policy::from_json(&policy.to_string()).unwrap()).start().await.unwrap()
}

/// Checks everything that `source` is good for.
async fn check(emulator: &Emulator, source: Credentials) {
    let token = source.token().await.unwrap_or_else(|error| panic!("access token: {error:#}"));
    let principal = emulator.verify_access_token(token.secret()).unwrap().principal().to_owned();
    check_downscoped(emulator, &source, &principal).await;

    let builder = IamCredentialsClient::builder().credentials(source).endpoint(emulator.endpoint());
    let client = builder.build().unwrap();
    let target = client.impersonate(TARGET);
    check_owner(emulator, &target.access_token([CLOUD_PLATFORM]).unwrap(), TARGET).await;
    let id = target.clone().include_email(true).id_token("https://service.example").unwrap();
    let id = id.token().await.unwrap_or_else(|error| panic!("ID token: {error:#}"));
    let claims: Value = emulator.verify_id_token(id.secret()).unwrap();
    assert_eq!(claims["email"], TARGET);
    let blob = target.signer().unwrap().sign_blob("bytes").await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(emulator.verify_blob(TARGET, b"bytes", blob.signature()));
    let subject = target.clone().subject(USER).access_token([CLOUD_PLATFORM]).unwrap();
    let subject = subject.token().await.unwrap_or_else(|error| panic!("subject: {error:#}"));
    assert_eq!(emulator.verify_access_token(subject.secret()).unwrap().principal(), format!("user:{USER}"));
    let pool = ImpersonationPool::builder(client).build();
    for account in [TARGET, MIDDLE] {
        check_owner(emulator, &pool.impersonate(account).access_token([CLOUD_PLATFORM]).unwrap(), account)
            .await;
    }
}

async fn check_downscoped(emulator: &Emulator, source: &Credentials, principal: &str) {
    let rule = AccessRule::bucket("files").role("roles/storage.objectViewer").folder("customer-1");
    let builder = Credentials::builder().token_url(format!("{}/v1/token", emulator.endpoint()));
    let narrow = builder.downscope(source, AccessBoundary::new().rule(rule)).unwrap();
    let token = narrow.token().await.unwrap_or_else(|error| panic!("downscoped: {error:#}"));
    let verified = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!(verified.principal(), principal);
    assert!(verified.access_boundary().unwrap().contains("objects/customer-1/"), "{verified:?}");
}

async fn check_owner(emulator: &Emulator, acting: &Credentials, account: &str) {
    let token = acting.token().await.unwrap_or_else(|error| panic!("{account}: {error:#}"));
    let owner = emulator.verify_access_token(token.secret()).unwrap().principal().to_owned();
    assert_eq!(owner, format!("serviceAccount:{account}"));
}

/// Returns the credentials that a file of an external account describes.
fn external(emulator: &Emulator, account: &str, file: &ExternalAccountFile) -> Credentials {
    Credentials::from_json(&emulator.external_account_json(account, file).unwrap()).unwrap()
}

/// conf: F9
#[tokio::test]
async fn a_service_accounts_key() {
    let emulator = start().await;
    check(&emulator, Credentials::from_json(&emulator.service_account_key_json(KEY)).unwrap()).await;
}

/// conf: F9
#[tokio::test]
async fn a_users_login() {
    let emulator = start().await;
    check(&emulator, Credentials::from_json(&emulator.authorized_user_json(USER)).unwrap()).await;
}

/// conf: F9
#[tokio::test]
async fn an_impersonation_in_a_file_with_each_kind_of_source() {
    let emulator = start().await;
    let job = emulator.external_account_json("job", &ExternalAccountFile::new()).unwrap();
    for source in [emulator.service_account_key_json(KEY), emulator.authorized_user_json(USER), job] {
        let file = emulator.impersonated_service_account_json(&source, MIDDLE, [""; 0]).unwrap();
        check(&emulator, Credentials::from_json(&file).unwrap()).await;
    }
}

/// conf: F1, F9
#[tokio::test]
async fn a_federated_identity_with_a_file() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, emulator.external_account_token("job").await.unwrap()).unwrap();
    let source = SubjectTokenSource::File(path.to_str().unwrap().to_owned());
    check(&emulator, external(&emulator, "job", &ExternalAccountFile::new().source(source))).await;
}

/// conf: F2, F9
#[tokio::test]
async fn a_federated_identity_with_a_url() {
    let emulator = start().await;
    for source in [SubjectTokenSource::Url, SubjectTokenSource::GithubActions, SubjectTokenSource::Azure] {
        check(&emulator, external(&emulator, "job", &ExternalAccountFile::new().source(source))).await;
    }
}

/// conf: F3, F9
#[test]
fn a_federated_identity_with_a_command() {
    let child = ["kinds_of_sources::in_a_process_that_allows_commands", "--exact", "--ignored"];
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(child).env("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[tokio::test]
#[ignore = "another test runs it in a process that allows commands"]
async fn in_a_process_that_allows_commands() {
    let emulator = start().await;
    let source = SubjectTokenSource::Executable;
    check(&emulator, external(&emulator, "job", &ExternalAccountFile::new().source(source))).await;
}

/// conf: F4, F9
#[cfg(feature = "aws")]
#[tokio::test]
async fn a_federated_identity_of_aws() {
    let emulator = start().await;
    for source in [SubjectTokenSource::Aws, SubjectTokenSource::AwsImdsV1] {
        check(&emulator, external(&emulator, "vm", &ExternalAccountFile::new().source(source))).await;
    }
}

/// conf: F9, F15
#[tokio::test]
async fn a_federated_identity_with_a_certificate() {
    let emulator = start().await;
    let authority = Authority::new();
    // The emulator knows no certificates: this token service gives a token of another identity in the pool.
    let token = external(&emulator, "job", &ExternalAccountFile::new()).token().await.unwrap();
    let reply = json!({"access_token": token.secret(), "expires_in": 3600, "token_type": "Bearer"});
    let sts = TokenServer::start([Answer::body(200, &reply.to_string())]).await;
    let front = acceptor_for(&authority, "localhost", Some(&authority), &[b"http/1.1"]);
    let front = MutualTls::start(sts.address(), front).await;
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key, config] =
        ["cert.pem", "key.pem", "config.json"].map(|name| folder.path().join(name));
    let (certificate_pem, key_pem) = authority.issue("client");
    std::fs::write(&certificate, certificate_pem).unwrap();
    std::fs::write(&key, key_pem).unwrap();
    let files = json!({"cert_configs": {"workload": {"cert_path": certificate, "key_path": key}}});
    std::fs::write(&config, files.to_string()).unwrap();
    let file = json!({
        "type": "external_account",
        "audience": format!("//iam.googleapis.com/{POOL}/providers/x509"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:mtls",
        "token_url": front.url("/v1/token"),
        "credential_source": {"certificate": {"certificate_config_location": config}},
    });
    let builder = Credentials::builder().root_certificates(authority.pem());
    check(&emulator, builder.json(&file.to_string()).unwrap()).await;
    assert_eq!(front.shown().len(), 1, "one exchange");
}

/// conf: F5, F9
#[tokio::test]
async fn a_federated_identity_with_a_closure() {
    let emulator = std::sync::Arc::new(start().await);
    let platform = std::sync::Arc::clone(&emulator);
    let supply = move |_| {
        let platform = std::sync::Arc::clone(&platform);
        async move { platform.external_account_token("job").await.map_err(Error::permanent) }
    };
    let builder = Credentials::builder().token_url(format!("{}/v1/token", emulator.endpoint()));
    let provider = format!("//iam.googleapis.com/{POOL}/providers/oidc");
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    check(&emulator, builder.external_account(provider, jwt, supply).unwrap()).await;
}

/// conf: F8, F9
#[tokio::test]
async fn a_federated_identity_that_impersonates_an_account_in_its_file() {
    let emulator = start().await;
    check(&emulator, external(&emulator, "job", &ExternalAccountFile::new().impersonate(MIDDLE))).await;
}

/// conf: F6, F9
#[tokio::test]
async fn a_federated_identity_of_a_workforce_pool() {
    let emulator = start().await;
    check(&emulator, external(&emulator, "ada", &ExternalAccountFile::new())).await;
}

/// conf: F9, F10
#[tokio::test]
async fn a_sign_in_with_a_workforce_pool() {
    let emulator = start().await;
    let file = emulator.external_account_authorized_user_json("ada").unwrap();
    check(&emulator, Credentials::from_json(&file).unwrap()).await;
}
