//! The emulator over HTTP: REST, the token endpoint, the pages of keys, the metadata server.

use std::time::Duration;

use crate::support::emulator::{EMAIL, http, json, now, rest, start};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gcp_iam_credentials::emulator::{Emulator, Fault, Method, Policy, Protocol, TOKEN_CREATOR};
use gcp_iam_credentials::{scopes, service_account_path};
use serde_json::{Value, json as value};
use tonic::Code;

/// Signs claims with the account's system-managed key.
async fn assertion(emulator: &Emulator, claims: &Value) -> String {
    let body = value!({ "payload": claims.to_string() }).to_string();
    let (status, reply) = rest(emulator, EMAIL, "signJwt", "any", &body).await;
    assert_eq!(status, 200, "{reply}");
    reply["signedJwt"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_four_methods_answer_in_json() {
    let emulator = start().await;
    let (status, reply) = rest(
        &emulator,
        EMAIL,
        "generateAccessToken",
        "any",
        r#"{"scope": ["a", "b"], "lifetime": "600.5s"}"#,
    )
    .await;
    assert_eq!(status, 200, "{reply}");
    let token = emulator.verify_access_token(reply["accessToken"].as_str().unwrap()).unwrap();
    assert_eq!(token.scopes, ["a", "b"]);
    let expires = reply["expireTime"].as_str().unwrap();
    assert!(expires.ends_with('Z') && expires.len() == "2020-04-07T15:01:23Z".len(), "{expires}");

    let body = r#"{"audience": "aud", "include_email": true, "useEmailAzp": true, "organizationNumberIncluded": true}"#;
    let (_, reply) = rest(&emulator, &EMAIL.replace('@', "%40"), "generateIdToken", "any", body).await;
    let claims = emulator.verify_id_token(reply["token"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["azp"], &claims["email"]), (&EMAIL.into(), &EMAIL.into()));
    assert_eq!(claims["google"], value!({ "organization_number": null }));

    for payload in ["+/+/", "-_-_"] {
        let (_, reply) =
            rest(&emulator, EMAIL, "signBlob", "any", &value!({ "payload": payload }).to_string()).await;
        let signature = BASE64_STANDARD.decode(reply["signedBlob"].as_str().unwrap()).unwrap();
        assert!(emulator.verify_blob(EMAIL, &[0xfb, 0xff, 0xbf], &signature));
        assert!(!reply["keyId"].as_str().unwrap().is_empty());
    }

    let jwt = assertion(&emulator, &value!({"sub": "x"})).await;
    assert_eq!(emulator.verify_jwt(EMAIL, &jwt).unwrap()["sub"], "x");
    assert!(emulator.journal().iter().all(|entry| entry.protocol == Protocol::Rest));
    assert_eq!(
        emulator.calls(Method::GenerateAccessToken)[0].fields.lifetime,
        Some(Duration::from_millis(600_500))
    );
}

#[tokio::test]
async fn bad_input_is_a_clear_error_and_the_server_lives_on() {
    let emulator = start().await;
    let url = format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", EMAIL));
    let bearer = ("authorization", "Bearer any");
    let json_type = ("content-type", "application/json");
    let huge = format!(r#"{{"payload": "{}"}}"#, "A".repeat(7 * 1024 * 1024));
    for (what, url, headers, body, expected) in [
        ("broken JSON", url.clone(), vec![bearer, json_type], "{".to_owned(), 400),
        ("a list", url.clone(), vec![bearer, json_type], "[]".to_owned(), 400),
        ("a wrong type", url.clone(), vec![bearer, json_type], r#"{"payload": 1}"#.to_owned(), 400),
        ("bad base64", url.clone(), vec![bearer, json_type], r#"{"payload": "*"}"#.to_owned(), 400),
        ("an unknown field", url.clone(), vec![bearer, json_type], r#"{"payIoad": ""}"#.to_owned(), 400),
        ("deep nesting", url.clone(), vec![bearer, json_type], "[".repeat(100_000), 400),
        ("a huge body", url.clone(), vec![bearer, json_type], huge, 400),
        ("no JSON", url.clone(), vec![bearer, ("content-type", "text/plain")], "{}".to_owned(), 400),
        ("a strange query", format!("{url}?colour=red"), vec![bearer, json_type], "{}".to_owned(), 400),
        ("no bearer", url.clone(), vec![json_type], "{}".to_owned(), 401),
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
    let refused = emulator.calls(Method::SignBlob);
    assert_eq!(refused.len(), 10, "each call of a method is in the journal");
    assert!(refused.iter().all(|entry| entry.outcome.as_ref().unwrap().code != Code::Ok), "{refused:?}");
    let (status, reply) = json("GET", &url, &[bearer], "").await;
    assert_eq!(status, 404, "{reply}");
    let (status, reply) = json("GET", &format!("{}/token", emulator.endpoint()), &[], "").await;
    assert_eq!((status, &reply["error"]["status"]), (405, &"UNIMPLEMENTED".into()));
    let (status, _) =
        json("POST", &format!("{url}?%24alt=json%3Benum-encoding%3Dint"), &[bearer, json_type], "{}").await;
    assert_eq!(status, 200, "Google's libraries send this parameter");

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
async fn faults_strike_rest_too() {
    let emulator = start().await;
    emulator
        .inject(Fault::status(Code::Unavailable, "later").retry_after(Duration::from_millis(1500)).times(1));
    let (status, reply) = rest(&emulator, EMAIL, "signBlob", "any", "{}").await;
    assert_eq!((status, &reply["error"]["status"]), (503, &"UNAVAILABLE".into()));
    assert_eq!(
        reply["error"]["details"][0],
        value!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"})
    );
    emulator.inject(Fault::html(http::StatusCode::BAD_GATEWAY).times(1));
    let url = format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", EMAIL));
    let (status, headers, body) = http("POST", &url, &[("authorization", "Bearer any")], "{}").await;
    assert_eq!(status, 502);
    assert!(
        headers["content-type"].to_str().unwrap().starts_with("text/html") && body.starts_with(b"<!DOCTYPE")
    );
}

#[tokio::test]
async fn published_keys_verify_what_was_signed() {
    let emulator = start().await;
    let (_, reply) = rest(&emulator, EMAIL, "generateIdToken", "any", r#"{"audience": "aud"}"#).await;
    let id_token = reply["token"].as_str().unwrap().to_owned();
    let jwt = assertion(&emulator, &value!({"aud": "aud", "exp": now() + 60})).await;
    let base = emulator.endpoint().to_owned();
    for (url, token) in [
        (format!("{base}/oauth2/v3/certs"), &id_token),
        (format!("{base}/service_accounts/v1/metadata/jwk/{EMAIL}"), &jwt),
        (format!("{base}/robot/v1/metadata/jwk/{EMAIL}"), &jwt),
    ] {
        let (_, set) = json("GET", &url, &[], "").await;
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(set).unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.set_audience(&["aud"]);
        jsonwebtoken::decode::<Value>(token, &key, &validation)
            .unwrap_or_else(|error| panic!("{url}: {error}"));
    }
    for (url, token) in [
        (format!("{base}/oauth2/v1/certs"), &id_token),
        (format!("{base}/service_accounts/v1/metadata/x509/{EMAIL}"), &jwt),
        (format!("{base}/robot/v1/metadata/x509/{EMAIL}"), &jwt),
    ] {
        let (_, page) = json("GET", &url, &[], "").await;
        let id = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let pem = page[&id].as_str().unwrap_or_else(|| panic!("{url}: {page}"));
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    }
    let (_, raw) = json("GET", &format!("{base}/service_accounts/v1/metadata/raw/{EMAIL}"), &[], "").await;
    assert_eq!(raw["keyvalues"][0]["algorithm"], "RSA");

    emulator.rotate_key(EMAIL).await.unwrap();
    let (_, set) = json("GET", &format!("{base}/service_accounts/v1/metadata/jwk/{EMAIL}"), &[], "").await;
    assert_eq!(set["keys"].as_array().unwrap().len(), 2, "the old key stays published");
}

#[tokio::test]
async fn the_metadata_server_hands_out_tokens_to_those_who_send_its_header() {
    let email = "machine@project.iam.gserviceaccount.com";
    let policy = Policy::new().metadata_account(email);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let base = format!("{}/computeMetadata/v1", emulator.endpoint());
    let account = format!("{base}/instance/service-accounts/default");
    let flavor = [("metadata-flavor", "Google")];
    let get = async |url: String| {
        let (status, headers, body) = http("GET", &url, &flavor, "").await;
        assert_eq!(
            (status.as_u16(), &headers["metadata-flavor"]),
            (200, &"Google".parse().unwrap()),
            "{url}"
        );
        String::from_utf8(body.to_vec()).unwrap()
    };
    let (status, headers, _) = http("GET", &format!("{account}/token"), &[], "").await;
    assert_eq!((status.as_u16(), headers.contains_key("metadata-flavor")), (403, true));
    assert_eq!(get(format!("{account}/email")).await, email);
    assert_eq!(get(format!("{base}/project/project-id")).await, "project");
    assert!(get(format!("{base}/project/numeric-project-id")).await.parse::<u64>().is_ok());
    assert_eq!(get(format!("{base}/universe/universe-domain")).await, "googleapis.com");
    assert!(get(format!("{account}/scopes")).await.contains(scopes::CLOUD_PLATFORM));
    let about: Value = serde_json::from_str(&get(format!("{account}/?recursive=true")).await).unwrap();
    assert_eq!(about["email"], email);

    let token: Value = serde_json::from_str(&get(format!("{account}/token")).await).unwrap();
    let verified = emulator.verify_access_token(token["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(verified.principal, format!("serviceAccount:{email}"));
    emulator.advance(Duration::from_secs(3000));
    let same: Value = serde_json::from_str(&get(format!("{account}/token")).await).unwrap();
    assert_eq!(same["access_token"], token["access_token"], "the same one while it lives");
    emulator.advance(Duration::from_secs(400));
    let fresh: Value = serde_json::from_str(&get(format!("{account}/token")).await).unwrap();
    assert_ne!(fresh["access_token"], token["access_token"], "a new one near its end");

    let id = get(format!("{account}/identity?audience=https://service.example&format=full")).await;
    assert_eq!(emulator.verify_id_token(&id).unwrap()["email"], email);
    let (status, _, _) =
        http("GET", &format!("{base}/instance/service-accounts/other@x.y/token"), &flavor, "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn permissions_can_be_tested() {
    let policy = Policy::new().token("t", "user:a@b.c").grant("user:a@b.c", "roles/viewer", EMAIL);
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let body = r#"{"permissions": ["iam.serviceAccounts.get", "iam.serviceAccounts.getAccessToken"]}"#;
    let (status, reply) = rest(&emulator, EMAIL, "testIamPermissions", "t", body).await;
    assert_eq!((status, reply), (200, value!({"permissions": ["iam.serviceAccounts.get"]})));
}

#[tokio::test]
async fn the_control_pages_steer_it_from_any_language() {
    let emulator = start().await;
    let control = |path: &str| format!("{}/emulator{path}", emulator.endpoint());
    let (_, index) = json("GET", &control("/"), &[], "").await;
    assert!(index["pages"].as_object().unwrap().len() > 15, "{index}");
    assert_eq!(http("GET", &format!("{}/healthz", emulator.endpoint()), &[], "").await.2, "ok\n");

    let fault = r#"{"effect": "status", "code": "RESOURCE_EXHAUSTED", "message": "slow down", "method": "SignBlob",
        "times": 1, "retryDelay": "2s", "reason": "RATE_LIMIT_EXCEEDED", "metadata": {"quota": "q"}}"#;
    let (status, reply) = json("POST", &control("/faults"), &[], fault).await;
    assert_eq!(status, 200, "{reply}");
    let (_, list) = json("GET", &control("/faults"), &[], "").await;
    assert_eq!(
        (&list["faults"][0]["id"], &list["faults"][0]["fault"]["method"]),
        (&reply["id"], &"SignBlob".into())
    );
    let (status, refused) = rest(&emulator, EMAIL, "signBlob", "any", "{}").await;
    assert_eq!(status, 429);
    assert_eq!(refused["error"]["details"][0]["reason"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(refused["error"]["details"][1]["retryDelay"], "2s");
    let (status, _) = json("DELETE", &control(&format!("/faults/{}", reply["id"])), &[], "").await;
    assert_eq!(status, 404, "it has struck, and is gone");
    for bad in [
        r#"{"effect": "explode"}"#,
        r#"{"effect": "hang", "color": 1}"#,
        r#"{"effect": "status", "code": "OK"}"#,
        r#"["hang"]"#,
        "{",
    ] {
        let (status, reply) = json("POST", &control("/faults"), &[], bad).await;
        assert_eq!(status, 400, "{bad}: {reply}");
    }

    let (_, journal) = json("GET", &control("/journal?method=signBlob"), &[], "").await;
    let entry = &journal["entries"][0];
    assert_eq!((&entry["protocol"], &entry["outcome"]["fault"]), (&"rest".into(), &true.into()), "{journal}");
    json("DELETE", &control("/journal"), &[], "").await;
    assert_eq!(json("GET", &control("/journal"), &[], "").await.1["entries"], value!([]));

    let (_, clock) = json("POST", &control("/clock"), &[], r#"{"advance": "60s", "skew": "-600s"}"#).await;
    assert_eq!((&clock["advanced"], &clock["skew"]), (&"60s".into(), &"-600s".into()));

    let policy =
        value!({"tokens": [{"token": "t", "principal": "user:a@b.c"}], "serviceAccounts": {EMAIL: {}}});
    let (status, reply) = json("PUT", &control("/policy"), &[], policy.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    let (status, reply) = json("PUT", &control("/policy"), &[], r#"{"serviceAccounts": {"x": {}}}"#).await;
    assert_eq!(
        (status, &reply["error"]["details"][0]["fieldViolations"][0]["field"]),
        (400, &"serviceAccounts[\"x\"]".into())
    );
    let question =
        value!({"principal": "user:a@b.c", "serviceAccount": EMAIL, "method": "generateAccessToken"})
            .to_string();
    let (_, answer) = json("POST", &control("/check"), &[], question.clone()).await;
    assert_eq!((&answer["allowed"], &answer["hop"]), (&false.into(), &0.into()));
    let grant = value!({"member": "user:a@b.c", "role": TOKEN_CREATOR, "serviceAccount": EMAIL}).to_string();
    json("POST", &control("/grants"), &[], grant.clone()).await;
    assert_eq!(json("POST", &control("/check"), &[], question.clone()).await.1["allowed"], true);
    assert_eq!(json("DELETE", &control("/grants"), &[], grant.clone()).await.0, 200);
    assert_eq!(json("DELETE", &control("/grants"), &[], grant).await.0, 404);
    assert_eq!(json("POST", &control("/check"), &[], question).await.1["allowed"], false);
    assert_eq!(json("GET", &control("/policy"), &[], "").await.1["tokens"][0]["principal"], "user:a@b.c");

    let (_, file) = json("GET", &control(&format!("/fixtures/service_account/{EMAIL}")), &[], "").await;
    assert_eq!(
        file.to_string(),
        serde_json::from_str::<Value>(&emulator.service_account_key_json(EMAIL)).unwrap().to_string()
    );
    let (_, key) = json("POST", &control(&format!("/keys/{EMAIL}/rotate")), &[], "").await;
    assert!(key["keyId"].is_string());
    assert_eq!(json("POST", &control("/reset"), &[], "").await.0, 200);
    assert_eq!(json("GET", &control("/policy"), &[], "").await.1, Value::Null);
}

#[cfg(feature = "tls-ring")]
#[tokio::test]
async fn tls_is_spoken_with_a_certificate_of_its_own_authority() {
    use crate::support::emulator::{access_token, with_bearer};
    use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
    use tonic::transport::{Certificate, Channel, ClientTlsConfig};

    let emulator = Emulator::builder().tls().start().await.unwrap();
    assert!(emulator.endpoint().starts_with("https://127.0.0.1:"));
    let stub = async |tls: ClientTlsConfig| {
        let channel = Channel::from_shared(emulator.endpoint().to_owned()).unwrap().tls_config(tls).unwrap();
        let mut stub = IamCredentialsClient::new(channel.connect_lazy());
        stub.generate_access_token(with_bearer(access_token(EMAIL), "any")).await
    };
    let authority = Certificate::from_pem(emulator.ca_pem().unwrap());
    stub(ClientTlsConfig::new().ca_certificate(authority.clone())).await.unwrap();
    let google =
        ClientTlsConfig::new().ca_certificate(authority).domain_name("iamcredentials.googleapis.com");
    stub(google).await.unwrap();
    let other = Emulator::builder().tls().start().await.unwrap();
    let stranger = Certificate::from_pem(other.ca_pem().unwrap());
    stub(ClientTlsConfig::new().ca_certificate(stranger)).await.expect_err("another authority");
    emulator.inject(Fault::reset().times(1));
    stub(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(emulator.ca_pem().unwrap())))
        .await
        .expect_err("the connection is reset");
    let (_, file) = (emulator.endpoint(), emulator.service_account_key_json(EMAIL));
    assert!(file.contains("https://127.0.0.1:"), "{file}");
}
