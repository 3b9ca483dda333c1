//! Client certificates as subject tokens (X.509), shown to both services.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gcp_iam_credentials::credentials::CredentialsBuilder;
use gcp_iam_credentials::emulator::{Emulator, Fault, Method};
use gcp_iam_credentials::{Credentials, Error, ErrorKind};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::accounts::TARGET;
use crate::support::authority::{Authority, acceptor_for};
use crate::support::federation::AUDIENCE;
use crate::support::mutual_tls::MutualTls;
use crate::support::token_server::{Answer, TokenServer};

/// Both services, which require certificates of one authority, and a client's files.
struct Services {
    authority: Authority,
    emulator: Emulator,
    sts: TokenServer,
    sts_front: MutualTls,
    iam_front: MutualTls,
    folder: TempDir,
}

impl Services {
    /// The STS gives tokens that live for `lifetime` seconds.
    async fn start(lifetime: u64) -> Self {
        let authority = Authority::new();
        let emulator = Emulator::builder().start().await.unwrap();
        let sts = TokenServer::start([Answer::Token(lifetime)]).await;
        let front = |protocol| acceptor_for(&authority, "localhost", Some(&authority), &[protocol]);
        let sts_front = MutualTls::start(sts.address(), front(b"http/1.1")).await;
        let iam_front = MutualTls::start(emulator.address(), front(b"h2")).await;
        let services =
            Self { sts_front, iam_front, authority, emulator, sts, folder: tempfile::tempdir().unwrap() };
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| services.path(name));
        let files = json!({"cert_path": certificate, "key_path": key});
        services.write("config.json", &json!({"cert_configs": {"workload": files}}).to_string());
        services
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Returns the leaf in DER form.
    fn write_pair(&self, (certificate, key): &(String, String)) -> Vec<u8> {
        self.write("cert.pem", certificate);
        self.write("key.pem", key);
        der(certificate)
    }

    /// Issues another certificate, and replaces the files.
    fn rotate(&self) -> Vec<u8> {
        self.write_pair(&self.authority.issue("client"))
    }

    fn builder(&self) -> CredentialsBuilder {
        Credentials::builder().root_certificates(self.authority.pem())
    }

    /// Returns the file of an identity.
    fn identity_file(&self) -> Value {
        json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:mtls",
            "token_url": self.sts_front.url("/token"),
            "credential_source": {"certificate": {
                "certificate_config_location": self.path("config.json"),
                "trust_chain_path": self.path("chain.pem"),
            }},
        })
    }

    /// Returns the file of an identity that impersonates [`TARGET`].
    fn file(&self) -> String {
        let path = format!("/v1/projects/-/serviceAccounts/{TARGET}:generateAccessToken");
        let mut file = self.identity_file();
        file["service_account_impersonation_url"] = self.iam_front.url(&path).into();
        file.to_string()
    }

    /// Returns the certificates in the subject token of the last exchange.
    fn exchanged(&self) -> Vec<Vec<u8>> {
        let form = self.sts.forms().pop().unwrap();
        let token = form.split('&').find_map(|field| field.strip_prefix("subject_token=")).unwrap();
        let token = percent_decode_str(token).decode_utf8().unwrap().into_owned();
        let chain: Vec<String> = serde_json::from_str(&token).unwrap();
        chain.iter().map(|certificate| STANDARD.decode(certificate).unwrap()).collect()
    }
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// conf: F15
#[tokio::test]
async fn a_certificate_is_exchanged_with_its_chain_and_shown_to_both_services() {
    let services = Services::start(3600).await;
    let leaf = services.rotate();
    services.write("chain.pem", &services.authority.pem());
    let credentials = services.builder().json(&services.file()).unwrap();
    let token = credentials.token().await.unwrap();
    let known = services.emulator.verify_access_token(token.secret()).unwrap();
    assert!(known.principal().ends_with(TARGET), "{}", known.principal());

    assert_eq!(services.exchanged(), [leaf.clone(), der(&services.authority.pem())]);
    for front in [&services.sts_front, &services.iam_front] {
        assert_eq!(front.shown(), std::slice::from_ref(&leaf));
    }
    let form = services.sts.forms().pop().unwrap();
    assert!(form.contains("subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Amtls"), "{form}");
    let metrics = services.sts.heads()[0]["x-goog-api-client"].clone();
    assert!(metrics.to_str().unwrap().contains("source/x509 sa-impersonation/true"), "{metrics:?}");
}

/// conf: F15
#[tokio::test]
async fn a_rotated_certificate_is_shown_on_new_connections_and_old_calls_finish() {
    let services = Services::start(1).await;
    services.write("chain.pem", &services.authority.pem());
    let first = services.rotate();
    let deployer = services.builder().json_impersonation(&services.file()).unwrap();
    let signer = deployer.signer().unwrap();
    signer.sign_blob("bytes").await.unwrap();

    // The old certificate's connection is needed until this call ends.
    let slow = Fault::delay(Duration::from_secs(2)).method(Method::SignBlob).times(1);
    services.emulator.faults().inject(slow);
    let old_call = tokio::spawn({
        let signer = signer.clone();
        async move { signer.sign_blob("bytes").await.map(drop) }
    });
    let second = services.rotate();
    // The token of the STS expires, so the files are read again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    signer.sign_blob("bytes").await.unwrap();
    assert_eq!(services.iam_front.shown(), [first.clone(), second.clone()]);
    assert_eq!(services.sts_front.shown().last(), Some(&second));
    assert_eq!(services.exchanged()[0], second);
    assert!(!old_call.is_finished(), "the old call is still waiting");
    old_call.await.unwrap().unwrap();
}

/// conf: F15
#[tokio::test]
async fn a_refused_certificate_is_an_error_without_secrets_until_another_one_is_there() {
    let services = Services::start(3600).await;
    services.write("chain.pem", &services.authority.pem());
    let credentials = services.builder().json(&services.file()).unwrap();
    let expired = services.authority.issue_expired("client");
    let foreign = Authority::new().issue("client");
    for pair in [&expired, &foreign] {
        services.write_pair(pair);
        let error = credentials.refresh().await.unwrap_err();
        assert_shows_no_key(&error, &pair.1);
        assert_eq!(error.kind(), ErrorKind::Credentials, "{error:?}");
        let text = format!("{error:#}");
        assert!(text.contains("localhost refuses the client certificate: "), "{text}");
        assert_eq!(services.sts.requests(), 0);
    }
    services.rotate();
    credentials.refresh().await.unwrap();
}

fn assert_shows_no_key(error: &Error, key: &str) {
    let text = format!("{error:#} {error:?} {error:#?}");
    let line = key.lines().nth(1).unwrap();
    assert!(!text.contains(line) && !text.contains(&line[8..24]), "{text}");
}

/// conf: F15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exchanged_certificate_is_the_shown_one_while_others_replace_the_files() {
    const CERTIFICATES: usize = 8;
    let services = Services::start(3600).await;
    services.write("chain.pem", &services.authority.pem());
    services.rotate();
    let credentials = services.builder().json(&services.identity_file().to_string()).unwrap();
    let is_enough = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let pairs: Vec<_> = (0..4).map(|_| services.authority.issue("client")).collect();
        let (folder, end) = (services.folder.path().to_owned(), Arc::clone(&is_enough));
        move || rotate_until(&end, &pairs, &folder)
    });
    // Each new certificate is shown on a new connection.
    while services.sts_front.shown().len() < CERTIFICATES {
        // Not every exchange finds a complete pair in time.
        if credentials.refresh().await.is_ok() {
            let leaf = services.exchanged().remove(0);
            assert_eq!(services.sts_front.shown().last(), Some(&leaf));
        }
    }
    is_enough.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

/// Replaces one file after the other.
fn rotate_until(end: &AtomicBool, pairs: &[(String, String)], folder: &Path) {
    for (number, (certificate, key)) in pairs.iter().cycle().enumerate() {
        if end.load(Ordering::Relaxed) {
            return;
        }
        let mut files = [("cert.pem", certificate), ("key.pem", key)];
        files.rotate_left(number % 2);
        for (name, content) in files {
            std::fs::write(folder.join(name), content).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}
