//! Where subject tokens come from.

use gcp_iam_credentials::Credentials;
use serde_json::json;

/// conf: F1
#[tokio::test]
async fn a_file_that_is_not_there_is_named_when_the_token_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "credential_source": {"file": path},
    });
    let credentials = Credentials::from_json(&file.to_string()).unwrap();
    let error = credentials.token().await.unwrap_err();
    assert!(error.to_string().contains(&*path.display().to_string()), "{error}");
    assert!(error.to_string().contains("credential_source.file"), "{error}");
}
