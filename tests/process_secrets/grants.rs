//! Sign-ins with a workforce pool, and downscoped tokens.

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
use serde_json::json;

use crate::Scene;
use crate::federation::{record, use_credentials};
use crate::support::token_server::{Answer, TokenServer};

const PLACE: &str = "grants";

pub(crate) async fn run(scene: &Scene) {
    sign_in(scene).await;
    downscoped(scene).await;
}

/// Refresh tokens that are replaced, and replies that repeat secrets.
async fn sign_in(scene: &Scene) {
    let [first, next, client] = ["refresh token of a sign-in", "next refresh token", "secret of a sign-in"]
        .map(|name| scene.secrets.token(name));
    let granted = json!({"access_token": "t", "expires_in": 3600, "refresh_token": next});
    let repeated = json!({"error": "invalid_grant", "error_description": format!("bad: {next}")});
    let server = TokenServer::start([
        Answer::body(200, &granted.to_string()),
        Answer::body(400, &repeated.to_string()),
        Answer::body(401, &json!({"error": client, "error_description": client}).to_string()),
        Answer::body(200, &json!({"access_token": "t", "refresh_token": [next]}).to_string()),
    ])
    .await;
    let file = json!({
        "type": "external_account_authorized_user",
        "refresh_token": first,
        "token_url": server.url(),
        "client_id": "client-id",
        "client_secret": client,
        "token": first,
    });
    let credentials = scene.shown.outcome(PLACE, Credentials::from_json(&file.to_string())).unwrap();
    for _ in 0..4 {
        use_credentials(scene, &credentials).await;
        scene.shown.outcome(PLACE, credentials.refresh().await);
    }
    record(scene, &server);
    for field in ["refresh_token", "token_url", "client_id", "client_secret", "expiry", "token"] {
        for value in
            [json!(null), json!([first]), json!({ &first: first }), json!(format!("{first} {first}"))]
        {
            let mut file = file.clone();
            file[field] = value;
            scene.shown.outcome(PLACE, Credentials::from_json(&file.to_string()));
        }
    }
}

async fn downscoped(scene: &Scene) {
    let secret = scene.secrets.token("source token of a downscoped one");
    let repeated = json!({"error": "invalid_grant", "error_description": format!("bad: {secret}")});
    let server = TokenServer::start([
        Answer::Token(3600),
        Answer::body(400, &repeated.to_string()),
        Answer::body(502, &format!("<html>{secret}")),
    ])
    .await;
    let source = Credentials::fixed(gcp_iam_credentials::Token::new(&secret, None).unwrap());
    let rule = AccessRule::bucket("files").role("roles/storage.objectViewer").folder("x");
    let boundary = AccessBoundary::new().rule(rule);
    scene.shown.debug(PLACE, &boundary);
    let builder = Credentials::builder().token_url(server.url());
    let narrow = scene.shown.outcome(PLACE, builder.downscope(&source, boundary.clone())).unwrap();
    for _ in 0..3 {
        use_credentials(scene, &narrow).await;
        scene.shown.outcome(PLACE, narrow.refresh().await);
    }
    scene.shown.outcome(PLACE, narrow.downscope(boundary));
    record(scene, &server);
}
