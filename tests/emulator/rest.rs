//! The four methods over REST.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gcp_iam_credentials::emulator::{Emulator, Fault, Method, Policy, Protocol};
use gcp_iam_credentials::service_account_path;
use serde_json::{Value, json as value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use crate::support::emulator::{EMAIL, http, json, rest, signed_jwt, start};

const BEARER: (&str, &str) = ("authorization", "Bearer any");
const JSON: (&str, &str) = ("content-type", "application/json");

fn sign_blob_url(emulator: &Emulator) -> String {
    format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", EMAIL))
}

#[tokio::test]
async fn the_four_methods_answer_in_json() {
    let emulator = start().await;
    let (status, reply) = rest(
        &emulator,
        EMAIL,
        "generateAccessToken",
        "any",
        r#"{"scope": ["openid", "email"], "lifetime": "600.5s"}"#,
    )
    .await;
    assert_eq!(status, 200, "{reply}");
    let token = emulator.verify_access_token(reply["accessToken"].as_str().unwrap()).unwrap();
    assert_eq!(token.scopes(), ["openid", "email"]);
    let expires = reply["expireTime"].as_str().unwrap();
    assert!(expires.ends_with('Z') && expires.len() == "2020-04-07T15:01:23Z".len(), "{expires}");

    let body = r#"{"audience": "aud", "include_email": true, "useEmailAzp": true, "organizationNumberIncluded": true}"#;
    let (_, reply) = rest(&emulator, &EMAIL.replace('@', "%40"), "generateIdToken", "any", body).await;
    let claims: Value = emulator.verify_id_token(reply["token"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["azp"], &claims["email"]), (&EMAIL.into(), &EMAIL.into()));
    assert_eq!(claims["google"], value!({ "organization_number": null }));

    for payload in ["+/+/", "-_-_"] {
        let (_, reply) =
            rest(&emulator, EMAIL, "signBlob", "any", &value!({ "payload": payload }).to_string()).await;
        let signature = BASE64_STANDARD.decode(reply["signedBlob"].as_str().unwrap()).unwrap();
        assert!(emulator.verify_blob(EMAIL, &[0xfb, 0xff, 0xbf], &signature));
        assert!(!reply["keyId"].as_str().unwrap().is_empty());
    }

    let jwt = signed_jwt(&emulator, &value!({"sub": "x"})).await;
    assert_eq!(emulator.verify_jwt::<Value>(EMAIL, &jwt).unwrap()["sub"], "x");
    assert!(emulator.journal().entries().iter().all(|entry| entry.protocol() == Protocol::Rest));
    assert_eq!(
        emulator.journal().of_method(Method::GenerateAccessToken)[0].fields().lifetime(),
        Some(Duration::from_millis(600_500))
    );
}

#[tokio::test]
async fn invalid_requests_are_clear_errors() {
    let emulator = start().await;
    let url = sign_blob_url(&emulator);
    let (bearer, json_type) = (BEARER, JSON);
    let huge = format!(r#"{{"payload": "{}"}}"#, "A".repeat(7 * 1024 * 1024));
    for (what, url, headers, body, expected) in [
        ("broken JSON", url.clone(), vec![bearer, json_type], "{".to_owned(), 400),
        ("a list", url.clone(), vec![bearer, json_type], "[]".to_owned(), 400),
        ("a wrong type", url.clone(), vec![bearer, json_type], r#"{"payload": 1}"#.to_owned(), 400),
        ("bad base64", url.clone(), vec![bearer, json_type], r#"{"payload": "*"}"#.to_owned(), 400),
        ("an unknown field", url.clone(), vec![bearer, json_type], r#"{"payIoad": ""}"#.to_owned(), 400),
        ("deep nesting", url.clone(), vec![bearer, json_type], "[".repeat(100_000), 400),
        ("a huge body", url.clone(), vec![bearer, json_type], huge, 413),
        (
            "another content type",
            url.clone(),
            vec![bearer, ("content-type", "text/plain")],
            "{}".to_owned(),
            400,
        ),
        (
            "an unknown query parameter",
            format!("{url}?color=red"),
            vec![bearer, json_type],
            "{}".to_owned(),
            400,
        ),
        ("no bearer token", url.clone(), vec![json_type], "{}".to_owned(), 401),
        ("an unknown verb", format!("{url}s"), vec![bearer, json_type], "{}".to_owned(), 404),
        ("no verb", url.replace(":signBlob", ""), vec![bearer, json_type], "{}".to_owned(), 404),
        ("an unknown path", format!("{}/v2/x", emulator.endpoint()), vec![bearer], String::new(), 404),
    ] {
        let (status, reply) = json("POST", &url, &headers, body).await;
        assert_eq!(status, expected, "{what}: {reply}");
        assert_eq!(reply["error"]["code"], expected, "{what}: {reply}");
        assert!(
            reply["error"]["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{what}: {reply}"
        );
    }
    let refused = emulator.journal().of_method(Method::SignBlob);
    assert_eq!(refused.len(), 9, "each call of a method is in the journal, if its body was read");
    assert!(refused.iter().all(|entry| entry.outcome().unwrap().code() != Code::Ok), "{refused:?}");
}

#[tokio::test]
async fn a_wrong_http_method_is_an_error_and_a_query_of_googles_libraries_is_none() {
    let emulator = start().await;
    let url = sign_blob_url(&emulator);
    let (status, reply) = json("GET", &url, &[BEARER], "").await;
    assert_eq!(status, 404, "{reply}");
    let (status, reply) = json("GET", &format!("{}/token", emulator.endpoint()), &[], "").await;
    assert_eq!((status, &reply["error"]["status"]), (405, &"UNIMPLEMENTED".into()));
    let (status, _) =
        json("POST", &format!("{url}?%24alt=json%3Benum-encoding%3Dint"), &[BEARER, JSON], "{}").await;
    assert_eq!(status, 200, "Google's libraries send this parameter");
}

#[tokio::test]
async fn bytes_that_are_no_http_close_their_connection_and_no_other() {
    let emulator = start().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff",
    ] {
        let mut socket = tokio::net::TcpStream::connect(emulator.address()).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        let mut sink = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), async {
            socket.shutdown().await.ok();
            socket.read_to_end(&mut sink).await.ok();
        });
        read.await.expect("the server closes the connection");
    }
    let (status, _) = rest(&emulator, EMAIL, "signBlob", "any", "{}").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn faults_apply_to_rest() {
    let emulator = start().await;
    emulator.faults().inject(
        Fault::status(Code::Unavailable).message("later").retry_info(Duration::from_millis(1500)).times(1),
    );
    let (status, reply) = rest(&emulator, EMAIL, "signBlob", "any", "{}").await;
    assert_eq!((status, &reply["error"]["status"]), (503, &"UNAVAILABLE".into()));
    assert_eq!(
        reply["error"]["details"][0],
        value!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"})
    );
    emulator.faults().inject(Fault::html(http::StatusCode::BAD_GATEWAY).times(1));
    let (status, headers, body) = http("POST", &sign_blob_url(&emulator), &[BEARER], "{}").await;
    assert_eq!(status, 502);
    assert!(
        headers["content-type"].to_str().unwrap().starts_with("text/html") && body.starts_with(b"<!DOCTYPE")
    );
}

#[tokio::test]
async fn test_iam_permissions_returns_the_granted_permissions() {
    let policy = Policy::new().token("t", "user:a@b.c").grant("user:a@b.c", "roles/viewer", EMAIL);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let body = r#"{"permissions": ["iam.serviceAccounts.get", "iam.serviceAccounts.getAccessToken"]}"#;
    let (status, reply) = rest(&emulator, EMAIL, "testIamPermissions", "t", body).await;
    assert_eq!((status, reply), (200, value!({"permissions": ["iam.serviceAccounts.get"]})));
}
