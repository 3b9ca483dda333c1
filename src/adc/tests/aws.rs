//! The fields of `credential_source` for AWS. Nothing is sent.

use super::*;

const METADATA: &str = "http://169.254.169.254/latest";
const QUERY: &str = "?Action=GetCallerIdentity&Version=2011-06-15";

fn aws() -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/aws",
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {
            "environment_id": "aws1",
            "region_url": format!("{METADATA}/meta-data/placement/availability-zone"),
            "url": format!("{METADATA}/meta-data/iam/security-credentials"),
            "imdsv2_session_token_url": format!("{METADATA}/api/token"),
            "regional_cred_verification_url": format!("https://sts.{{region}}.amazonaws.com{QUERY}"),
        },
    })
}

fn with_source(changes: Value) -> Value {
    let source = with(aws()["credential_source"].clone(), changes);
    with(aws(), json!({ "credential_source": source }))
}

/// conf: F4
#[test]
fn the_pages_of_the_metadata_server_may_be_absent() {
    let text = read(&aws()).unwrap().explain().to_string();
    assert!(text.contains("subject tokens from AWS"), "{text}");
    read(&with_source(json!({"url": null, "region_url": null, "imdsv2_session_token_url": null}))).unwrap();
    read(&with_source(json!({"url": "http://[fd00:ec2::254]/latest/meta-data/iam"}))).unwrap();
}

/// conf: F4, F11
#[test]
fn each_field_of_aws_is_checked_before_anything_is_sent() {
    let jwt = json!({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"});
    assert_refused(&with(aws(), jwt), "credential_source.environment_id");
    for (changes, field) in [
        (json!({"environment_id": 7}), "environment_id"),
        (json!({"environment_id": ""}), "environment_id"),
        (json!({"environment_id": "aws2"}), "environment_id"),
        (json!({"environment_id": "azure1"}), "environment_id"),
        (json!({"url": 7}), "url"),
        (json!({"url": "hidden"}), "url"),
        (json!({"url": "http://10.0.0.1/hidden"}), "url"),
        (json!({"url": "http://169.254.169.254@evil.example/hidden"}), "url"),
        (json!({"region_url": "ftp://169.254.169.254/hidden"}), "region_url"),
        (json!({"region_url": []}), "region_url"),
        (json!({"imdsv2_session_token_url": "http://evil.example/hidden"}), "imdsv2_session_token_url"),
        (json!({"imdsv2_session_token_url": ""}), "imdsv2_session_token_url"),
        (json!({"regional_cred_verification_url": null}), "regional_cred_verification_url"),
        (json!({"regional_cred_verification_url": "hidden"}), "regional_cred_verification_url"),
        (
            json!({"regional_cred_verification_url": format!("https://sts.evil.example{QUERY}")}),
            "regional_cred_verification_url",
        ),
        (
            json!({"regional_cred_verification_url": format!("http://sts.amazonaws.com{QUERY}")}),
            "regional_cred_verification_url",
        ),
    ] {
        assert_refused(&with_source(changes), &format!("credential_source.{field}"));
    }
    for kind in ["file", "executable", "certificate"] {
        assert_refused(&with_source(json!({kind: "/hidden"})), "credential_source");
    }
}
