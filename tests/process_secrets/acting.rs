//! Acting as a service account of the emulator: every verb, the layer, the interceptor, verification.

use std::time::Duration;

use gcp_iam_credentials::diagnosis::Operation;
use gcp_iam_credentials::emulator::{Emulator, Fault, Policy};
use gcp_iam_credentials::signed_url::SignedUrlRequest;
use gcp_iam_credentials::verify::PublicKeys;
use gcp_iam_credentials::{
    Code, Credentials, IamCredentialsClient, ImpersonationPool, RetryPolicy, Token, scopes,
};
use http::Request;
use tower::{Layer, ServiceExt};

use crate::Scene;
use crate::support::accounts::{FIRST, SECOND, TARGET};
use crate::support::services::echo;

const PLACE: &str = "acting";
const PAYLOAD: &str = "payload of a signer";

pub(crate) async fn run(scene: &Scene) {
    let source_token = scene.secrets.token("token of the caller");
    let payload = scene.secrets.token(PAYLOAD);
    let plain = crate::support::emulator::start().await;
    verbs(scene, &client(&plain, &source_token), &plain, &payload).await;
    let tls = Emulator::builder().tls().start().await.unwrap();
    verbs(scene, &client(&tls, &source_token), &tls, &payload).await;
    refused(scene, &source_token).await;
    scene.secrets.used("token of the caller");
    scene.secrets.used(PAYLOAD);
}

fn client(emulator: &Emulator, token: &str) -> IamCredentialsClient {
    let builder = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new(token, None).unwrap()))
        .endpoint(emulator.endpoint())
        .timeout(Duration::from_secs(20));
    let builder = if is_tls(emulator) { builder.root_certificates(emulator.ca_pem()) } else { builder };
    builder.build().unwrap()
}

fn is_tls(emulator: &Emulator) -> bool {
    emulator.endpoint().starts_with("https:")
}

async fn verbs(scene: &Scene, client: &IamCredentialsClient, emulator: &Emulator, payload: &str) {
    let acting = client.impersonate(TARGET).delegates([FIRST, SECOND]);
    let pool = ImpersonationPool::builder(client.clone()).build();
    let pooled = pool.impersonate(TARGET).delegates([FIRST]);
    let mut all = vec![
        acting.access_token([scopes::CLOUD_PLATFORM]).unwrap(),
        acting.clone().include_email(true).id_token("https://service.test").unwrap(),
        acting.self_signed_jwt("https://pubsub.googleapis.com/").unwrap(),
        pooled.access_token([scopes::PUBSUB]).unwrap(),
        pooled.id_token("https://service.test").unwrap(),
        pooled.self_signed_jwt("https://pubsub.googleapis.com/").unwrap(),
    ];
    if !is_tls(emulator) {
        all.push(acting.clone().subject("user@corp.example").access_token([scopes::PUBSUB]).unwrap());
    }
    for credentials in &all {
        let warm = credentials.keep_warm();
        scene.shown.debug(PLACE, &warm);
        let token = scene.shown.outcome(PLACE, credentials.token().await).expect("a token");
        scene.secrets.made("token of the target", token.secret());
        requests(scene, credentials, &token).await;
        scene.shown.credentials(PLACE, credentials);
    }
    scene.shown.debug(PLACE, &(&acting, &pool, pool.stats(), &pooled));
    for signer in [acting.signer().unwrap(), pooled.signer().unwrap()] {
        sign(scene, &signer, emulator, payload).await;
    }
    for operation in [Operation::AccessToken, Operation::IdToken, Operation::SignBlob, Operation::SignJwt] {
        let report = acting.diagnose(operation).await.unwrap();
        scene.shown.display(PLACE, &report);
    }
}

/// Sends requests through the layer and the interceptor, and lets the API reject one.
async fn requests(scene: &Scene, credentials: &Credentials, token: &Token) {
    let request = || Request::get("https://api.test/x").body(()).unwrap();
    let service = credentials.layer().layer(());
    scene.shown.debug(PLACE, &service);
    let service = credentials.layer().layer(echo());
    let reply = service.oneshot(request()).await.unwrap();
    assert_eq!(reply.body()["authorization"], token.header_value());
    scene.shown.debug(PLACE, &reply.body()["authorization"]);
    let interceptor = credentials.interceptor().await.unwrap();
    scene.shown.debug(PLACE, &interceptor);
    let plaintext = Request::get("http://api.test/x").body(()).unwrap();
    let error = credentials.layer().layer(echo()).oneshot(plaintext).await.unwrap_err();
    scene.shown.debug(PLACE, &error);
    scene.shown.error(PLACE, &tonic::Status::from(error));
    credentials.invalidate(token);
    let renewed = scene.shown.outcome(PLACE, credentials.refresh().await).expect("a token");
    scene.secrets.made("second token of the target", renewed.secret());
    let mut headers = http::HeaderMap::new();
    credentials.apply(&mut headers).await.unwrap();
    scene.shown.debug(PLACE, &headers);
}

/// Signs, and verifies what was signed, and what was changed.
async fn sign(scene: &Scene, signer: &gcp_iam_credentials::Signer, emulator: &Emulator, payload: &str) {
    scene.shown.debug(PLACE, signer);
    let blob = scene.shown.outcome(PLACE, signer.sign_blob(payload).await).expect("a signature");
    assert!(emulator.verify_blob(TARGET, payload.as_bytes(), blob.signature()));
    scene.secrets.made("signature of the emulator", blob.signature());
    sign_url(scene, signer).await;
    let claims = serde_json::json!({ "sub": payload });
    let jwt = scene.shown.outcome(PLACE, signer.sign_jwt(&claims).await).expect("a signed JWT");
    scene.secrets.made("JWT that the emulator signed", jwt.as_str());
    let keys = PublicKeys::from_jwks(&emulator.keys().jwks(TARGET)).unwrap();
    let others = PublicKeys::from_jwks(&emulator.keys().google_jwks());
    scene.shown.debug(PLACE, &keys);
    scene.shown.outcome(PLACE, keys.verify_blob(&blob, payload.as_bytes()));
    scene.shown.outcome(PLACE, keys.verify_blob(&blob, b"something else"));
    scene.shown.outcome(PLACE, keys.verify_jwt::<Vec<u8>>(jwt.as_str()));
    if let Some(others) = scene.shown.outcome(PLACE, others) {
        scene.shown.outcome(PLACE, others.verify_jwt::<serde_json::Value>(jwt.as_str()).map(drop));
    }
    scene.shown.outcome(PLACE, PublicKeys::from_jwks(payload));
}

/// Signs a URL that has secrets in its headers and parameters. The invalid ones aren't sent.
async fn sign_url(scene: &Scene, signer: &gcp_iam_credentials::Signer) {
    let key = scene.secrets.token("encryption key in a signed header");
    let parameter = scene.secrets.token("parameter of a signed URL");
    let request = SignedUrlRequest::get("bucket", "object");
    let valid = request.clone().header("x-goog-encryption-key", &key).query("upload_id", &parameter);
    let call = signer.signed_url(valid.clone());
    scene.shown.debug(PLACE, &(&valid, &call));
    let url = scene.shown.outcome(PLACE, call.await).expect("a signed URL");
    scene.shown.debug(PLACE, url.headers());
    scene.secrets.saw(url.canonical_request());
    scene.secrets.made("signature of a URL", url.signature().signature());
    scene.secrets.made("signature in a URL", url.as_str().rsplit_once('=').unwrap().1);
    for invalid in [
        request.clone().header("x-goog-encryption-key", format!("{key}\n")),
        request.clone().header("host", &key),
        request.clone().query("X-Goog-Signature", &parameter),
        request.query("upload_id", &parameter).query("upload_id", &parameter),
    ] {
        scene.shown.debug(PLACE, &invalid);
        assert!(scene.shown.outcome(PLACE, signer.signed_url(invalid).await).is_none());
    }
}

/// A policy refuses, and faults break replies.
async fn refused(scene: &Scene, source_token: &str) {
    let policy = Policy::new()
        .token(source_token, "user:caller@example.com")
        .grant("user:caller@example.com", "roles/iam.serviceAccountTokenCreator", FIRST)
        .grant("user:other@example.com", "roles/iam.serviceAccountTokenCreator", TARGET);
    scene.shown.debug(PLACE, &policy);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let client = client(&emulator, source_token);
    let acting = client.impersonate(TARGET).delegates([FIRST]);
    scene.shown.display(PLACE, &acting.diagnose(Operation::AccessToken).await.unwrap());
    let credentials = acting.access_token([scopes::IAM]).unwrap();
    scene.shown.outcome(PLACE, credentials.token().await);
    let interceptor = credentials.interceptor().await;
    scene.shown.outcome(PLACE, interceptor.map(drop));
    let request = Request::get("https://api.test/x").body(()).unwrap();
    let error = credentials.layer().layer(echo()).oneshot(request).await.unwrap_err();
    scene.shown.debug(PLACE, &error);
    scene.shown.error(PLACE, &tonic::Status::from(error));

    for fault in [
        Fault::status(Code::Internal).into(),
        Fault::bad_details(),
        Fault::truncate(),
        Fault::reset(),
        Fault::html(http::StatusCode::BAD_GATEWAY),
    ] {
        emulator.faults().inject(fault);
        let call = client.generate_access_token(FIRST, [scopes::IAM]).retry(RetryPolicy::none());
        scene.shown.outcome(PLACE, call.await);
        emulator.faults().clear_all();
    }
    scene.shown.debug(PLACE, &emulator);
    scene.shown.debug(PLACE, &emulator.journal().entries());
}
