//! Sources of tokens that need no file.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::source::{BoxFuture, FetchReason, FetchRequest, TokenSource};
use gcp_iam_credentials::{Credentials, Error, IamCredentialsClient, Token, scopes};

use crate::Scene;
#[cfg(unix)]
use crate::child;
use crate::support::proxy::{Login, Proxy};
use crate::support::token_server::{Answer, TokenServer};

const PLACE: &str = "sources";

pub(crate) async fn run(scene: &Scene) {
    let secret = scene.secrets.token("token of a closure");
    let token = Token::new(&secret, SystemTime::now() + Duration::from_secs(3600)).unwrap();
    scene.shown.debug(PLACE, &FetchRequest::new(FetchReason::Empty));
    for credentials in [
        Credentials::fixed(token.clone()),
        Credentials::from_fn({
            let token = token.clone();
            move || std::future::ready(Ok(token.clone()))
        }),
        Credentials::from_source(Panics(secret.clone())),
        Credentials::from_fn(|| async { Err(Error::transient("no network")) }),
    ] {
        scene.shown.credentials(PLACE, &credentials);
        if let Some(token) = scene.shown.outcome(PLACE, credentials.token().await) {
            scene.secrets.saw(token.secret());
            credentials.invalidate(&token);
        }
        scene.shown.outcome(PLACE, credentials.refresh().await);
        scene.shown.credentials(PLACE, &credentials);
    }
    // Tokens that can't be sent, and mistaken uses of a secret.
    for text in
        [format!("{secret}\n"), format!("Bearer {secret}"), format!("{secret} x"), format!("{secret}é")]
    {
        scene.shown.outcome(PLACE, Token::new(text, None));
    }
    let builder = IamCredentialsClient::builder().credentials(Credentials::fixed(token));
    scene.shown.outcome(PLACE, builder.clone().endpoint(format!("https://user:{secret}@host")).build());
    let builder = builder.root_certificates(secret.as_str()).client_identity("x", secret.as_str());
    scene.shown.debug(PLACE, &builder);
    scene.shown.outcome(PLACE, builder.build());
    proxy(scene).await;
    gcp_auth(scene).await;
    #[cfg(unix)]
    gcloud(scene);
}

/// A proxy that can't be used, one that refuses the password, and one that is away.
async fn proxy(scene: &Scene) {
    let password = scene.secrets.token("password of a proxy");
    let target = "127.0.0.1:1".parse().unwrap();
    let refusing = Proxy::start(target, Login::Needed).await;
    let file = r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r"}"#;
    for url in [
        format!("socks4://user:{password}@proxy.example"),
        format!("http://user:{password}@{}", refusing.address),
        format!("socks5://user:{password}@{}", refusing.address),
        format!("https://user:{password}@127.0.0.1:1"),
    ] {
        let client = IamCredentialsClient::builder().proxy(&url).timeout(Duration::from_millis(200));
        let client = client.credentials(Credentials::fixed(Token::new("token", None).unwrap()));
        scene.shown.debug(PLACE, &client);
        if let Some(client) = scene.shown.outcome(PLACE, client.build()) {
            scene.shown.outcome(PLACE, client.sign_blob("sa@p.iam.gserviceaccount.com", "").await);
        }
        let builder = Credentials::builder().proxy(&url);
        scene.shown.debug(PLACE, &builder);
        if let Some(credentials) = scene.shown.outcome(PLACE, builder.json(file)) {
            scene.shown.credentials(PLACE, &credentials);
            scene.shown.outcome(PLACE, credentials.token().await);
        }
    }
    let logins = refusing.logins();
    assert!(logins.len() >= 4, "{}", logins.len());
    logins.iter().filter_map(|login| login.split_once(':')).for_each(|(_, seen)| scene.secrets.saw(seen));
}

/// Panics after it has read its secret.
struct Panics(String);

impl TokenSource for Panics {
    fn fetch<'a>(&'a self, _: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async { panic!("a secret of {} bytes", self.0.len()) })
    }
}

/// gcp_auth logs the replies that it can't use.
async fn gcp_auth(scene: &Scene) {
    let emulator = crate::support::emulator::start().await;
    let key = emulator.service_account_key_json("key@project.iam.gserviceaccount.com");
    let mut key: serde_json::Value = serde_json::from_str(&key).unwrap();
    let minted = scene.secrets.token("token of gcp_auth");
    let body = scene.secrets.token("body that gcp_auth gets");
    scene.secrets.used("body that gcp_auth gets");
    for answer in [
        Answer::body(200, &format!(r#"{{"access_token":"{minted}","expires_in":3600}}"#)),
        Answer::body(200, &format!(r#"{{"access_token":["{body}"]}}"#)),
        Answer::body(400, &format!(r#"{{"error":"{body}"}}"#)),
    ] {
        let server = TokenServer::start([answer]).await;
        key["token_uri"] = server.url().into();
        let provider = Arc::new(gcp_auth::CustomServiceAccount::from_json(&key.to_string()).unwrap());
        let credentials = Credentials::from_gcp_auth(provider, [scopes::IAM]);
        if let Some(token) = scene.shown.outcome(PLACE, credentials.token().await) {
            scene.secrets.saw(token.secret());
        }
        scene.shown.credentials(PLACE, &credentials);
        let assertion =
            server.forms()[0].rsplit_once("assertion=").unwrap().1.split('&').next().unwrap().to_owned();
        scene.secrets.made("assertion of gcp_auth", assertion);
    }
}

/// The variable that tells [`of_gcloud`] its secret.
#[cfg(unix)]
const SECRET: &str = "SECRET_OF_GCLOUD";

/// Runs [`of_gcloud`] with a `gcloud` that prints a secret, and one that fails after it has printed it.
#[cfg(unix)]
fn gcloud(scene: &Scene) {
    use std::os::unix::fs::PermissionsExt;

    let secret = scene.secrets.token("token of gcloud");
    for script in [
        "echo $SECRET_OF_GCLOUD",
        "echo $SECRET_OF_GCLOUD; echo $SECRET_OF_GCLOUD >&2; exit 1",
        "echo $SECRET_OF_GCLOUD x",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("gcloud");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = child::command("sources::of_gcloud");
        command.env_clear().env(SECRET, &secret).env("PATH", folder.path()).env("HOME", folder.path());
        // Nothing answers there.
        command.env("GCE_METADATA_HOST", "127.0.0.1:9");
        if let Some(value) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", value);
        }
        if child::run(scene, "gcloud", command).contains("the token is the secret") {
            scene.secrets.used("token of gcloud");
        }
    }
}

#[cfg(unix)]
#[test]
#[ignore = "another test runs it as a child process"]
fn of_gcloud() {
    if let Some(token) = child::show("gcloud", &Credentials::application_default().unwrap()) {
        assert_eq!(token.secret(), std::env::var(SECRET).unwrap());
        println!("the token is the secret");
    }
}
