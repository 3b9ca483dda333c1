//! What holds for every credential file.

use serde_json::Value;

use super::*;
use crate::properties::{SECRET, assert_names_a_field, shown};

/// Fields whose values are secrets.
const SECRET_FIELDS: [&str; 5] =
    ["client_secret", "private_key", "private_key_id", "refresh_token", "id_token"];

/// Fields that errors and explanations show, and those that contain such objects.
const SHOWN_OBJECTS: [&str; 5] =
    ["source_credentials", "service_account_impersonation", "credential_source", "format", "executable"];

/// The types, and the field of each with the URL that gets secrets.
const TYPES: [(&str, &str); 4] = [
    ("service_account", "token_uri"),
    ("authorized_user", "token_uri"),
    (IMPERSONATED, URL),
    ("external_account", "token_url"),
];

const IMPERSONATED: &str = "impersonated_service_account";
const URL: &str = "service_account_impersonation_url";

/// A file gives credentials, or an error that names the file and the field. Neither shows a secret
/// of the file. Credentials send secrets only to Google or to this machine.
pub fn credential_files(data: &[u8]) {
    let value: Option<Value> = serde_json::from_slice(data).ok();
    let outcome = read(data);
    let text = match &outcome {
        Ok(credentials) => {
            let explained = credentials.explain();
            format!("{credentials:?} {credentials:#?} {explained} {explained:?} {:?}", credentials.info())
        }
        Err(error) => {
            assert_names_a_field(error);
            assert!(error.to_string().contains(FILE), "{error}");
            shown(error)
        }
    };
    let Some(value) = value else { return assert!(outcome.is_err()) };
    if only_secrets_are_marked(&value) {
        assert!(!text.contains(SECRET), "{text}");
    }
    if outcome.is_ok() {
        holds_for_a_good_file(&value);
    }
    // The order of fields, spaces and escapes have no meaning.
    let again = read(value.to_string().as_bytes());
    assert_eq!(
        again.map_err(|error| error.to_string()).err(),
        outcome.map_err(|error| error.to_string()).err()
    );
}

const FILE: &str = "adc.json";

fn read(data: &[u8]) -> Result<Credentials, Error> {
    let environment =
        Environment { credential_file: None, chosen_folder: None, default_folder: None, variables: |_| None };
    let file = CredentialFile::parse(data, FILE)?;
    let builder = Credentials::builder().in_environment(environment);
    builder.read_json(&file, Reader::credentials)
}

fn holds_for_a_good_file(file: &Value) {
    let kind = TYPES.into_iter().find(|(name, _)| file["type"] == *name);
    let Some((kind, url_field)) = kind else { panic!("{file}") };
    // Keys and logins have no impersonation URL: other fields are ignored.
    let impersonates = [IMPERSONATED, "external_account"].contains(&kind);
    let urls = [file[url_field].as_str(), file[URL].as_str().filter(|_| impersonates)];
    for url in urls.into_iter().flatten() {
        let authority = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#', '\\']).next());
        let host = authority.unwrap_or_default().to_ascii_lowercase();
        let name = host.split(':').next().unwrap_or_default();
        let is_google = name == "googleapis.com" || name.ends_with(".googleapis.com");
        let is_local = name == "localhost" || name.starts_with("127.") || host.starts_with("[");
        assert!(is_local || is_google && url.to_ascii_lowercase().starts_with("https://"), "{url}");
        assert!(!host.contains('@'), "{url}");
    }
    if let Some(source) = file.get("source_credentials").filter(|_| kind == IMPERSONATED) {
        holds_for_a_good_file(source);
    }
    if let Some(url) = file["credential_source"]["url"].as_str().filter(|_| kind == "external_account") {
        let lower = url.to_ascii_lowercase();
        let local = ["127.", "localhost", "[::1]", "169.254.169.254", "[fd00:"];
        let is_local = local.iter().any(|host| lower.starts_with(&format!("http://{host}")));
        assert!(lower.starts_with("https://") || is_local, "{url}");
    }
}

/// Whether the mark is in values of secret fields and nowhere else.
fn only_secrets_are_marked(file: &Value) -> bool {
    let Value::Object(fields) = file else { return !file.to_string().contains(SECRET) };
    fields.iter().all(|(name, value)| match name.as_str() {
        name if SECRET_FIELDS.contains(&name) => value.is_string() || !value.to_string().contains(SECRET),
        "headers" => true,
        name if SHOWN_OBJECTS.contains(&name) => only_secrets_are_marked(value),
        name => !name.contains(SECRET) && !value.to_string().contains(SECRET),
    })
}
