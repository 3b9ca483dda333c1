//! The four calls, with every way in which they end.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::proto::*;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, RetryPolicy, Token};
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::Scene;
use crate::support::accounts::{FIRST, TARGET};
use crate::support::scripted_service::{Answer, Script, id_token};

const SCOPE: &str = "openid";
const SILENCE: &str = "silence";
const STALLED_BODY: &str = "stalled body";

/// The secrets of one round of calls.
struct Secrets {
    source_token: String,
    payload: String,
    metadata: String,
}

pub(crate) async fn run(scene: &Scene) {
    let secrets = Secrets {
        source_token: scene.secrets.token("source token"),
        payload: scene.secrets.token("payload"),
        metadata: scene.secrets.token("caller's metadata"),
    };
    messages(scene, &secrets);
    for (place, script) in scripts(scene, &secrets) {
        let server = script.serve().await;
        let token = Token::new(&secrets.source_token, None).unwrap();
        // Only where no reply comes: on a busy machine, one that comes must be waited for.
        let attempt_timeout = match place {
            SILENCE | STALLED_BODY => Duration::from_millis(100),
            _ => Duration::from_secs(60),
        };
        let builder = IamCredentialsClient::builder()
            .credentials(Credentials::fixed(token))
            .endpoint(server.endpoint())
            .attempt_timeout(attempt_timeout)
            .retry(RetryPolicy::new().max_attempts(2));
        scene.shown.debug(place, &builder);
        make_all(scene, place, &builder.build().unwrap(), &secrets).await;
        assert!(script.calls() >= 4, "{place}: {}", script.calls());
        for received in script.received() {
            scene.secrets.saw(format!("{:?}", received.header("authorization")));
            scene.secrets.saw(format!("{:?}", received.header("x-custom")));
            scene.secrets.saw(&received.message);
        }
    }
}

/// Makes all calls, and shows the client, the calls and what they return.
async fn make_all(scene: &Scene, place: &str, client: &IamCredentialsClient, secrets: &Secrets) {
    let Secrets { payload, metadata, .. } = secrets;
    let claims = serde_json::json!({ "sub": payload });
    let acting = client.impersonate(TARGET).delegates([FIRST]);
    scene.shown.debug(place, &(client, &acting));
    let calls = (
        client.generate_access_token(TARGET, [SCOPE]).metadata("x-custom", metadata),
        client.generate_id_token(TARGET, "aud").metadata("x-custom", metadata),
        client.sign_blob(TARGET, payload.as_str()).metadata("x-custom", metadata),
        client.sign_jwt(TARGET, &claims).metadata("x-custom", metadata),
    );
    scene.shown.debug(place, &calls);
    if let Some(token) = scene.shown.outcome(place, calls.0.await) {
        scene.secrets.saw(token.secret());
    }
    if let Some(token) = scene.shown.outcome(place, calls.1.await) {
        scene.secrets.saw(token.secret());
    }
    if let Some(blob) = scene.shown.outcome(place, calls.2.await) {
        scene.secrets.saw(blob.signature());
    }
    if let Some(jwt) = scene.shown.outcome(place, calls.3.await) {
        scene.secrets.saw(jwt.as_str());
    }
    // Calls that aren't sent.
    let wrong = serde_json::json!([payload]);
    scene.shown.outcome(place, client.sign_jwt(TARGET, &wrong).await);
    scene.shown.outcome(place, client.sign_jwt(TARGET, &payload).await);
    scene.shown.outcome(place, client.sign_blob(TARGET, "x").metadata("authorization", metadata).await);
    scene
        .shown
        .outcome(place, client.sign_blob(TARGET, "x").metadata("x-custom", format!("{metadata}\n")).await);
}

/// Returns a service for each way in which calls end.
fn scripts(scene: &Scene, secrets: &Secrets) -> Vec<(&'static str, Script)> {
    let html = vec![("content-type", "text/html")];
    let malformed_details =
        vec![("content-type", "application/grpc"), ("grpc-status-details-bin", "!"), ("grpc-status", "7")];
    let debug = ErrorDetails::with_debug_info(["frame".to_owned()], "detail");
    let echo = format!("the token {} is unknown", secrets.source_token);
    let echoed = ErrorDetails::with_debug_info([secrets.source_token.clone()], secrets.source_token.clone());
    vec![
        ("success", Script::new(replies(scene)).then(Answer::Hang)),
        ("refusal", Script::always(Answer::status(Code::PermissionDenied, "no"))),
        ("refusal with details", Script::always(Answer::details(Code::Internal, "no", debug))),
        ("rejection", Script::always(Answer::status(Code::Unauthenticated, "who?"))),
        (
            "refusal that repeats the token",
            Script::always(Answer::details(Code::Unauthenticated, &echo, echoed)),
        ),
        (SILENCE, Script::always(Answer::Hang)),
        (STALLED_BODY, Script::always(Answer::Stall)),
        ("proxy", Script::always(Answer::Http(502, html, "<html></html>"))),
        ("malformed details", Script::always(Answer::Http(200, malformed_details, ""))),
        ("reset", Script::always(Answer::Break)),
        ("malformed replies", Script::new(malformed_replies(scene)).then(Answer::Hang)),
    ]
}

fn replies(scene: &Scene) -> [Answer; 4] {
    let expire_time = Some((SystemTime::now() + Duration::from_secs(3600)).into());
    let jti = scene.secrets.token("claim of an ID token");
    let token = id_token(&serde_json::json!({"exp": 4_000_000_000_u64, "jti": jti}));
    scene.secrets.add("ID token", &token, false);
    // The claims are in the token, in base64.
    scene.secrets.used("claim of an ID token");
    let access_token = scene.secrets.token("access token");
    let signature = scene.secrets.token("signature");
    let signed_jwt = scene.secrets.token("signed JWT");
    [
        Answer::reply(&GenerateAccessTokenResponse { access_token, expire_time }),
        Answer::reply(&GenerateIdTokenResponse { token }),
        Answer::reply(&SignBlobResponse { key_id: "k".to_owned(), signed_blob: signature.into() }),
        Answer::reply(&SignJwtResponse { key_id: "k".to_owned(), signed_jwt }),
    ]
}

/// Replies in which something is missing or wrong.
fn malformed_replies(scene: &Scene) -> [Answer; 4] {
    let secret = scene.secrets.token("token in a malformed reply");
    scene.secrets.used("token in a malformed reply");
    [
        Answer::reply(&GenerateAccessTokenResponse { access_token: secret.clone(), expire_time: None }),
        Answer::reply(&GenerateIdTokenResponse { token: secret.clone() }),
        Answer::reply(&SignBlobResponse { key_id: String::new(), signed_blob: secret.clone().into() }),
        Answer::reply(&SignJwtResponse { key_id: String::new(), signed_jwt: format!("{secret}\n") }),
    ]
}

/// The generated messages.
fn messages(scene: &Scene, secrets: &Secrets) {
    let Secrets { source_token, payload, .. } = secrets;
    scene.shown.debug(
        "messages",
        &(
            GenerateAccessTokenResponse { access_token: source_token.clone(), expire_time: None },
            GenerateIdTokenResponse { token: source_token.clone() },
            SignBlobRequest { payload: payload.as_bytes().to_vec(), ..Default::default() },
            SignBlobResponse { signed_blob: payload.as_bytes().to_vec(), ..Default::default() },
            SignJwtRequest { payload: payload.clone(), ..Default::default() },
            SignJwtResponse { signed_jwt: source_token.clone(), ..Default::default() },
        ),
    );
}
