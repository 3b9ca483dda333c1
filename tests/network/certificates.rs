//! Certificate authorities and identities that the program gives for all servers of credentials.

use gcp_iam_credentials::Credentials;

use crate::support::accounts::{TARGET, USER};
use crate::support::authority::{Authority, acceptor_for};
use crate::support::proxy::{Login, Proxy};
use crate::{assert_acts_as_target, assert_gets_token_of, emulator, impersonation_file, user_file};

/// conf: G9
#[tokio::test]
async fn credentials_trust_the_given_authorities_at_every_server_and_no_others() {
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let builder = || Credentials::builder().proxy(proxy.url_without_login("http"));
    let trusting = builder().root_certificates(emulator.ca_pem());
    assert_acts_as_target(&trusting.json(&impersonation_file(&emulator, TARGET)).unwrap(), &emulator).await;

    let distrusting = builder().root_certificates(Authority::new().pem());
    let error = distrusting.json(&user_file(&emulator)).unwrap().token().await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert!(format!("{error:#}").contains("certificate"), "{error:#}");
}

/// conf: G9
#[tokio::test]
async fn a_token_endpoint_that_asks_for_a_client_certificate_gets_it() {
    let (emulator, authority) = (emulator().await, Authority::new());
    // A server that requires certificates, in front of the emulator.
    let tls = acceptor_for(&authority, "localhost", Some(&authority), &[]);
    let server = super::tls_in_front_of(emulator.address(), emulator.ca_pem(), tls).await;
    let mut file: serde_json::Value = serde_json::from_str(&emulator.authorized_user_json(USER)).unwrap();
    file["token_uri"] = format!("https://localhost:{}/token", server.port()).into();
    let file = file.to_string();
    let builder = || Credentials::builder().root_certificates(authority.pem());

    let (certificate, key) = authority.issue("client");
    let known = builder().client_identity(certificate, key).json(&file).unwrap();
    assert_gets_token_of(USER, &known, &emulator).await;

    assert!(builder().json(&file).unwrap().token().await.is_err());
}

/// conf: G9
#[tokio::test]
async fn with_an_identity_the_usual_server_of_the_api_is_the_one_for_certificates() {
    let emulator = emulator().await;
    let (certificate, key) = Authority::new().issue("client");
    let builder = || Credentials::builder().root_certificates(emulator.ca_pem()).no_proxy();
    let file = impersonation_file(&emulator, TARGET);
    let explained = builder().client_identity(certificate, key).json(&file).unwrap().explain().to_string();
    assert!(explained.contains("https://iamcredentials.mtls.googleapis.com"), "{explained}");
    let explained = builder().json(&file).unwrap().explain().to_string();
    assert!(explained.contains("https://iamcredentials.googleapis.com"), "{explained}");
}

/// conf: G9
#[test]
fn options_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let file = r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r"}"#;
    let authority = Authority::new();
    let (certificate, _) = authority.issue("client");
    let (_, other_key) = authority.issue("client");
    for (builder, field) in [
        (Credentials::builder().root_certificates("no certificate"), "root_certificates"),
        (Credentials::builder().client_identity("no certificate", "no key"), "client_identity"),
        (Credentials::builder().client_identity(certificate, other_key), "client_identity"),
    ] {
        assert_eq!(builder.json(file).unwrap_err().field(), Some(field));
    }
}
