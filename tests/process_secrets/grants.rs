//! Sign-ins with a workforce pool, downscoped tokens, and regional access boundaries.

use gcp_iam_credentials::downscope::{AccessBoundary, AccessRule};
use gcp_iam_credentials::source::{BoxFuture, FetchRequest, Hop, SourceInfo};
use gcp_iam_credentials::{Credentials, Error, Token, TokenSource};
use serde_json::json;

use crate::Scene;
use crate::federation::{record, use_credentials};
use crate::support::token_server::{Answer, TokenServer};

const PLACE: &str = "grants";

pub(crate) async fn run(scene: &Scene) {
    sign_in(scene).await;
    downscoped(scene).await;
    bounded(scene).await;
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

/// A server that repeats the token instead of saying where it may be used.
async fn bounded(scene: &Scene) {
    struct Account(String, Token);
    impl TokenSource for Account {
        fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
            Box::pin(async { Ok(self.1.clone()) })
        }
        fn info(&self) -> SourceInfo {
            SourceInfo::new().with_hop(Hop::new("a@p.example").with_endpoint(self.0.replace("/token", "")))
        }
    }

    let secret = scene.secrets.token("token of a bounded account");
    for answer in [
        Answer::body(403, &secret),
        Answer::body(200, &json!({"encodedLocations": format!("0x{secret}")}).to_string()),
        Answer::body(200, &secret),
        Answer::Http(302, vec![("location", format!("http://127.0.0.1:1/{secret}"))], String::new()),
    ] {
        let server = TokenServer::start([answer]).await;
        let source = Credentials::from_source(Account(server.url(), Token::new(&secret, None).unwrap()));
        let bounded = scene.shown.outcome(PLACE, source.with_regional_access_boundary()).unwrap();
        use_credentials(scene, &bounded).await;
        for _ in 0..1000 {
            if bounded.info().regional_access_boundary().is_some_and(|state| state.contains("failed")) {
                break;
            }
            bounded.apply(&mut http::HeaderMap::new()).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let state = bounded.info();
        assert!(state.regional_access_boundary().is_some_and(|state| state.contains("failed")), "{state:?}");
        scene.shown.debug(PLACE, &state);
        scene.shown.debug(PLACE, &bounded.explain().to_string());
        scene.shown.outcome(PLACE, bounded.with_regional_access_boundary());
        record(scene, &server);
    }
}
