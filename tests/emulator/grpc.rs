//! The emulator's four RPCs, seen through the generated stub.

use std::time::{Duration, SystemTime};

use crate::support::emulator::{EMAIL, access_token, start, stub, with_bearer};
use gcp_iam_credentials::emulator::{Emulator, Fault, Method};
use gcp_iam_credentials::proto::{
    GenerateAccessTokenRequest, GenerateIdTokenRequest, SignBlobRequest, SignJwtRequest,
};
use gcp_iam_credentials::{scopes, service_account_path};
use tonic::{Code, Request};
use tonic_types::StatusExt;

#[tokio::test]
async fn an_access_token_says_what_it_is_good_for() {
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
    assert_eq!(token.principal, format!("serviceAccount:{EMAIL}"));
    assert_eq!(token.scopes, [scopes::CLOUD_PLATFORM]);
    emulator.advance(Duration::from_secs(601));
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
    let claims = emulator.verify_id_token(&reply.into_inner().token).unwrap();
    let unique_id = emulator.unique_id(EMAIL);
    assert_eq!(claims["iss"], "https://accounts.google.com");
    assert_eq!(claims["aud"], "https://service.example");
    assert_eq!((&claims["sub"], &claims["azp"]), (&unique_id.clone().into(), &unique_id.into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert!(!claims.contains_key("email"), "{claims:?}");

    request.include_email = true;
    let reply = stub(&emulator).generate_id_token(with_bearer(request, "any")).await.unwrap();
    let claims = emulator.verify_id_token(&reply.into_inner().token).unwrap();
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
    assert_eq!(emulator.verify_jwt(EMAIL, &jwt.signed_jwt).unwrap()["sub"], "ünique");

    let new_key = emulator.rotate_key(EMAIL).await.unwrap();
    assert_ne!(new_key, signed.key_id);
    assert!(emulator.verify_blob(EMAIL, &payload, &signed.signed_blob), "old keys stay published");
    let stranger = "stranger@project.iam.gserviceaccount.com";
    emulator.prepare(stranger).await.unwrap();
    assert_eq!(emulator.verify_jwt(stranger, &jwt.signed_jwt), None);
}

#[tokio::test]
async fn a_request_without_a_bearer_is_told_so() {
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
async fn tokens_that_cannot_be_used_are_refused_with_the_reason() {
    let emulator = start().await;
    let reply = stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    let token = reply.into_inner().access_token;
    stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), &token)).await.unwrap();
    emulator.advance(Duration::from_secs(3601));
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

#[tokio::test]
async fn bad_arguments_are_refused() {
    let emulator = start().await;
    let good = access_token(EMAIL);
    let lifetime = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    for (bad, what) in [
        (GenerateAccessTokenRequest { name: String::new(), ..good.clone() }, "no name"),
        (GenerateAccessTokenRequest { name: EMAIL.to_owned(), ..good.clone() }, "a bare e-mail"),
        (
            GenerateAccessTokenRequest { name: service_account_path("project", EMAIL), ..good.clone() },
            "a project",
        ),
        (GenerateAccessTokenRequest { scope: vec![], ..good.clone() }, "no scope"),
        (GenerateAccessTokenRequest { scope: vec![String::new()], ..good.clone() }, "an empty scope"),
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

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
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
    let request = GenerateIdTokenRequest { name: service_account_path("-", EMAIL), ..Default::default() };
    let status = stub(&emulator).generate_id_token(with_bearer(request, "any")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_journal_tells_all_but_the_secrets() {
    let emulator = start().await;
    let mut request = with_bearer(access_token(EMAIL), "hush-hush");
    request.metadata_mut().insert("x-goog-request-params", "name=x".parse().unwrap());
    stub(&emulator).generate_access_token(request).await.unwrap();
    stub(&emulator).generate_access_token(access_token(EMAIL)).await.unwrap_err();

    let journal = emulator.journal();
    assert_eq!(journal.len(), 2);
    let (first, second) = (&journal[0], &journal[1]);
    assert_eq!(first.method, Method::GenerateAccessToken);
    assert_eq!(first.caller.as_deref(), Some("anyone"));
    assert_eq!(first.name, service_account_path("-", EMAIL));
    assert_eq!(first.fields.scopes, [scopes::CLOUD_PLATFORM]);
    assert_eq!(first.header("x-goog-request-params"), Some("name=x"));
    assert_eq!(first.outcome.as_ref().unwrap().code, Code::Ok);
    assert_ne!(first.connection, second.connection);
    let refused = second.outcome.as_ref().unwrap();
    assert_eq!(
        (refused.code, refused.reason.as_deref()),
        (Code::Unauthenticated, Some("CREDENTIALS_MISSING"))
    );
    assert!(!format!("{journal:?}{emulator:?}").contains("hush"), "{journal:?}");
    emulator.clear_journal();
    assert!(emulator.journal().is_empty());
}

#[tokio::test]
async fn what_a_fault_does_is_over_when_it_is_over() {
    let emulator = start().await;
    let mut stub = stub(&emulator);
    emulator.inject(
        Fault::status(Code::Unavailable, "later")
            .retry_after(Duration::from_millis(2500))
            .method(Method::GenerateAccessToken)
            .times(2),
    );
    for _ in 0..2 {
        let status = stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "later"));
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(2500)));
    }
    stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    let faults = emulator.journal().iter().filter(|entry| entry.outcome.as_ref().unwrap().fault).count();
    assert_eq!(faults, 2);
}

#[tokio::test]
async fn a_hanging_call_ends_when_its_caller_leaves() {
    let emulator = start().await;
    let fault = emulator.inject(Fault::hang());
    let mut stub = stub(&emulator);
    let call = stub.generate_access_token(with_bearer(access_token(EMAIL), "any"));
    tokio::time::timeout(Duration::from_millis(200), call).await.unwrap_err();
    let left = async {
        while emulator.journal()[0].outcome.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), left)
        .await
        .expect("the journal hears that the caller left");
    assert_eq!(emulator.journal()[0].outcome.as_ref().unwrap().code, Code::Cancelled);
    assert!(emulator.clear_fault(fault));
    stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
}

#[tokio::test]
async fn a_late_answer_is_a_right_one() {
    let emulator = start().await;
    emulator.inject(Fault::delay(Duration::from_millis(150)).times(1));
    let start = tokio::time::Instant::now();
    stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn connections_break_as_asked_and_the_server_lives_on() {
    let emulator = start().await;
    for (fault, what) in [
        (Fault::reset(), "reset"),
        (Fault::go_away(), "GOAWAY"),
        (Fault::truncate(), "truncated"),
        (Fault::bad_details().method(Method::SignBlob), "not struck"),
        (Fault::html(http::StatusCode::BAD_GATEWAY), "HTML"),
    ] {
        let struck = what != "not struck";
        emulator.clear_faults();
        emulator.inject(fault.times(1));
        let mut stub = stub(&emulator);
        let call = stub.generate_access_token(with_bearer(access_token(EMAIL), "any"));
        let result = tokio::time::timeout(Duration::from_secs(10), call).await.expect(what);
        assert_eq!(result.is_err(), struck, "{what}: {result:?}");
        stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.expect(what);
    }
}

#[tokio::test]
async fn a_stalled_body_arrives_never() {
    let emulator = start().await;
    emulator.inject(Fault::stall_body());
    let mut stub = stub(&emulator);
    let call = stub.generate_access_token(with_bearer(access_token(EMAIL), "any"));
    tokio::time::timeout(Duration::from_millis(200), call).await.expect_err("the body stalls");
}

#[tokio::test]
async fn many_run_at_once_and_share_nothing() {
    let (one, other) = (start().await, start().await);
    assert_ne!(one.address(), other.address());
    let reply = stub(&one).generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    let token = reply.into_inner().access_token;
    assert!(one.verify_access_token(&token).is_some());
    assert_eq!(other.verify_access_token(&token), None);
    assert!(other.journal().is_empty());
}

#[tokio::test]
async fn a_dropped_emulator_frees_its_port_at_once() {
    let emulator = start().await;
    let address = emulator.address();
    let reply = stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "any")).await;
    reply.unwrap();
    drop(emulator);
    tokio::net::TcpStream::connect(address).await.expect_err("nobody listens");
    Emulator::builder().address(address).start().await.expect("the port is free");
}

#[tokio::test]
async fn a_reset_forgets_all_but_keys() {
    let emulator = start().await;
    let key_file = emulator.service_account_key_json(EMAIL);
    let reply = stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    emulator.inject(Fault::hang());
    emulator.advance(Duration::from_secs(10));
    emulator.reset();
    assert!(emulator.journal().is_empty());
    assert_eq!(emulator.verify_access_token(&reply.into_inner().access_token), None);
    stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
    assert_eq!(emulator.service_account_key_json(EMAIL), key_file);
}

#[tokio::test]
async fn what_it_cannot_serve_is_a_clear_error_and_it_lives_on() {
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
    stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_a_connection_a_key_and_no_token() {
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
