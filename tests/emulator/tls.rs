//! Plaintext and TLS on one port, with the emulator's own certificate authority.

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use gcp_iam_credentials::emulator::{CertificateAuthority, Emulator, Fault};
use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::support::emulator::{EMAIL, get_token, http, start, stub};
use crate::support::runtime::until;

/// Returns the settings of a client that trusts only the authority of an emulator.
fn trusting(emulator: &Emulator) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(emulator.ca_pem()))
}

async fn token_over(emulator: &Emulator, tls: ClientTlsConfig) -> Result<String, Status> {
    let endpoint = format!("https://{}", emulator.address());
    let channel = Channel::from_shared(endpoint).unwrap().tls_config(tls).unwrap();
    get_token(&mut IamCredentialsClient::new(channel.connect_lazy())).await
}

/// Connects with TLS as a client of `host` and returns the certificate of the server.
fn certificate_for(emulator: &Emulator, host: &str) -> Result<CertificateDer<'static>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = StdStream::connect(emulator.address()).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket)?;
    }
    Ok(client.peer_certificates().unwrap()[0].clone().into_owned())
}

/// conf: S1
#[tokio::test]
async fn one_port_serves_plaintext_and_tls_with_one_state() {
    let emulator = start().await;
    let plain = get_token(&mut stub(&emulator)).await.unwrap();
    let encrypted = token_over(&emulator, trusting(&emulator)).await.unwrap();
    for token in [plain, encrypted] {
        assert!(emulator.verify_access_token(&token).is_some());
        let url = format!("{}/tokeninfo?access_token={token}", emulator.endpoint());
        assert_eq!(http("GET", &url, &[], "").await.0, 200);
    }
    assert_eq!(emulator.journal().entries().len(), 4);
}

/// conf: S1
#[test]
fn the_first_byte_decides_however_slowly_it_comes_and_whatever_follows() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let emulator = runtime.block_on(start());
    let connect = || StdStream::connect(emulator.address()).unwrap();
    let reply = |mut stream: StdStream| {
        let mut reply = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    };
    // Silent connections delay nobody, and one that closes without a byte is forgotten.
    let silent: Vec<_> = (0..20).map(|_| connect()).collect();
    drop(connect());
    let mut slow = connect();
    for byte in b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" {
        slow.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let received = reply(slow);
    assert!(received.starts_with("HTTP/1.1 200") && received.ends_with("ok\n"), "{received}");
    // A record that no TLS server understands.
    let mut garbage = connect();
    garbage.write_all(&[0x16; 300]).unwrap();
    let received = reply(garbage);
    assert!(!received.contains("HTTP"), "{received}");
    drop(silent);
    certificate_for(&emulator, "localhost").unwrap();
}

/// conf: S2
#[test]
fn the_certificate_is_valid_for_every_host_that_googles_libraries_hard_code() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let emulator = Emulator::builder().allow_host("Emulator.Test").allow_host("192.168.1.5");
    let emulator = runtime.block_on(emulator.public_url("http://in-a-container:8095").start()).unwrap();
    let mut hosts = vec![
        "localhost",
        "127.0.0.1",
        "::1",
        "emulator.test",
        "in-a-container",
        "192.168.1.5",
        "169.254.169.254",
        "metadata.google.internal",
        "accounts.google.com",
    ];
    let google: Vec<String> =
        ["iamcredentials", "oauth2", "www", "sts", "iam", "openidconnect", "serviceusage"]
            .iter()
            .flat_map(|name| ["", ".mtls"].map(|mtls| format!("{name}{mtls}.googleapis.com")))
            .collect();
    hosts.extend(google.iter().map(String::as_str));
    for host in hosts {
        certificate_for(&emulator, host).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
    for host in ["google.com", "example.com", "googleapis.com", "a.b.c.googleapis.com", "192.168.1.6"] {
        certificate_for(&emulator, host).expect_err(host);
    }
}

/// conf: S2
#[test]
fn strict_clients_find_all_that_they_demand_of_both_certificates() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let emulator = runtime.block_on(start());
    let authority = CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap();
    // Verifies the chain, too.
    let leaf = certificate_for(&emulator, "localhost").unwrap();
    // OpenSSL's X509_V_FLAG_X509_STRICT, which Python sets since version 3.13, demands these extensions.
    let (key_id, _) =
        extension(&authority, SUBJECT_KEY_IDENTIFIER).expect("the authority has a key identifier");
    let (issuer, critical) =
        extension(&leaf, AUTHORITY_KEY_IDENTIFIER).expect("the leaf names its issuer's key");
    // Both are the identifier after a tag and its length, in the leaf's case inside of a sequence.
    assert_eq!((&key_id[2..], critical), (&issuer[4..], false));
    for (id, what) in [(BASIC_CONSTRAINTS, "basic constraints"), (KEY_USAGE, "key usage")] {
        assert!(extension(&authority, id).expect(what).1, "{what} of the authority are critical");
    }
    let (constraints, _) = extension(&authority, BASIC_CONSTRAINTS).unwrap();
    assert_eq!(constraints, [0x30, 3, 1, 1, 0xff], "it is an authority, without a limit on the path");
    let is_authority = extension(&leaf, BASIC_CONSTRAINTS).is_some_and(|(value, _)| value.contains(&0xff));
    assert!(!is_authority, "the leaf is no authority");
    assert!(extension(&leaf, SUBJECT_ALTERNATIVE_NAME).is_some());
}

/// The last byte of the object identifiers 2.5.29.N.
const SUBJECT_KEY_IDENTIFIER: u8 = 14;
const KEY_USAGE: u8 = 15;
const SUBJECT_ALTERNATIVE_NAME: u8 = 17;
const BASIC_CONSTRAINTS: u8 = 19;
const AUTHORITY_KEY_IDENTIFIER: u8 = 35;

/// Returns the value of a certificate's extension, and whether it is critical.
fn extension<'a>(certificate: &'a CertificateDer<'_>, number: u8) -> Option<(&'a [u8], bool)> {
    let id = [0x06, 3, 0x55, 0x1d, number];
    let at = certificate.windows(id.len()).position(|window| window == id)?;
    let rest = &certificate[at + id.len()..];
    let (critical, rest) = match rest.strip_prefix(&[1, 1, 0xff]) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    // An octet string. Only the alternative names are longer than 127 bytes.
    let value = rest.get(2..2 + usize::from(rest[1] & 0x7f))?;
    Some((value, critical))
}

/// conf: S3
#[tokio::test]
async fn emulators_of_one_authority_are_trusted_alike_and_others_are_not() {
    let authority = CertificateAuthority::from_pem(&CertificateAuthority::generate().unwrap().to_pem());
    let kept = || Emulator::builder().certificate_authority(authority.clone().unwrap()).start();
    let (one, other, stranger) = (kept().await.unwrap(), kept().await.unwrap(), start().await);
    assert_eq!(one.ca_pem(), other.ca_pem());
    token_over(&one, trusting(&other)).await.unwrap();
    token_over(&other, trusting(&one)).await.unwrap();
    token_over(&one, trusting(&stranger)).await.expect_err("another authority issued the certificate");
    token_over(&stranger, trusting(&one)).await.expect_err("another authority issued the certificate");
}

#[tokio::test]
async fn faults_apply_over_tls() {
    let emulator = start().await;
    emulator.faults().inject(Fault::reset().times(1));
    token_over(&emulator, trusting(&emulator)).await.expect_err("the connection is reset");
    token_over(&emulator, trusting(&emulator)).await.unwrap();
}

/// conf: S7
#[tokio::test]
async fn a_stop_finishes_the_calls_over_tls_and_is_not_held_up_by_a_body_that_trickles() {
    let emulator = start().await;
    emulator.faults().inject(Fault::delay(Duration::from_millis(300)).times(1));
    let endpoint = Channel::from_shared(format!("https://{}", emulator.address())).unwrap();
    let channel = endpoint.tls_config(trusting(&emulator)).unwrap().connect_lazy();
    let call = tokio::spawn(async move { get_token(&mut IamCredentialsClient::new(channel)).await });
    let mut trickling = StdStream::connect(emulator.address()).unwrap();
    trickling.write_all(b"POST /token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx").unwrap();
    until("the call", || emulator.journal().entries().len() == 1).await;
    let stop = emulator.stop(Duration::from_secs(1));
    tokio::time::timeout(Duration::from_secs(20), stop).await.expect("the trickling body is given up");
    call.await.unwrap().expect("a call in progress gets its reply");
}

#[tokio::test]
async fn credential_files_name_the_endpoint_with_the_scheme_that_was_chosen() {
    let tls = Emulator::builder().tls().start().await.unwrap();
    let public = Emulator::builder().public_url("https://emulator.test:8095").start().await.unwrap();
    for (emulator, expected) in [(&tls, "https://127.0.0.1:"), (&public, "https://emulator.test:8095")] {
        let file = emulator.service_account_key_json(EMAIL);
        assert!(emulator.endpoint().starts_with(expected), "{}", emulator.endpoint());
        assert!(file.contains(emulator.endpoint()), "{file}");
    }
}
