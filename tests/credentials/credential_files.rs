//! Credential files end to end, against the emulator.

use gcp_iam_credentials::emulator::{Emulator, Fault, Method, Policy, Role};
use gcp_iam_credentials::{Credentials, IamCredentialsClient, scopes};
use serde_json::{Value, json};
use tonic::Code;
use tower::{Layer, Service};

use crate::support::accounts::{FIRST, KEY, SECOND, TARGET, USER, member};
use crate::support::emulator::start;
use crate::support::services::echo;

fn path_of(account: &str) -> String {
    gcp_iam_credentials::service_account_path("-", account)
}

/// Returns a JSON object with these fields changed.
fn with(json: &str, changes: Value) -> String {
    let mut object: Value = serde_json::from_str(json).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        object[field] = value.clone();
    }
    object.to_string()
}

/// conf: P50, G60
#[tokio::test]
async fn a_key_file_yields_a_new_token_for_each_fetch() {
    let emulator = start().await;
    let key = emulator.service_account_key_json(KEY);
    let credentials = Credentials::from_service_account_json(&key).unwrap();
    let first = credentials.token().await.unwrap();
    let verified = emulator.verify_access_token(first.secret()).unwrap();
    assert_eq!(
        (verified.principal(), verified.scopes()),
        (&*member(KEY), &[scopes::CLOUD_PLATFORM.to_owned()][..])
    );

    emulator.clock().advance(std::time::Duration::from_secs(3600));
    assert_eq!(emulator.verify_access_token(first.secret()), None);
    // By the emulator's clock, an assertion that this machine makes now is too old.
    let error = credentials.refresh().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("invalid_grant: Invalid JWT"), "{error}");
    emulator.reset();
    let second = credentials.refresh().await.unwrap();
    assert_ne!(first.secret(), second.secret());
    assert!(emulator.verify_access_token(second.secret()).is_some());
    assert_eq!(credentials.info().principal(), Some(KEY));

    let scoped = Credentials::builder().scopes([scopes::PUBSUB, scopes::IAM]).json(&key).unwrap();
    let verified = emulator.verify_access_token(scoped.token().await.unwrap().secret()).unwrap();
    assert_eq!(verified.scopes(), [scopes::PUBSUB, scopes::IAM]);
}

/// conf: P6
#[tokio::test]
async fn a_key_of_another_universe_signs_its_own_tokens() {
    let emulator = start().await;
    let key = with(&emulator.service_account_key_json(KEY), json!({"universe_domain": "universe.example"}));
    assert_eq!(Credentials::from_json(&key).unwrap_err().field(), Some("universe_domain"));
    let credentials = Credentials::builder()
        .universe_domain("universe.example")
        .scopes(["email", "openid"])
        .json(&key)
        .unwrap();
    let token = credentials.token().await.unwrap();
    let claims = emulator.verify_jwt::<Value>(KEY, token.secret()).expect("the account's signature");
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["scope"]),
        (&json!(KEY), &json!(KEY), &json!("email openid"))
    );
    let exp = claims["exp"].as_u64().unwrap();
    assert_eq!(exp - claims["iat"].as_u64().unwrap(), 3600);
    let expires_at = token.expires_at().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(expires_at.as_secs(), exp);
    assert!(emulator.journal().entries().is_empty(), "a request was sent");
}

/// conf: P7, P50, G67
#[tokio::test]
async fn a_user_file_yields_tokens_until_the_login_is_revoked() {
    let policy = Policy::new().user(USER, "good-refresh-token");
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let file = |token: &str| with(&emulator.authorized_user_json(USER), json!({"refresh_token": token}));
    let credentials = Credentials::from_json(&file("good-refresh-token")).unwrap();
    let verified = emulator.verify_access_token(credentials.token().await.unwrap().secret()).unwrap();
    assert_eq!(verified.principal(), format!("user:{USER}"));

    let ended = Credentials::from_json(&file("ended-refresh-token")).unwrap();
    let error = ended.token().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("expired or revoked"), "{error}");
    assert!(!format!("{error} {error:?}").contains("ended-refresh"), "{error:?}");
}

/// Returns an emulator and a credential file that impersonates [`TARGET`] from [`KEY`], through
/// [`FIRST`] and [`SECOND`], with every option set.
async fn impersonation_file() -> (Emulator, String) {
    let policy = Policy::new()
        .grant(member(KEY), Role::TOKEN_CREATOR, FIRST)
        .grant(member(FIRST), Role::TOKEN_CREATOR, SECOND)
        .grant(member(SECOND), Role::TOKEN_CREATOR, TARGET)
        .account(KEY);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let key = emulator.service_account_key_json(KEY);
    let file = emulator.impersonated_service_account_json(&key, TARGET, [FIRST, SECOND]).unwrap();
    let file = with(
        &file,
        json!({
            "scopes": [scopes::PUBSUB],
            "quota_project_id": "billing",
            "service_account_impersonation": {"token_lifetime_seconds": 1200},
        }),
    );
    (emulator, file)
}

/// conf: P29, P54, P56, G61, G64, P17, P14, M29
#[tokio::test]
async fn an_impersonation_file_calls_the_target_through_its_delegates() {
    let (emulator, file) = impersonation_file().await;
    let acting = Credentials::from_json(&file).unwrap();
    let token = acting.token().await.unwrap();
    let verified = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!(
        (verified.principal(), verified.scopes()),
        (&*member(TARGET), &[scopes::PUBSUB.to_owned()][..])
    );
    acting.refresh().await.unwrap();

    let calls = emulator.journal().of_method(Method::GenerateAccessToken);
    assert_eq!(calls.len(), 2);
    let call = &calls[0];
    assert_eq!((call.name(), call.principal()), (&*path_of(TARGET), Some(&*member(KEY))));
    assert_eq!(call.delegates(), [path_of(FIRST), path_of(SECOND)]);
    assert_eq!(call.fields().lifetime(), Some(std::time::Duration::from_secs(1200)));
    // The quota project of the file applies to the use of its tokens, not to the calls that fetch them.
    assert_eq!(call.header("x-goog-user-project"), None);
    let sources = emulator.journal().of_method(Method::Token);
    assert_eq!(sources.len(), 1, "the source's token is cached");
    assert_eq!(sources[0].fields().scopes(), [scopes::CLOUD_PLATFORM]);
}

/// conf: P29, P54
#[tokio::test]
async fn an_impersonation_file_explains_its_chain() {
    let (emulator, file) = impersonation_file().await;
    let explained = Credentials::from_json(&file).unwrap().explain();
    assert_eq!(
        (explained.info().source_principal(), explained.info().principal()),
        (Some(KEY), Some(TARGET))
    );
    assert_eq!(explained.info().hops()[0].delegates(), [FIRST, SECOND]);
    assert_eq!(
        (explained.info().endpoint(), explained.info().quota_project()),
        (Some(emulator.endpoint()), Some("billing"))
    );
}

/// conf: P57, M27
#[tokio::test]
async fn impersonation_files_nest_three_deep() {
    let policy = Policy::new()
        .user(USER, "refresh")
        .grant(format!("user:{USER}"), Role::TOKEN_CREATOR, FIRST)
        .grant(member(FIRST), Role::TOKEN_CREATOR, SECOND)
        .grant(member(SECOND), Role::TOKEN_CREATOR, TARGET);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let mut file = with(&emulator.authorized_user_json(USER), json!({"refresh_token": "refresh"}));
    for target in [FIRST, SECOND, TARGET] {
        file = emulator.impersonated_service_account_json(&file, target, [""; 0]).unwrap();
    }
    let acting = Credentials::from_json(&file).unwrap();
    let verified = emulator.verify_access_token(acting.token().await.unwrap().secret()).unwrap();
    assert_eq!(verified.principal(), member(TARGET));
    let calls = emulator.journal().of_method(Method::GenerateAccessToken);
    let callers: Vec<&str> = calls.iter().filter_map(|call| call.principal()).collect();
    assert_eq!(callers, [format!("user:{USER}"), member(FIRST), member(SECOND)]);
    let explained = acting.explain();
    let targets: Vec<&str> = explained.info().hops().iter().map(|hop| hop.target()).collect();
    assert_eq!(targets, [FIRST, SECOND, TARGET]);
}

/// conf: G63, P31, P32
#[tokio::test]
async fn the_quota_project_of_a_file_is_sent_to_the_target_api() {
    let emulator = start().await;
    let user = with(&emulator.authorized_user_json(USER), json!({"quota_project_id": "of-the-source"}));
    let bare = emulator.impersonated_service_account_json(&user, TARGET, [""; 0]).unwrap();
    let billed = with(&bare, json!({"quota_project_id": "of-the-file"}));
    for (file, program, expected) in [
        (&bare, None, None),
        (&billed, None, Some("of-the-file")),
        (&billed, Some("of-the-program"), Some("of-the-program")),
    ] {
        emulator.journal().clear();
        let mut builder = Credentials::builder();
        if let Some(project) = program {
            builder = builder.quota_project(project);
        }
        let acting = builder.json(file).unwrap();
        let mut service = acting.layer().layer(echo());
        let request = http::Request::get("https://pubsub.googleapis.com/").body(()).unwrap();
        std::future::poll_fn(|cx| Service::poll_ready(&mut service, cx)).await.unwrap();
        let headers = service.call(request).await.unwrap().into_body();
        let project = headers.get("x-goog-user-project").map(|project| project.to_str().unwrap());
        assert_eq!(project, expected);
        let call = emulator.journal().of_method(Method::GenerateAccessToken).remove(0);
        assert_eq!(call.header("x-goog-user-project"), Some("of-the-source"));
    }
}

/// conf: P25, G66, R14
#[tokio::test]
async fn a_source_failure_is_reported_as_transient_or_permanent() {
    let emulator = start().await;
    let user = emulator.authorized_user_json(USER);
    let file = emulator.impersonated_service_account_json(&user, TARGET, [""; 0]).unwrap();
    for (fault, transient, part) in [
        (
            Fault::status(Code::PermissionDenied).message("not allowed").into(),
            false,
            "access_denied: not allowed",
        ),
        (Fault::html(http::StatusCode::BAD_GATEWAY), true, "a page of HTML"),
        (Fault::status(Code::Unavailable).message("later").into(), true, "later"),
        (Fault::reset(), true, "lost the connection"),
    ] {
        emulator.faults().clear_all();
        emulator.journal().clear();
        emulator.faults().inject(fault.method(Method::Token));
        let acting = Credentials::from_json(&file).unwrap();
        let error = acting.token().await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error}");
        let text = format!("{error:#}");
        assert!(text.contains("no source token") && text.contains(part), "{text}");
        // Only the innermost call retries.
        assert_eq!(
            emulator.journal().of_method(Method::Token).len(),
            if transient { 3 } else { 1 },
            "{error}"
        );
        assert!(emulator.journal().of_method(Method::GenerateAccessToken).is_empty());
    }
    emulator.faults().clear_all();
    let acting = Credentials::from_json(&file).unwrap();
    assert!(acting.token().await.is_ok());
}

#[tokio::test]
async fn a_client_accepts_credentials_from_any_type_of_file() {
    let emulator = start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user.json");
    std::fs::write(&path, emulator.authorized_user_json(USER)).unwrap();
    let credentials = Credentials::from_file(&path).unwrap();
    let client = IamCredentialsClient::builder()
        .credentials(credentials)
        .endpoint(emulator.endpoint())
        .build()
        .unwrap();
    let token = client.generate_access_token(TARGET, [scopes::PUBSUB]).await.unwrap();
    let verified = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!(verified.principal(), member(TARGET));
    assert!(IamCredentialsClient::from_service_account_file(&path).is_err());
}

#[cfg(feature = "gcp-auth")]
#[tokio::test]
async fn a_gcp_auth_provider_can_be_a_source() {
    let emulator = start().await;
    let key = emulator.service_account_key_json(KEY);
    let provider = std::sync::Arc::new(gcp_auth::CustomServiceAccount::from_json(&key).unwrap());
    let credentials = Credentials::from_gcp_auth(provider, [scopes::IAM]);
    let token = credentials.token().await.unwrap();
    let verified = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!((verified.principal(), verified.scopes()), (&*member(KEY), &[scopes::IAM.to_owned()][..]));
    // gcp_auth has its own cache. Getting the same token again doesn't cause another fetch.
    assert_eq!(credentials.refresh().await.unwrap().secret(), token.secret());
    assert_eq!(emulator.journal().of_method(Method::Token).len(), 1);
    assert!(credentials.explain().to_string().contains("gcp_auth provider"), "{}", credentials.explain());
}

#[tokio::test]
async fn every_kind_of_impersonation_explains_its_chain() {
    let emulator = start().await;
    let source = Credentials::from_json(&emulator.authorized_user_json(USER)).unwrap();
    let client =
        IamCredentialsClient::builder().credentials(source).endpoint(emulator.endpoint()).build().unwrap();
    let through = client.impersonate(TARGET).delegates([FIRST]);
    let access = through.access_token([scopes::PUBSUB]).unwrap().info();
    assert_eq!((access.source_principal(), access.principal()), (Some(USER), Some(TARGET)));
    assert_eq!(
        (access.scopes(), access.hops()[0].delegates()),
        (&[scopes::PUBSUB.to_owned()][..], &[FIRST.to_owned()][..])
    );
    assert_eq!(access.reason(), Some("the program contains its content"));

    let id = through.id_token("https://service.run.app").unwrap().info();
    assert_eq!((id.hops()[0].audience(), id.scopes()), (Some("https://service.run.app"), &[][..]));
    let jwt = through.self_signed_jwt("https://pubsub.googleapis.com/").unwrap().explain();
    assert!(jwt.to_string().contains("audience: https://pubsub.googleapis.com/"), "{jwt}");

    let boss = client.impersonate(TARGET).subject("boss@example.com").access_token([scopes::PUBSUB]).unwrap();
    let explained = boss.explain();
    assert_eq!(
        (explained.info().principal(), explained.info().hops()[0].target()),
        (Some("boss@example.com"), TARGET)
    );
    assert!(explained.to_string().contains("subject: boss@example.com"), "{explained}");
    assert!(emulator.journal().entries().is_empty(), "a request was sent");
}

/// conf: M26, G9
#[tokio::test]
async fn a_token_endpoint_with_an_untrusted_certificate_gets_no_secret() {
    let emulator = Emulator::builder().tls().start().await.unwrap();
    let credentials = Credentials::from_json(&emulator.authorized_user_json(USER)).unwrap();
    let error = credentials.token().await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(
        error.to_string().contains("can't connect to 127.0.0.1") && error.to_string().contains("certificate"),
        "{error}"
    );
    assert!(emulator.journal().entries().is_empty());
    assert_eq!(emulator.connections(), 1, "a retry opened a connection");
}
