//! Federated identities: subject tokens, what they are requested with, and what platforms reply.

use gcp_iam_credentials::{Credentials, Error};
use serde_json::{Value, json};

use crate::Scene;
#[cfg(unix)]
use crate::child;
use crate::support::federation::{AUDIENCE, JWT};
use crate::support::token_server::{Answer, TokenServer};

const PLACE: &str = "federation";

pub(crate) async fn run(scene: &Scene) {
    let secrets = FederationSecrets::new(scene);
    for answer in secrets.answers_of_the_token_service() {
        let sts = TokenServer::start([answer]).await;
        let platform = TokenServer::start([Answer::body(200, &secrets.subject_token)]).await;
        use_credentials(scene, &read(scene, &secrets.file(&sts, secrets.url(&platform)))).await;
        record(scene, &sts);
        record(scene, &platform);
    }
    let sts = TokenServer::start([Answer::Token(3600)]).await;
    use_credentials(scene, &supplied(&sts, Ok(secrets.subject_token.clone()))).await;
    for answer in secrets.answers_of_the_platform() {
        let platform = TokenServer::start([answer]).await;
        use_credentials(scene, &read(scene, &secrets.file(&sts, secrets.url(&platform)))).await;
    }
    files(scene, &secrets, &sts).await;
    use_credentials(scene, &supplied(&sts, Err(Error::transient("the vault is sealed")))).await;
    broken(scene, &secrets, &sts).await;
    #[cfg(unix)]
    commands(scene);
}

struct FederationSecrets {
    subject_token: String,
    /// What the platform authenticates the request with.
    request_token: String,
    client_secret: String,
    /// A part of a reply that isn't a token.
    body: String,
}

impl FederationSecrets {
    fn new(scene: &Scene) -> Self {
        let body = scene.secrets.token("body of a platform");
        scene.secrets.used("body of a platform");
        Self {
            subject_token: scene.secrets.token("subject token"),
            request_token: scene.secrets.token("request token"),
            client_secret: scene.secrets.token("secret of an OAuth client"),
            body,
        }
    }

    fn file(&self, sts: &TokenServer, source: Value) -> Value {
        json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": JWT,
            "token_url": sts.url(),
            "client_id": "client-id",
            "client_secret": self.client_secret,
            "credential_source": source,
        })
    }

    fn url(&self, platform: &TokenServer) -> Value {
        json!({
            "url": format!("{}?key={}", platform.url(), self.request_token),
            "headers": {"Authorization": format!("Bearer {}", self.request_token)},
        })
    }

    fn answers_of_the_token_service(&self) -> Vec<Answer> {
        let repeated =
            json!({"error": "invalid_grant", "error_description": format!("bad: {}", self.subject_token)});
        let as_code = json!({"error": self.subject_token, "error_uri": self.body});
        vec![
            Answer::Token(3600),
            Answer::body(400, &repeated.to_string()),
            Answer::body(400, &as_code.to_string()),
            Answer::body(
                401,
                &json!({"error": "invalid_client", "error_description": self.client_secret}).to_string(),
            ),
            Answer::body(502, &format!("<html>{}</html>", self.body)),
            Answer::body(200, &json!({"access_token": [self.body]}).to_string()),
        ]
    }

    fn answers_of_the_platform(&self) -> Vec<Answer> {
        let redirection = vec![("location", format!("http://127.0.0.1:1/{}", self.body))];
        vec![
            Answer::body(403, &self.body),
            Answer::body(500, &self.body),
            Answer::body(200, &format!("<html>{}", self.body)),
            Answer::body(200, &format!("{}\0", self.body)),
            Answer::Http(302, redirection, self.body.clone()),
            Answer::Break,
        ]
    }
}

fn read(scene: &Scene, file: &Value) -> Credentials {
    scene.shown.outcome(PLACE, Credentials::from_json(&file.to_string())).unwrap()
}

fn supplied(sts: &TokenServer, outcome: Result<String, Error>) -> Credentials {
    let builder = Credentials::builder().token_url(sts.url());
    builder.external_account(AUDIENCE, JWT, move |_| std::future::ready(outcome.clone())).unwrap()
}

pub(crate) async fn use_credentials(scene: &Scene, credentials: &Credentials) {
    scene.shown.credentials(PLACE, credentials);
    scene.shown.outcome(PLACE, credentials.token().await);
    scene.shown.credentials(PLACE, credentials);
}

/// Notes what arrived, also in HTTP Basic.
pub(crate) fn record(scene: &Scene, server: &TokenServer) {
    use base64::Engine;
    for form in server.forms() {
        scene.secrets.saw(percent_encoding::percent_decode_str(&form).collect::<Vec<u8>>());
    }
    for head in server.heads() {
        let Some(value) = head.get("authorization").and_then(|value| value.to_str().ok()) else { continue };
        scene.secrets.saw(value);
        if let Some(basic) = value.strip_prefix("Basic ") {
            scene.secrets.saw(base64::prelude::BASE64_STANDARD.decode(basic).unwrap());
        }
    }
}

/// A file whose content makes no sense.
async fn files(scene: &Scene, secrets: &FederationSecrets, sts: &TokenServer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let format = json!({"type": "json", "subject_token_field_name": "token"});
    let body = &secrets.body;
    for content in [
        body.clone(),
        json!({"tokens": body}).to_string(),
        json!({"token": [body]}).to_string(),
        format!(r#"{{"token":"{body}","token":"{body}"}}"#),
    ] {
        std::fs::write(&path, content).unwrap();
        let source = json!({"file": path, "format": format});
        use_credentials(scene, &read(scene, &secrets.file(sts, source))).await;
    }
}

/// Files in which a secret is at a wrong place or has a wrong type.
async fn broken(scene: &Scene, secrets: &FederationSecrets, sts: &TokenServer) {
    let file = secrets.file(sts, secrets.url(sts));
    let text = file.to_string();
    for end in (0..text.len()).step_by(37) {
        scene.shown.outcome(PLACE, Credentials::from_json(&text[..end]));
    }
    let secret = &secrets.client_secret;
    let wrong = [json!([secret]), json!({ secret: secret }), json!(secret), json!(7)];
    for field in [
        "subject_token_type",
        "token_url",
        "token_info_url",
        "client_secret",
        "credential_source",
        "service_account_impersonation_url",
        "service_account_impersonation",
        "scopes",
        "quota_project_id",
        "workforce_pool_user_project",
        "universe_domain",
    ] {
        for value in &wrong {
            let mut file = file.clone();
            file[field] = value.clone();
            // Scopes and the names of projects may be shown.
            if value.is_string() && matches!(field, "quota_project_id") {
                continue;
            }
            scene.shown.outcome(PLACE, Credentials::from_json(&file.to_string()));
        }
    }
    for field in ["url", "headers", "format", "file", "executable"] {
        for value in &wrong {
            let mut file = file.clone();
            file["credential_source"][field] = value.clone();
            scene.shown.outcome(PLACE, Credentials::from_json(&file.to_string()));
        }
    }
}

/// The variables that tell [`of_a_command`] its file, and the command its secret.
#[cfg(unix)]
const FILE: &str = "FILE_FOR_TESTS";
#[cfg(unix)]
const SECRET: &str = "SECRET_OF_COMMAND";

/// Runs [`of_a_command`] with commands that print a secret.
#[cfg(unix)]
fn commands(scene: &Scene) {
    let secret = scene.secrets.token("output of a command");
    scene.secrets.used("output of a command");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adc.json");
    for script in [
        r#"echo "{\"version\":1,\"success\":true,\"token_type\":\"TYPE\",\"id_token\":\"$SECRET_OF_COMMAND\"}""#,
        r#"echo "{\"version\":1,\"success\":true,\"token_type\":\"$SECRET_OF_COMMAND\"}""#,
        r#"echo "{\"version\":1,\"success\":false,\"code\":\"$SECRET_OF_COMMAND x\",\"message\":\"eyJ$SECRET_OF_COMMAND$SECRET_OF_COMMAND\"}""#,
        r#"echo $SECRET_OF_COMMAND; echo $SECRET_OF_COMMAND >&2; exit 1"#,
        r#"echo $SECRET_OF_COMMAND; echo $SECRET_OF_COMMAND >&2"#,
    ] {
        let command = format!("sh -c '{}' {secret}", script.replace("TYPE", JWT));
        let file = json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": JWT,
            "token_url": "http://127.0.0.1:9/v1/token",
            "credential_source": {"executable": {"command": command}},
        });
        std::fs::write(&path, file.to_string()).unwrap();
        let mut child = child::command("federation::of_a_command");
        child.env(SECRET, &secret).env(FILE, &path).env("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1");
        child::run(scene, "command", child);
    }
}

#[cfg(unix)]
#[test]
#[ignore = "another test runs it as a child process"]
fn of_a_command() {
    child::show("command", &Credentials::from_file(std::env::var_os(FILE).unwrap()).unwrap());
}
