//! Which ID tokens the rules accept.

use std::time::Duration;

use gcp_iam_credentials::verify::{IdTokenRules, PublicKeys};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::PublicKeyData;
use serde_json::{Value, json};

use crate::issuer::{AUDIENCE, CALLER, Issuer, NOW, at, claims, claims_but, encode, rules};
use crate::support::accounts::TARGET;
use crate::support::emulator::{client_of, start};

/// Checks that the rules refuse the claims because of this one.
#[track_caller]
fn assert_refused(issuer: &Issuer, rules: &IdTokenRules, claims: &Value, because_of: &str) {
    let error = issuer.keys().verify_id_token(&issuer.token(claims), rules).unwrap_err();
    assert_eq!(error.field(), Some(because_of), "{error}");
    assert!(!error.is_transient());
}

#[track_caller]
fn assert_accepted(issuer: &Issuer, rules: &IdTokenRules, claims: &Value) {
    issuer.keys().verify_id_token(&issuer.token(claims), rules).unwrap();
}

/// conf: V1
#[tokio::test]
async fn an_id_token_of_the_api_is_accepted_and_says_who_calls() {
    let emulator = start().await;
    let token = client_of(&emulator).generate_id_token(TARGET, AUDIENCE).include_email(true).await.unwrap();
    let keys = PublicKeys::from_jwks(&emulator.keys().google_jwks()).unwrap();
    let issuers = ["https://accounts.google.com", emulator.endpoint()];
    let rules = IdTokenRules::for_audience(AUDIENCE).issuers(issuers).email(TARGET);
    let verified = keys.verify_id_token(token.secret(), &rules).unwrap();
    assert_eq!(verified.subject(), emulator.unique_id(TARGET));
    assert_eq!(verified.email(), Some(TARGET));
    assert_eq!(Some(verified.expires_at()), token.expires_at());
    assert_eq!(verified.claims::<Value>().unwrap()["aud"], AUDIENCE);
    assert!(verified.issued_at() < verified.expires_at());
}

/// conf: V1
#[tokio::test]
async fn each_claim_is_checked() {
    let issuer = Issuer::new(&start().await);
    assert_accepted(&issuer, &rules(), &claims());
    for (claim, value) in [
        ("iss", json!("https://accounts.google.com.evil.example")),
        ("iss", json!("https://accounts.google.com/")),
        ("iss", Value::Null),
        ("aud", json!("https://other.example")),
        ("aud", json!("https://service.example/")),
        ("aud", json!(["https://other.example"])),
        ("aud", json!([])),
        ("aud", json!({ "https://service.example": 1 })),
        ("aud", Value::Null),
        ("sub", json!(7)),
        ("sub", json!("")),
        ("sub", Value::Null),
        ("exp", json!(NOW - 30)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!((NOW + 5).to_string())),
        ("exp", json!(1e300)),
        ("exp", json!(u64::MAX)),
        ("exp", Value::Null),
        ("iat", json!(NOW + 31)),
        ("iat", Value::Null),
        ("nbf", json!(NOW + 31)),
        ("nbf", json!("soon")),
    ] {
        assert_refused(&issuer, &rules(), &claims_but(claim, value), claim);
    }
    for (claim, value) in [
        ("iss", json!("accounts.google.com")),
        ("aud", json!(["https://other.example", AUDIENCE])),
        ("exp", json!(NOW - 29)),
        ("iat", json!(NOW + 30)),
        ("nbf", json!(NOW + 30)),
        ("email", Value::Null),
        ("email_verified", json!(false)),
    ] {
        assert_accepted(&issuer, &rules(), &claims_but(claim, value));
    }
}

/// conf: V1
#[tokio::test]
async fn the_rules_say_which_audiences_issuers_and_times_are_right() {
    let issuer = Issuer::new(&start().await);
    let iap = || IdTokenRules::for_audience("/projects/1/apps/a").issuers(["https://cloud.google.com/iap"]);
    let of_iap = json!({
        "iss": "https://cloud.google.com/iap", "aud": "/projects/1/apps/a", "sub": "s", "iat": NOW, "exp": NOW + 600,
    });
    assert_accepted(&issuer, &iap().at(at(NOW)), &of_iap);
    assert_refused(&issuer, &rules(), &of_iap, "iss");
    assert_accepted(&issuer, &IdTokenRules::for_audience("x").or_audience(AUDIENCE).at(at(NOW)), &claims());
    // An empty audience is a mistake of the program, and not one for everybody.
    assert_refused(
        &issuer,
        &IdTokenRules::for_audience("").at(at(NOW)),
        &claims_but("aud", json!("")),
        "aud",
    );

    let strict = rules().leeway(Duration::ZERO);
    assert_refused(&issuer, &strict.clone().at(at(NOW + 3600)), &claims(), "exp");
    assert_accepted(&issuer, &strict.clone().at(at(NOW + 3599)), &claims());
    assert_refused(&issuer, &strict.at(at(NOW - 1)), &claims(), "iat");
    // Without a given time, it is now: the tokens of this test are from the future.
    assert_refused(&issuer, &IdTokenRules::for_audience(AUDIENCE), &claims(), "iat");
}

/// conf: V1
#[tokio::test]
async fn an_address_counts_only_if_the_issuer_has_verified_it() {
    let issuer = Issuer::new(&start().await);
    let of_caller = rules().email("other@example.com").email(CALLER);
    assert_accepted(&issuer, &of_caller, &claims());
    assert_accepted(&issuer, &rules().verified_email(), &claims());
    for rules in [of_caller, rules().verified_email()] {
        assert_refused(&issuer, &rules, &claims_but("email", Value::Null), "email");
        assert_refused(&issuer, &rules, &claims_but("email", json!("")), "email");
        for unverified in [Value::Null, json!(false), json!("true"), json!(1)] {
            assert_refused(&issuer, &rules, &claims_but("email_verified", unverified), "email_verified");
        }
    }
    assert_refused(&issuer, &rules().email("other@example.com"), &claims(), "email");

    let unverified = issuer.token(&claims_but("email_verified", json!(false)));
    let token = issuer.keys().verify_id_token(&unverified, &rules()).unwrap();
    assert_eq!((token.email(), token.subject()), (None, "1234567890"));
}

/// conf: V1, V2
#[tokio::test]
async fn tokens_of_another_implementation_with_es256_are_accepted() {
    let key = rcgen::KeyPair::generate().unwrap();
    let point = key.der_bytes().to_vec();
    let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
    let jwk =
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "iap", "x": x, "y": y });
    let keys = PublicKeys::from_jwks(&json!({ "keys": [jwk] }).to_string()).unwrap();
    let header = Header { kid: Some("iap".to_owned()), ..Header::new(Algorithm::ES256) };
    let signer = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).unwrap();
    let token = jsonwebtoken::encode(&header, &claims(), &signer).unwrap();
    keys.verify_id_token(&token, &rules()).unwrap();

    let (signed, signature) = token.rsplit_once('.').unwrap();
    for broken in [&signature[1..], "", &signature.replace(&signature[..4], "AAAA")] {
        let error = keys.verify_id_token(&format!("{signed}.{broken}"), &rules()).unwrap_err();
        assert!(matches!(error.field(), Some("signature" | "jwt")), "{error}");
    }
}
