//! Files that are replaced in every order while they are read.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::CertifiedKey;
use tempfile::TempDir;

use super::*;
use crate::proxy::Proxies;
use crate::tls::TlsOptions;

/// A certificate with its key, in PEM form, and the subject token of the certificate alone.
#[derive(Clone)]
struct Pair {
    certificate: String,
    key: String,
    token: String,
}

impl Pair {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let token = format!("[\"{}\"]", STANDARD.encode(cert.der()));
        Self { certificate: cert.pem(), key: signing_key.serialize_pem(), token }
    }

    fn is(&self, identity: &PemIdentity) -> bool {
        identity.certificates == self.certificate.as_bytes() && identity.key == self.key.as_bytes()
    }
}

struct Files {
    folder: TempDir,
    client: ClientCertificate,
}

impl Files {
    /// Has a config, and no other file yet.
    fn new() -> Self {
        Self::with_trust_chain(None)
    }

    fn with_trust_chain(name: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [config, certificate, key] =
            ["config.json", "cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let content =
            serde_json::json!({"cert_configs": {"workload": {"cert_path": certificate, "key_path": key}}});
        fs::write(&config, content.to_string()).unwrap();
        let trust_chain = name.map(|name| folder.path().join(name));
        let roots = TlsOptions {
            root_certificates: Some(Pair::new().certificate.into_bytes()),
            ..TlsOptions::default()
        };
        let http = HttpClient::new(roots, Proxies::none());
        Self { client: ClientCertificate::new(CertificateFiles { config, trust_chain }, http), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn write_pair(&self, pair: &Pair) {
        self.write("cert.pem", &pair.certificate);
        self.write("key.pem", &pair.key);
    }

    async fn read_within(&self, time: Duration) -> Result<String, Error> {
        self.client.read(Instant::now() + time).await.map(|token| token.secret().to_owned())
    }

    /// Reads what is complete.
    async fn read(&self) -> String {
        self.read_within(Duration::from_secs(20)).await.unwrap()
    }

    fn current(&self) -> Option<Arc<PemIdentity>> {
        self.client.current()
    }
}

/// conf: F15
#[tokio::test]
async fn certificate_and_key_are_read_anew_for_each_exchange() {
    let files = Files::new();
    assert!(files.current().is_none());
    let (first, second) = (Pair::new(), Pair::new());
    for pair in [&first, &second, &first] {
        files.write_pair(pair);
        assert_eq!(files.read().await, pair.token);
        let shown = files.current().unwrap();
        assert!(pair.is(&shown));
        files.read().await;
        assert!(Arc::ptr_eq(&shown, &files.current().unwrap()), "an unchanged pair stays the same one");
    }
    let moved = tempfile::tempdir().unwrap();
    let [certificate, key] = ["a", "b"].map(|name| moved.path().join(name));
    fs::write(&certificate, &second.certificate).unwrap();
    fs::write(&key, &second.key).unwrap();
    let config =
        serde_json::json!({"cert_configs": {"workload": {"cert_path": certificate, "key_path": key}}});
    files.write("config.json", &config.to_string());
    assert_eq!(files.read().await, second.token, "the config is read anew, too");
}

/// conf: F15
#[tokio::test]
async fn a_key_that_does_not_match_yet_is_waited_for_and_nothing_is_mixed() {
    let (old, new) = (Pair::new(), Pair::new());
    for (first, second) in [("cert.pem", "key.pem"), ("key.pem", "cert.pem")] {
        let files = Files::new();
        files.write_pair(&old);
        files.read().await;
        let content = |name| if name == "cert.pem" { &new.certificate } else { &new.key };
        files.write(first, content(first));
        let rotation = async {
            sleep(PAUSES[0] / 2).await;
            assert!(old.is(&files.current().unwrap()), "the old pair is shown until the new one is complete");
            files.write(second, content(second));
        };
        let (token, ()) = tokio::join!(files.read(), rotation);
        assert_eq!(token, new.token, "{first} first");
        assert!(new.is(&files.current().unwrap()));
    }
}

/// conf: F15
#[test]
fn a_replaced_file_is_noticed_without_reading_it() {
    let files = Files::with_trust_chain(Some("chain.pem"));
    let mut seen = vec![files.client.revision()];
    for name in ["cert.pem", "key.pem", "chain.pem", "config.json"] {
        files.write(name, "another content");
        seen.push(files.client.revision());
        assert_eq!(files.client.revision(), *seen.last().unwrap(), "{name}");
    }
    seen.dedup();
    assert_eq!(seen.len(), 5, "each change is noticed");
}

/// conf: F15
#[test]
fn files_that_cannot_be_used_are_named_with_their_fields_and_no_content() {
    let (pair, other) = (Pair::new(), Pair::new());
    let files = Files::with_trust_chain(Some("chain.pem"));
    let unreadable = "-----BEGIN CERTIFICATE-----\naGlkZGVu\n-----END CERTIFICATE-----\n";
    let secret_line = pair.key.lines().nth(1).unwrap();
    let leaf_last = format!("{}{}", other.certificate, pair.certificate);
    for (certificate, key, chain, problem) in [
        (
            &*pair.certificate,
            &*other.key,
            &*pair.certificate,
            "key.pem (cert_configs.workload.key_path) has a key that doesn't belong to the certificate",
        ),
        (
            &pair.certificate,
            "",
            &pair.certificate,
            "key.pem (cert_configs.workload.key_path) has no private key",
        ),
        (&pair.certificate, &pair.certificate, &pair.certificate, "has no private key"),
        (&pair.certificate, &pair.key[..pair.key.len() / 2], &pair.certificate, "has no private key"),
        ("", &pair.key, &pair.certificate, "cert.pem (cert_configs.workload.cert_path) has no certificate"),
        (&pair.key, &pair.key, &pair.certificate, "has no certificate"),
        (unreadable, &pair.key, &pair.certificate, "has a certificate that can't be read"),
        (
            &pair.certificate,
            &pair.key,
            "",
            "chain.pem (credential_source.certificate.trust_chain_path) has no certificate",
        ),
        (&pair.certificate, &pair.key, &leaf_last, "trust_chain_path) must have the certificate in the file"),
    ] {
        files.write("cert.pem", certificate);
        files.write("key.pem", key);
        files.write("chain.pem", chain);
        let error = files.client.files.read().map(drop).unwrap_err().into_error();
        let text = format!("{error} {error:?}");
        assert!(text.contains(problem) && !error.is_transient(), "{problem}: {text}");
        assert!(!text.contains(secret_line) && !text.contains("hidden"), "{text}");
    }
}

/// conf: F15
#[tokio::test]
async fn the_wait_for_a_rotation_ends_before_the_deadline() {
    let (pair, other) = (Pair::new(), Pair::new());
    let files = Files::new();
    files.write("cert.pem", &pair.certificate);
    files.write("key.pem", &other.key);
    let start = Instant::now();
    // Time for two waits, but not for the third.
    let allowed = PAUSES[0] + PAUSES[1] + PAUSES[2];
    let error = files.read_within(allowed).await.unwrap_err();
    assert!(start.elapsed() >= PAUSES[0] + PAUSES[1], "{:?}", start.elapsed());
    assert!(error.to_string().contains("doesn't belong"), "the problem is known, not only the end: {error}");
    assert!(files.current().is_none());
}

/// conf: F15
#[tokio::test]
async fn those_who_wait_for_the_same_rotation_wait_once() {
    let files = Files::new();
    files.write("cert.pem", &Pair::new().certificate);
    files.write("key.pem", &Pair::new().key);
    let allowed = PAUSES[0] + PAUSES[1] + PAUSES[2];
    let start = Instant::now();
    let read = || async { files.read_within(allowed).await.unwrap_err().to_string() };
    let errors = tokio::join!(read(), read(), read(), read());
    assert!(start.elapsed() < allowed, "{:?}", start.elapsed());
    for error in [errors.0, errors.1, errors.2, errors.3] {
        assert!(error.contains("doesn't belong"), "{error}");
    }
}

/// conf: F15
#[tokio::test]
async fn a_missing_or_huge_file_is_not_waited_for_at_the_start() {
    let pair = Pair::new();
    let files = Files::new();
    files.write("cert.pem", &pair.certificate);
    let error = files.read_within(Duration::from_secs(20)).await.unwrap_err();
    assert!(error.to_string().contains("key.pem (cert_configs.workload.key_path) can't be read"), "{error}");

    files.write("key.pem", &pair.key);
    files.read().await;
    fs::remove_file(files.path("key.pem")).unwrap();
    let replaced = async {
        sleep(PAUSES[0] / 2).await;
        files.write("key.pem", &pair.key);
    };
    let (token, ()) = tokio::join!(files.read(), replaced);
    assert_eq!(token, pair.token, "a file that was there before may be about to be replaced");

    files.write("key.pem", &format!("{}{}", pair.key, "\n".repeat(1 << 20)));
    let error = files.read_within(PAUSES[0] / 2).await.unwrap_err();
    assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
}

/// conf: F15
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_never_answers_ends_a_read_and_a_refresh() {
    let files = Files::new();
    let pair = Pair::new();
    files.write("cert.pem", &pair.certificate);
    let pipe = files.path("key.pem");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = files.read_within(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("in time"), "{error}");
    let start = Instant::now();
    files.client.refresh().await;
    files.client.refresh().await;
    assert!(start.elapsed() < REFRESH_TIME * 2, "the second one waits for nothing");
    // Ends the threads that wait.
    drop(fs::File::options().read(true).write(true).open(&pipe));
}

/// conf: F15
#[tokio::test]
async fn calls_see_a_new_pair_only_when_their_last_look_is_old_and_the_pair_is_complete() {
    let files = Files::new();
    let (old, new) = (Pair::new(), Pair::new());
    files.write_pair(&old);
    files.read().await;
    let is_due = async || files.client.reading.lock().await.next_refresh = Some(Instant::now());

    files.write("cert.pem", &new.certificate);
    is_due().await;
    files.client.refresh().await;
    assert!(old.is(&files.current().unwrap()), "half a pair isn't used");

    files.write("key.pem", &new.key);
    files.client.refresh().await;
    assert!(old.is(&files.current().unwrap()), "the files were read a short time ago");
    is_due().await;
    files.client.refresh().await;
    assert!(new.is(&files.current().unwrap()));
}

/// Replaces the files in every order and way, while they are read all the time: no pair is ever mixed,
/// and the last one is found.
///
/// conf: F15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_at_every_moment_mix_nothing() {
    const READS: usize = 50;
    let pairs: Arc<Vec<Pair>> = Arc::new((0..8).map(|_| Pair::new()).collect());
    let files = Arc::new(Files::new());
    files.write_pair(&pairs[0]);
    let is_enough = Arc::new(AtomicBool::new(false));
    let writer = {
        let (files, pairs, end) = (Arc::clone(&files), Arc::clone(&pairs), Arc::clone(&is_enough));
        std::thread::spawn(move || rotate(&files, &pairs, &end))
    };
    let mut reads = 0;
    while reads < READS {
        // A read without time to wait fails if it finds no complete pair.
        if let Ok(token) = files.read_within(PAUSES[0]).await {
            let shown = files.current().unwrap();
            let pair = pairs.iter().find(|pair| pair.is(&shown)).expect("a pair is shown as it was written");
            assert_eq!(token, pair.token, "the token is of the pair that is shown");
            reads += 1;
        }
    }
    is_enough.store(true, Ordering::Relaxed);
    let last = writer.join().unwrap();
    assert_eq!(files.read().await, pairs[last].token);
}

/// Writes pairs until `end`. Returns which one is the last.
fn rotate(files: &Files, pairs: &[Pair], end: &AtomicBool) -> usize {
    let mut seed = 1_u64;
    let mut random = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    let mut last = 0;
    while !end.load(Ordering::Relaxed) {
        last = random(pairs.len() as u64) as usize;
        let pair = &pairs[last];
        let mut order = [("cert.pem", &pair.certificate), ("key.pem", &pair.key)];
        if random(2) == 0 {
            order.reverse();
        }
        for (name, content) in order {
            match random(4) {
                // In two parts.
                0 => {
                    files.write(name, &content[..random(content.len() as u64) as usize]);
                    std::thread::sleep(Duration::from_micros(random(500)));
                    files.write(name, content);
                }
                // After it was missing.
                1 => {
                    fs::remove_file(files.path(name)).unwrap();
                    files.write(name, content);
                }
                // At once.
                2 => {
                    files.write("new", content);
                    fs::rename(files.path("new"), files.path(name)).unwrap();
                }
                _ => files.write(name, content),
            }
            std::thread::sleep(Duration::from_micros(random(3000)));
        }
    }
    last
}
