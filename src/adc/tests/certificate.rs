//! The field `credential_source.certificate`. Nothing is sent.

use std::cell::RefCell;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const CONFIG: &str = r#"{"cert_configs": {"workload": {"cert_path": "c.pem", "key_path": "k.pem"}}}"#;
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/x";

fn folder_with(file: &str, content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn of_certificate(certificate: &Value) -> Value {
    json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:mtls",
        "credential_source": {"certificate": certificate},
    })
}

fn config_in_use(builder: CredentialsBuilder) -> String {
    let object = of_certificate(&json!({"use_default_certificate_config": true}));
    let text = builder.json(&object.to_string()).unwrap().explain().to_string();
    let (_, rest) = text.split_once("the client certificate that the file ").unwrap();
    rest.split_once(" names").unwrap().0.to_owned()
}

/// conf: F15
#[test]
fn a_certificate_is_shown_to_the_hosts_for_certificates_unless_the_file_names_others() {
    let (_folder, config) = folder_with("config.json", CONFIG);
    let object = of_certificate(&json!({"certificate_config_location": config}));
    assert_eq!(read(&object).unwrap().info().endpoint(), Some("https://sts.mtls.googleapis.com/v1/token"));

    let named = json!({
        "token_url": "https://sts.us-east1.rep.mtls.googleapis.com/v1/token",
        "service_account_impersonation_url": url("iamcredentials.mtls.googleapis.com", TARGET),
    });
    let text = read(&with(object, named)).unwrap().explain().to_string();
    assert!(text.contains("https://iamcredentials.mtls.googleapis.com"), "{text}");
    assert!(text.contains("https://sts.us-east1.rep.mtls.googleapis.com/v1/token"), "{text}");
}

thread_local! {
    /// The values of the two variables.
    static VARIABLES: RefCell<[Option<String>; 2]> = const { RefCell::new([None, None]) };
}

/// conf: F15
#[test]
fn the_default_config_is_named_by_a_variable_or_in_gclouds_folder() {
    let (folder, _) = folder_with("certificate_config.json", CONFIG);
    let [first, second] = ["first.json", "second.json"].map(|name| folder_with(name, CONFIG));
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let environment = Environment {
        credential_file: None,
        chosen_folder: None,
        default_folder: Some(folder.path().to_owned()),
        variables: |name| match name {
            "GOOGLE_API_CERTIFICATE_CONFIG" => VARIABLES.with_borrow(|values| values[0].clone()),
            "CLOUDSDK_CONTEXT_AWARE_CERTIFICATE_CONFIG_FILE_PATH" => {
                VARIABLES.with_borrow(|values| values[1].clone())
            }
            _ => None,
        },
    };
    let config = || config_in_use(Credentials::builder().in_environment(environment.clone()));
    assert_eq!(config(), text(&folder.path().join("certificate_config.json")));
    VARIABLES.set([None, Some(text(&second.1))]);
    assert_eq!(config(), text(&second.1));
    VARIABLES.set([Some(text(&first.1)), Some(text(&second.1))]);
    assert_eq!(config(), text(&first.1));

    let object = of_certificate(&json!({"use_default_certificate_config": true}));
    let field = "credential_source.certificate.use_default_certificate_config";
    assert!(assert_refused(&object, field).contains("GOOGLE_API_CERTIFICATE_CONFIG"));
}

/// conf: F15
#[test]
fn a_thousand_identities_with_the_same_certificate_share_their_connections() {
    let (_folder, config) = folder_with("config.json", CONFIG);
    let object = of_certificate(&json!({"certificate_config_location": config}));
    let builder = builder();
    for _ in 0..1000 {
        builder.clone().json(&object.to_string()).unwrap();
    }
    let other = of_certificate(&json!({"certificate_config_location": config, "trust_chain_path": "/t"}));
    builder.clone().json(&other.to_string()).unwrap();
    assert_eq!(crate::adc::external_account::certificate::shown_certificates(&builder.network), 2);
}

/// conf: F15
#[test]
fn each_field_of_a_certificate_is_checked_before_anything_is_sent() {
    const LOCATION: &str = "credential_source.certificate.certificate_config_location";
    let (_folder, config) = folder_with("config.json", CONFIG);
    let both = json!({"use_default_certificate_config": true, "certificate_config_location": config});
    for (certificate, field) in [
        (json!("hidden"), "credential_source.certificate"),
        (json!([]), "credential_source.certificate"),
        (json!({}), LOCATION),
        (json!({"use_default_certificate_config": false}), LOCATION),
        (
            json!({"use_default_certificate_config": "hidden"}),
            "credential_source.certificate.use_default_certificate_config",
        ),
        (json!({"certificate_config_location": 7}), LOCATION),
        (json!({"certificate_config_location": ""}), LOCATION),
        (json!({"certificate_config_location": "/missing/config.json"}), LOCATION),
        (json!({"certificate_config_location": std::env::temp_dir()}), LOCATION),
        (both, LOCATION),
        (json!({"certificate_config_location": "-----BEGIN PRIVATE KEY-----\nhidden\n"}), LOCATION),
        (
            json!({"certificate_config_location": config, "trust_chain_path": "-----BEGIN\nhidden"}),
            "credential_source.certificate.trust_chain_path",
        ),
        (
            json!({"certificate_config_location": config, "trust_chain_path": ["hidden"]}),
            "credential_source.certificate.trust_chain_path",
        ),
        (
            json!({"certificate_config_location": config, "trust_chain_path": ""}),
            "credential_source.certificate.trust_chain_path",
        ),
    ] {
        assert_refused(&of_certificate(&certificate), field);
    }
    let good = of_certificate(&json!({"certificate_config_location": config}));
    let jwt = json!({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"});
    let text = assert_refused(&with(good.clone(), jwt), "credential_source.certificate");
    assert!(text.contains("subject_token_type"), "{text}");
    let two = json!({"certificate": {"certificate_config_location": config}, "file": "/token"});
    assert_refused(&with(good, json!({"credential_source": two})), "credential_source");
}

/// conf: F15
#[test]
fn a_config_that_names_no_files_is_refused_with_its_path_and_field() {
    let huge = format!("{CONFIG}{}", " ".repeat(1 << 20));
    for (content, problem) in [
        ("", "must contain JSON, got an error at line 1, column 0"),
        (r#"{"hidden"#, "must contain JSON"),
        ("[]", "field cert_configs.workload.cert_path"),
        (r#"{"cert_configs": "hidden"}"#, "field cert_configs.workload.cert_path"),
        (r#"{"cert_configs": {"workload": {"key_path": "k"}}}"#, "field cert_configs.workload.cert_path"),
        (
            r#"{"cert_configs": {"workload": {"cert_path": "c", "key_path": ["hidden"]}}}"#,
            "field cert_configs.workload.key_path",
        ),
        (
            r#"{"cert_configs": {"workload": {"cert_path": "c", "key_path": ""}}}"#,
            "field cert_configs.workload.key_path",
        ),
        (
            r#"{"cert_configs": {"workload": {"cert_path": "c", "key_path": "-----BEGIN\nhidden"}}}"#,
            "field cert_configs.workload.key_path",
        ),
        (&huge, "more than 1048576 bytes"),
    ] {
        let (_folder, config) = folder_with("config.json", content);
        let object = of_certificate(&json!({"certificate_config_location": config}));
        let text = assert_refused(&object, "credential_source.certificate.certificate_config_location");
        assert!(text.contains(config.to_str().unwrap()) && text.contains(problem), "{text}");
    }
}
