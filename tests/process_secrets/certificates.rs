//! Client certificates as subject tokens: their private key.

use std::time::Duration;

use gcp_iam_credentials::Credentials;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::Scene;
use crate::federation::use_credentials;
use crate::support::authority::{Authority, acceptor_for};
use crate::support::federation::AUDIENCE;
use crate::support::mutual_tls::MutualTls;
use crate::support::token_server::{Answer, TokenServer};

const PLACE: &str = "certificate";
const NAME: &str = "private key of a certificate";

pub(crate) async fn run(scene: &Scene) {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("client");
    scene.secrets.add(NAME, private_part(&key), false);
    let sts = TokenServer::start([Answer::Token(3600)]).await;
    let acceptor = acceptor_for(&authority, "localhost", Some(&authority), &[b"http/1.1"]);
    let front = MutualTls::start(sts.address(), acceptor).await;
    // Each has a certificate of its own.
    let builder = || Credentials::builder().root_certificates(authority.pem());

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, content: &str| std::fs::write(path(name), content).unwrap();
    let files = json!({"cert_path": path("cert.pem"), "key_path": path("key.pem")});
    write("config.json", &json!({"cert_configs": {"workload": files}}).to_string());
    let file = |certificate: Value| {
        json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:mtls",
            "token_url": front.url("/token"),
            "credential_source": {"certificate": certificate},
        })
        .to_string()
    };
    let whole =
        json!({"certificate_config_location": path("config.json"), "trust_chain_path": path("chain.pem")});
    let half = &key[..key.len() / 2];
    for [certificate, key, chain] in [
        [&*certificate, &*key, &*certificate],
        [&key, &key, &certificate],
        [&certificate, half, &certificate],
        [&certificate, &key, &key],
        [&certificate, &key.replace("PRIVATE", "OTHER"), &certificate],
    ] {
        write("cert.pem", certificate);
        write("key.pem", key);
        write("chain.pem", chain);
        let credentials = scene.shown.outcome(PLACE, builder().json(&file(whole.clone()))).unwrap();
        // Broken files are waited for longer. What is wrong with them is in the log.
        let _ = timeout(Duration::from_millis(700), use_credentials(scene, &credentials)).await;
    }
    assert_eq!(front.shown().len(), 1);
    scene.secrets.used(NAME);
    let misplaced = json!({"cert_path": key, "key_path": key});
    write("config.json", &json!({"cert_configs": {"workload": misplaced}}).to_string());
    scene.shown.outcome(PLACE, builder().json(&file(whole.clone())));
    write("config.json", &key);
    for wrong in [whole, json!(key), json!({"certificate_config_location": key}), json!({ &*key: key })] {
        scene.shown.outcome(PLACE, builder().json(&file(wrong)));
    }
}

/// Returns the private number of a key on the curve P-256, in PKCS#8 form.
fn private_part(key: &str) -> Vec<u8> {
    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    der.secret_der()[36..68].to_vec()
}
