//! Tokens of attackers.

use gcp_iam_credentials::verify::PublicKeys;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::issuer::{Issuer, claims, encode, rules};
use crate::support::emulator::start;
use crate::support::random::Random;

/// Checks that the token is refused, and returns the field that the error names.
#[track_caller]
fn refusal(keys: &PublicKeys, token: &str) -> String {
    let error = keys.verify_id_token(token, &rules()).unwrap_err();
    let of_jwt = keys.verify_jwt::<Value>(token).unwrap_err();
    assert!(!error.is_transient() && error.field() == of_jwt.field(), "{error} {of_jwt}");
    error.field().unwrap().to_owned()
}

/// conf: V2
#[tokio::test]
async fn no_other_algorithm_than_that_of_the_key_is_accepted() {
    let issuer = Issuer::new(&start().await);
    let keys = issuer.keys();
    let (_, payload) = ("", encode(claims().to_string()));
    for name in ["none", "None", "NONE", "", "HS256", "RS512", "PS256", "EdDSA", "rs256"] {
        let header = json!({ "alg": name, "kid": issuer.key_id }).to_string();
        assert_eq!(refusal(&keys, &issuer.sign(&header, &claims().to_string())), "jwt", "{name}");
        assert_eq!(refusal(&keys, &format!("{}.{payload}.", encode(header))), "jwt", "{name}");
    }
    // The key is for RSA.
    let header = json!({ "alg": "ES256", "kid": issuer.key_id }).to_string();
    assert_eq!(refusal(&keys, &issuer.sign(&header, &claims().to_string())), "signature");

    // The public key, in any form, as the secret of HS256.
    let header = Header { kid: Some(issuer.key_id.clone()), ..Header::new(Algorithm::HS256) };
    let set: Value = serde_json::from_str(&issuer.jwks).unwrap();
    for secret in [issuer.jwks.clone(), set["keys"][0]["n"].as_str().unwrap().to_owned()] {
        let signer = EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&header, &claims(), &signer).unwrap();
        assert_eq!(refusal(&keys, &token), "jwt");
        // The header says RS256, and the signature is still that of HS256.
        let (_, rest) = token.split_once('.').unwrap();
        let token = format!("{}.{rest}", encode(issuer.header().to_string()));
        assert_eq!(refusal(&keys, &token), "signature");
    }
}

/// conf: V2
#[tokio::test]
async fn a_token_names_a_known_key_and_no_critical_header() {
    let issuer = Issuer::new(&start().await);
    let keys = issuer.keys();
    let mut header = issuer.header();
    for (kid, field) in [
        (json!("other"), "key_id"),
        (json!(""), "key_id"),
        (json!("../../../etc/passwd"), "key_id"),
        (json!(7), "jwt"),
        (json!([issuer.key_id]), "jwt"),
    ] {
        header["kid"] = kid;
        assert_eq!(refusal(&keys, &issuer.sign(&header.to_string(), &claims().to_string())), field);
    }
    header.as_object_mut().unwrap().remove("kid");
    assert_eq!(refusal(&keys, &issuer.sign(&header.to_string(), &claims().to_string())), "jwt");
    let mut header = issuer.header();
    header["crit"] = json!(["exp"]);
    assert_eq!(refusal(&keys, &issuer.sign(&header.to_string(), &claims().to_string())), "jwt");
    // A key in the header isn't trusted.
    let set: Value = serde_json::from_str(&issuer.jwks).unwrap();
    let header =
        json!({ "alg": "RS256", "kid": "mine", "jwk": set["keys"][0], "jku": "https://evil.example" });
    assert_eq!(refusal(&keys, &issuer.sign(&header.to_string(), &claims().to_string())), "key_id");
}

/// conf: V3
#[tokio::test]
async fn ambiguous_and_enormous_tokens_are_refused() {
    let issuer = Issuer::new(&start().await);
    let (keys, header, claims) = (issuer.keys(), issuer.header().to_string(), claims().to_string());
    let twice = |object: &str, member: &str| object.replacen('{', &format!("{{{member},"), 1);
    for token in [
        issuer.sign(&header, &twice(&claims, r#""aud":"https://other.example""#)),
        issuer.sign(&header, &twice(&claims, r#""\u0061ud":"https://other.example""#)),
        issuer.sign(&twice(&header, r#""alg":"none""#), &claims),
        issuer.sign(&header, "[]"),
        issuer.sign(&header, "null"),
        issuer.sign(&header, ""),
        issuer.sign("\"RS256\"", &claims),
        issuer.sign(&header, &twice(&claims, &format!(r#""x":"{}""#, "x".repeat(40_000)))),
        issuer.sign(&header, &twice(&claims, &format!(r#""x":{}{}"#, "[".repeat(500), "]".repeat(500)))),
        format!("{}=", issuer.sign(&header, &claims)),
        format!("{}\n", issuer.sign(&header, &claims)),
        format!(" {}", issuer.sign(&header, &claims)),
        issuer.sign(&header, &claims).replace('.', ".."),
        format!("{}.", issuer.sign(&header, &claims)),
        String::new(),
        "..".to_owned(),
        "x".repeat(10 << 20),
    ] {
        assert_eq!(refusal(&keys, &token), "jwt", "{}", &token[..token.len().min(80)]);
    }
}

/// conf: V3
#[tokio::test]
async fn no_change_of_a_valid_token_makes_another_valid_one() {
    const ALPHABET: &[u8] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ {\"\x00\x80";
    let issuer = Issuer::new(&start().await);
    let (keys, valid) = (issuer.keys(), issuer.token(&claims()));
    keys.verify_id_token(&valid, &rules()).unwrap();
    let mut random = Random::new(14);
    let mut pick = |below: usize| random.within(0..below as u64) as usize;
    for position in 0..valid.len() * 3 {
        let mut token = valid.clone().into_bytes();
        let at = position % token.len();
        match position / token.len() {
            0 => token[at] = ALPHABET[pick(ALPHABET.len())],
            1 => drop(token.remove(at)),
            _ => {
                let other = pick(token.len());
                token.swap(at, other);
                token.insert(other, ALPHABET[pick(ALPHABET.len())]);
            }
        }
        let token = String::from_utf8_lossy(&token).into_owned();
        if token != valid {
            refusal(&keys, &token);
        }
    }
}
