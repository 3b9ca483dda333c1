//! The pages with public keys.

use serde_json::{Value, json as value};

use crate::support::emulator::{EMAIL, json, now, rest, signed_jwt, start};

#[tokio::test]
async fn signatures_verify_with_the_keys_of_every_page() {
    let emulator = start().await;
    let (_, reply) = rest(&emulator, EMAIL, "generateIdToken", "any", r#"{"audience": "aud"}"#).await;
    let id_token = reply["token"].as_str().unwrap().to_owned();
    let jwt = signed_jwt(&emulator, &value!({"aud": "aud", "exp": now() + 60})).await;
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

    emulator.keys().rotate(EMAIL).await.unwrap();
    let (_, set) = json("GET", &format!("{base}/service_accounts/v1/metadata/jwk/{EMAIL}"), &[], "").await;
    assert_eq!(set["keys"].as_array().unwrap().len(), 2, "the old key stays published");
}
