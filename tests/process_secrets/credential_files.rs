//! Credential files: good ones, broken ones, and replies of the token endpoints that they name.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::Emulator;
use serde_json::{Value, json};

use crate::Scene;
use crate::support::accounts::{KEY, TARGET, USER};
use crate::support::token_server::{Answer, TokenServer};

const PLACE: &str = "credential files";
const PRIVATE_KEY: &str = "private key";

pub(crate) async fn run(scene: &Scene) {
    let emulator = crate::support::emulator::start().await;
    let files = Files::new(scene, &emulator);
    for (answer, repeats_the_login) in answers(scene) {
        let server = TokenServer::start([answer]).await;
        let mut files = vec![files.user(&server.url())];
        // Only a user's endpoint can repeat the user's refresh token.
        if !repeats_the_login {
            files.push(self::Files::key(&files_key(scene, &emulator), &server.url()));
        }
        for file in files {
            use_file(scene, &file).await;
        }
        for form in server.forms() {
            record_form(scene, &form);
        }
    }
    accepted(scene, &emulator, &files).await;
    broken(scene, &files);
}

fn files_key(_: &Scene, emulator: &Emulator) -> Value {
    serde_json::from_str(&emulator.service_account_key_json(KEY)).unwrap()
}

/// The files, whose secrets are known.
struct Files {
    client_secret: String,
    refresh_token: String,
    key: Value,
}

impl Files {
    fn new(scene: &Scene, emulator: &Emulator) -> Self {
        let key = files_key(scene, emulator);
        scene.secrets.add(PRIVATE_KEY, private_part(&key), false);
        Self {
            client_secret: scene.secrets.token("client secret"),
            refresh_token: scene.secrets.token("refresh token"),
            key,
        }
    }

    fn user(&self, token_uri: &str) -> Value {
        json!({
            "type": "authorized_user",
            "account": USER,
            "client_id": "client-id",
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
            "token_uri": token_uri,
        })
    }

    fn key(key: &Value, token_uri: &str) -> Value {
        let mut key = key.clone();
        key["token_uri"] = token_uri.into();
        key
    }
}

/// Returns the private numbers of a key: its beginning is the public one.
fn private_part(key: &Value) -> Vec<u8> {
    let pem: String =
        key["private_key"].as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(pem).unwrap();
    der[320..].to_vec()
}

async fn use_file(scene: &Scene, file: &Value) {
    let credentials = Credentials::from_json(&file.to_string()).unwrap();
    scene.shown.credentials(PLACE, &credentials);
    for outcome in [credentials.token().await, credentials.refresh().await] {
        if let Some(token) = scene.shown.outcome(PLACE, outcome) {
            scene.secrets.saw(token.secret());
        }
    }
    scene.shown.credentials(PLACE, &credentials);
}

/// Notes what arrived. An assertion is a secret too.
fn record_form(scene: &Scene, form: &str) {
    scene.secrets.saw(percent_encoding::percent_decode_str(form).collect::<Vec<u8>>());
    if let Some((_, assertion)) = form.split_once("assertion=") {
        scene.secrets.made("assertion", assertion);
    }
}

/// Returns what the endpoint answers, and whether the answer repeats the refresh token.
fn answers(scene: &Scene) -> Vec<(Answer, bool)> {
    let body = scene.secrets.token("body of a reply");
    scene.secrets.used("body of a reply");
    let minted = scene.secrets.token("token of an endpoint");
    // `Files` has a secret of the same name, so the same value.
    let refresh_token = crate::Secrets::default().token("refresh token");
    let good = json!({"access_token": minted, "expires_in": 3600, "id_token": body, "refresh_token": body});
    let malformed = json!({"access_token": [body], "expires_in": body});
    let described = json!({
        "error": "invalid_grant", "error_description": format!("no such grant: {refresh_token}"), "more": body
    });
    vec![
        (Answer::body(200, &good.to_string()), false),
        (Answer::body(200, &malformed.to_string()), false),
        (Answer::body(200, &body), false),
        (Answer::body(400, &described.to_string()), true),
        (Answer::body(400, &json!({"error": refresh_token}).to_string()), true),
        (Answer::body(403, &body), false),
        (Answer::Http(302, vec![("location", format!("https://evil.example/?{body}"))], body.clone()), false),
        (Answer::body(502, &format!("<html>{body}</html>")), false),
        (Answer::Break, false),
    ]
}

/// Files that an emulator accepts, so that the private key is really used.
async fn accepted(scene: &Scene, emulator: &Emulator, files: &Files) {
    let user = emulator.authorized_user_json(USER);
    let parsed: Value = serde_json::from_str(&user).unwrap();
    for field in ["refresh_token", "client_secret"] {
        scene.secrets.made(&format!("{field} of the emulator"), parsed[field].as_str().unwrap());
    }
    let impersonated = emulator.impersonated_service_account_json(&user, TARGET, [KEY]).unwrap();
    let mut other_universe = files.key.clone();
    other_universe["universe_domain"] = "example.goog".into();
    let other_universe =
        Credentials::builder().universe_domain("example.goog").json(&other_universe.to_string()).unwrap();
    let all = [
        Credentials::from_json(&files.key.to_string()).unwrap(),
        Credentials::from_service_account_json(&files.key.to_string()).unwrap(),
        Credentials::from_json(&user).unwrap(),
        Credentials::from_json(&impersonated).unwrap(),
        other_universe,
    ];
    for credentials in all {
        let token = scene.shown.outcome(PLACE, credentials.token().await).expect("an accepted file");
        scene.secrets.made("token of a file", token.secret());
        scene.shown.credentials(PLACE, &credentials);
    }
    scene.secrets.used(PRIVATE_KEY);
}

/// Files in which a secret is at a wrong place or has a wrong type.
fn broken(scene: &Scene, files: &Files) {
    let secret = &files.client_secret;
    let user = files.user("http://127.0.0.1:1/token");
    for file in [&user, &files.key] {
        let text = file.to_string();
        for end in (0..text.len()).step_by(97) {
            scene.shown.outcome(PLACE, Credentials::from_json(&text[..end]));
        }
        for field in file.as_object().unwrap().keys() {
            for value in [json!([secret]), json!({ secret: secret }), json!(secret), json!(7), Value::Null] {
                let mut file = file.clone();
                file[field] = value;
                // Names of accounts and projects may be shown, so they can't be secrets.
                let is_public =
                    matches!(&**field, "account" | "client_email" | "client_id" | "project_id" | "type");
                if !is_public {
                    scene.shown.outcome(PLACE, Credentials::from_json(&file.to_string()));
                }
            }
        }
        scene.shown.outcome(PLACE, Credentials::from_json(&json!([file]).to_string()));
        scene.shown.outcome(PLACE, Credentials::from_service_account_json(&text));
    }
}
