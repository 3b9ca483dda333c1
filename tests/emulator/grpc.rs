//! The four methods over gRPC, called through the generated stub.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::proto::{
    GenerateAccessTokenRequest, GenerateIdTokenRequest, SignBlobRequest, SignJwtRequest,
};
use gcp_iam_credentials::{scopes, service_account_path};
use serde_json::{Map, Value};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::support::accounts::member;
use crate::support::emulator::{EMAIL, access_token, get_token, now, start, stub, with_bearer};

#[tokio::test]
async fn an_access_token_has_its_principal_scopes_and_lifetime() {
    let emulator = start().await;
    let request = GenerateAccessTokenRequest {
        lifetime: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        ..access_token(EMAIL)
    };
    let reply =
        stub(&emulator).generate_access_token(with_bearer(request, "any")).await.unwrap().into_inner();
    let expires = SystemTime::try_from(reply.expire_time.unwrap()).unwrap();
    let lifetime = expires.duration_since(SystemTime::now()).unwrap();
    assert!(lifetime > Duration::from_secs(590) && lifetime <= Duration::from_secs(600), "{lifetime:?}");

    let token = emulator.verify_access_token(&reply.access_token).unwrap();
    assert_eq!(token.principal(), member(EMAIL));
    assert_eq!(token.scopes(), [scopes::CLOUD_PLATFORM]);
    emulator.clock().advance(Duration::from_secs(601));
    assert_eq!(emulator.verify_access_token(&reply.access_token), None);
}

#[tokio::test]
async fn an_id_token_has_the_documented_claims() {
    let emulator = start().await;
    let mut request = GenerateIdTokenRequest {
        name: service_account_path("-", EMAIL),
        audience: "https://service.example".to_owned(),
        ..GenerateIdTokenRequest::default()
    };
    let reply = stub(&emulator).generate_id_token(with_bearer(request.clone(), "any")).await.unwrap();
    let claims: Map<String, Value> = emulator.verify_id_token(&reply.into_inner().token).unwrap();
    let unique_id = emulator.unique_id(EMAIL);
    assert_eq!(claims["iss"], "https://accounts.google.com");
    assert_eq!(claims["aud"], "https://service.example");
    assert_eq!((&claims["sub"], &claims["azp"]), (&unique_id.clone().into(), &unique_id.into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert!(!claims.contains_key("email"), "{claims:?}");

    request.include_email = true;
    let reply = stub(&emulator).generate_id_token(with_bearer(request, "any")).await.unwrap();
    let claims: Map<String, Value> = emulator.verify_id_token(&reply.into_inner().token).unwrap();
    assert_eq!(claims["email"], EMAIL);
    assert_eq!(claims["email_verified"], true);
}

#[tokio::test]
async fn signatures_verify_with_the_accounts_keys_and_no_others() {
    let emulator = start().await;
    let payload = vec![7; 1024 * 1024];
    let request = SignBlobRequest {
        name: service_account_path("-", EMAIL),
        payload: payload.clone(),
        ..Default::default()
    };
    let signed = stub(&emulator).sign_blob(with_bearer(request, "any")).await.unwrap().into_inner();
    assert!(emulator.verify_blob(EMAIL, &payload, &signed.signed_blob));
    assert!(!emulator.verify_blob(EMAIL, b"other", &signed.signed_blob));

    let request = SignJwtRequest {
        name: service_account_path("-", EMAIL),
        payload: r#"{"sub":"ünique"}"#.to_owned(),
        ..Default::default()
    };
    let jwt = stub(&emulator).sign_jwt(with_bearer(request, "any")).await.unwrap().into_inner();
    assert_eq!(jwt.key_id, signed.key_id);
    assert_eq!(emulator.verify_jwt::<Value>(EMAIL, &jwt.signed_jwt).unwrap()["sub"], "ünique");

    let new_key = emulator.keys().rotate(EMAIL).await.unwrap();
    assert_ne!(new_key, signed.key_id);
    assert!(emulator.verify_blob(EMAIL, &payload, &signed.signed_blob), "an old key is no longer published");
    let other_account = "other@project.iam.gserviceaccount.com";
    emulator.keys().prepare(other_account).await.unwrap();
    assert_eq!(emulator.verify_jwt::<Value>(other_account, &jwt.signed_jwt), None);
}

#[tokio::test]
async fn a_request_without_a_bearer_token_is_refused_with_credentials_missing() {
    let emulator = start().await;
    let status = stub(&emulator).generate_access_token(access_token(EMAIL)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("CREDENTIALS_MISSING", "googleapis.com"));
    assert_eq!(info.metadata["service"], "iamcredentials.googleapis.com");
    assert_eq!(info.metadata["method"], "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken");

    let mut request = Request::new(access_token(EMAIL));
    request.metadata_mut().insert("authorization", "Basic any".parse().unwrap());
    let status = stub(&emulator).generate_access_token(request).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn unusable_tokens_are_refused_with_the_reason() {
    let emulator = start().await;
    let token = get_token(&mut stub(&emulator)).await.unwrap();
    stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), &token)).await.unwrap();
    emulator.clock().advance(Duration::from_secs(3601));
    let status =
        stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), &token)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.get_details_error_info().unwrap().reason, "ACCESS_TOKEN_EXPIRED");

    let narrow = GenerateAccessTokenRequest { scope: vec![scopes::PUBSUB.to_owned()], ..access_token(EMAIL) };
    let reply = stub(&emulator).generate_access_token(with_bearer(narrow, "any")).await.unwrap();
    let narrow = with_bearer(access_token(EMAIL), &reply.into_inner().access_token);
    let status = stub(&emulator).generate_access_token(narrow).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(status.get_details_error_info().unwrap().reason, "ACCESS_TOKEN_SCOPE_INSUFFICIENT");

    let request = GenerateIdTokenRequest {
        name: service_account_path("-", EMAIL),
        audience: "aud".to_owned(),
        ..Default::default()
    };
    let reply = stub(&emulator).generate_id_token(with_bearer(request, "any")).await.unwrap();
    let wrong_kind = with_bearer(access_token(EMAIL), &reply.into_inner().token);
    let status = stub(&emulator).generate_access_token(wrong_kind).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "ACCESS_TOKEN_TYPE_UNSUPPORTED");
}

/// conf: A24
#[tokio::test]
async fn invalid_arguments_are_refused() {
    let emulator = start().await;
    let good = access_token(EMAIL);
    let lifetime = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    for (bad, what) in [
        (GenerateAccessTokenRequest { name: String::new(), ..good.clone() }, "no name"),
        (
            GenerateAccessTokenRequest { name: EMAIL.to_owned(), ..good.clone() },
            "an e-mail address without the path",
        ),
        (
            GenerateAccessTokenRequest { name: service_account_path("project", EMAIL), ..good.clone() },
            "a project in the name",
        ),
        (GenerateAccessTokenRequest { scope: vec![], ..good.clone() }, "no scope"),
        (GenerateAccessTokenRequest { scope: vec![String::new()], ..good.clone() }, "an empty scope"),
        (GenerateAccessTokenRequest { scope: vec!["cloud-platform".to_owned()], ..good.clone() }, "no URL"),
        (GenerateAccessTokenRequest { scope: vec!["openid,email".to_owned()], ..good.clone() }, "a comma"),
        (GenerateAccessTokenRequest { scope: vec!["openid email".to_owned()], ..good.clone() }, "a space"),
        (GenerateAccessTokenRequest { lifetime: lifetime(0, 0), ..good.clone() }, "no lifetime"),
        (GenerateAccessTokenRequest { lifetime: lifetime(-5, 0), ..good.clone() }, "a negative lifetime"),
        (GenerateAccessTokenRequest { lifetime: lifetime(43_201, 0), ..good.clone() }, "more than 12 h"),
        (
            GenerateAccessTokenRequest { lifetime: lifetime(i64::MAX, i32::MAX), ..good.clone() },
            "an overflow",
        ),
        (
            GenerateAccessTokenRequest { delegates: vec!["nonsense".to_owned()], ..good.clone() },
            "a bad delegate",
        ),
    ] {
        let status = stub(&emulator).generate_access_token(with_bearer(bad, "any")).await.expect_err(what);
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
        assert_eq!(status.message(), "Request contains an invalid argument.", "{what}");
    }
    let malformed = GenerateAccessTokenRequest { name: service_account_path("-", "sa"), ..good };
    let status = stub(&emulator).generate_access_token(with_bearer(malformed, "any")).await.unwrap_err();
    assert_eq!(
        status.message(),
        "Invalid form of account ID sa. Should be [Gaia ID |Email |Unique ID |] of the account"
    );
    let request = GenerateIdTokenRequest { name: service_account_path("-", EMAIL), ..Default::default() };
    let status = stub(&emulator).generate_id_token(with_bearer(request, "any")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "no audience");
}

#[tokio::test]
async fn invalid_claims_are_refused() {
    let emulator = start().await;
    let now = now();
    for payload in [
        "".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        "{".to_owned(),
        r#"{"exp":"soon"}"#.to_owned(),
        format!(r#"{{"exp":{now}.5}}"#),
        format!(r#"{{"exp":{}}}"#, now - 60),
        format!(r#"{{"exp":{}}}"#, now + 12 * 3600 + 60),
    ] {
        let request = SignJwtRequest {
            name: service_account_path("-", EMAIL),
            payload: payload.clone(),
            ..Default::default()
        };
        let status = stub(&emulator).sign_jwt(with_bearer(request, "any")).await.expect_err(&payload);
        assert_eq!(status.code(), Code::InvalidArgument, "{payload}");
    }
}

#[tokio::test]
async fn unsupported_requests_are_clear_errors() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let emulator = start().await;
    let mut stub = stub(&emulator);
    let request = SignBlobRequest {
        name: service_account_path("-", EMAIL),
        payload: vec![0; 5 * 1024 * 1024],
        ..Default::default()
    };
    let status = stub.sign_blob(with_bearer(request, "any")).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let channel =
        tonic::transport::Channel::from_shared(emulator.endpoint().to_owned()).unwrap().connect_lazy();
    let status = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    get_token(&mut stub).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_share_a_connection_and_a_key_but_no_token() {
    let emulator = start().await;
    let stub = stub(&emulator);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let mut stub = stub.clone();
        calls.spawn(async move {
            let email = format!("sa-{}@project.iam.gserviceaccount.com", number % 5);
            let token = stub.generate_access_token(with_bearer(access_token(&email), "any")).await.unwrap();
            let request = SignBlobRequest {
                name: service_account_path("-", EMAIL),
                payload: vec![number],
                ..Default::default()
            };
            let signed = stub.sign_blob(with_bearer(request, "any")).await.unwrap();
            (token.into_inner().access_token, signed.into_inner().key_id)
        });
    }
    let (tokens, keys): (std::collections::HashSet<_>, std::collections::HashSet<_>) =
        calls.join_all().await.into_iter().unzip();
    assert_eq!((tokens.len(), keys.len(), emulator.connections()), (100, 1, 1));
}
