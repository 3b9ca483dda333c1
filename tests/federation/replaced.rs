//! Subject tokens and files of federated identities that are replaced while the program runs.

use gcp_iam_credentials::emulator::{ExternalAccountFile, Fault, Method, PlatformFault, SubjectTokenSource};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient};
use serde_json::json;

use crate::support::accounts::TARGET;
use crate::support::federation::{DEPLOYER, count, file, start};

/// conf: F7, F12
#[tokio::test]
async fn a_new_subject_token_ends_the_replay_of_a_refusal_throughout_a_chain() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let stale = emulator.faults().inject(Fault::platform(PlatformFault::StaleToken).account("pod"));
    std::fs::write(&path, emulator.external_account_token("pod").await.unwrap()).unwrap();
    emulator.faults().clear(stale);

    let source = SubjectTokenSource::File(path.display().to_string());
    let options = ExternalAccountFile::new().source(source).impersonate(DEPLOYER);
    let adc = folder.path().join("adc.json");
    std::fs::write(&adc, file(&emulator, &options, &json!({}))).unwrap();
    let credentials = Credentials::from_file(&adc).unwrap();
    let client = IamCredentialsClient::builder().credentials(credentials.clone());
    let client = client.endpoint(emulator.endpoint()).build().unwrap();
    let acting = client.impersonate(TARGET).access_token([CLOUD_PLATFORM]).unwrap();
    for _ in 0..3 {
        for credentials in [&credentials, &acting] {
            let error = credentials.token().await.unwrap_err();
            assert!(
                !error.is_transient() && format!("{error:#}").contains("renew the subject token"),
                "{error:#}"
            );
        }
    }
    assert_eq!(count(&emulator, Method::Token), 1, "the refusal is replayed at every level");

    std::fs::write(&path, emulator.external_account_token("pod").await.unwrap()).unwrap();
    acting.token().await.expect("the new subject token");
    credentials.token().await.expect("the new subject token");
}

/// conf: F12
#[tokio::test]
async fn another_provider_in_the_file_is_another_identity() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let adc = folder.path().join("adc.json");
    let options = ExternalAccountFile::new();
    std::fs::write(&adc, file(&emulator, &options, &json!({}))).unwrap();
    let credentials = Credentials::from_file(&adc).unwrap();
    credentials.token().await.unwrap();
    let other = "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/other";
    std::fs::write(&adc, file(&emulator, &options, &json!({"audience": other}))).unwrap();
    credentials.refresh().await.unwrap_err();
    let change = credentials.status().identity_change().map(str::to_owned).unwrap();
    assert!(change.contains(&format!("audience: {other}, before: //iam")), "{change}");
}
