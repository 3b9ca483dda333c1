//! Token exchange.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use gcp_iam_credentials::broker::{BrokerServer, ServerTls, Socket};
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::authority::Authority;
use crate::support::emulator::{self, json, text};
use crate::{BANK, ENVOY, SHOP, WEB, broker, own_grant, token_info, web_grant};

const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
                     &subject_token=x&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn start(emulator: &Emulator) -> (BrokerServer, SocketAddr) {
    let server = BrokerServer::builder(broker(emulator, &[own_grant(SHOP), own_grant(BANK)]))
        .listen(Socket::loopback("127.0.0.1:0".parse().unwrap()))
        .start()
        .await
        .unwrap();
    let address = server.addresses()[0];
    (server, address)
}

async fn post(address: SocketAddr, form: &str) -> (u16, Value) {
    json("POST", &format!("http://{address}/token"), &[FORM], form.to_owned()).await
}

/// conf: Y15
#[tokio::test]
async fn a_process_exchanges_its_user_for_a_token() {
    let emulator = emulator::start().await;
    let (_server, address) = start(&emulator).await;
    for (rest, account) in [
        ("", SHOP),
        ("&audience=ignored", SHOP),
        ("&resource=bank%40project.iam.gserviceaccount.com", BANK),
        (
            "&resource=https%3A%2F%2Fiamcredentials.googleapis.com%2Fv1%2Fprojects%2F-%2FserviceAccounts%2Fbank%40project.iam.gserviceaccount.com",
            BANK,
        ),
        ("&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform", SHOP),
    ] {
        let (status, reply) = post(address, &format!("{GRANT}{rest}")).await;
        assert_eq!(status, 200, "{rest}: {reply}");
        assert_eq!(reply["token_type"], "Bearer");
        assert_eq!(reply["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
        assert!((3_500..=3_600).contains(&reply["expires_in"].as_u64().unwrap()), "{}", reply["expires_in"]);
        let (email, scope) = token_info(&emulator, reply["access_token"].as_str().unwrap());
        assert_eq!((email.as_str(), scope.as_str()), (account, CLOUD_PLATFORM), "{rest}");
    }
    let id_token = "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token&audience=https%3A%2F%2Fa.run.app";
    let (status, reply) = post(address, &format!("{GRANT}{id_token}")).await;
    assert_eq!((status, reply["token_type"].as_str()), (200, Some("N_A")), "{reply}");
    assert_eq!(reply["access_token"].as_str().unwrap().split('.').count(), 3);
}

/// conf: Y15
#[tokio::test]
async fn an_exchange_that_cannot_be_made_is_an_error_of_oauth() {
    let emulator = emulator::start().await;
    let (_server, address) = start(&emulator).await;
    let large = format!("{GRANT}&x={}", "x".repeat(70_000));
    for (form, status, error) in [
        ("", 400, "unsupported_grant_type"),
        ("grant_type=password", 400, "unsupported_grant_type"),
        ("grant_type=urn:ietf:params:oauth:grant-type:token-exchange", 400, "invalid_request"),
        (&format!("{GRANT}&subject_token=y"), 400, "invalid_request"),
        (&format!("{GRANT}&requested_token_type=urn:x"), 400, "invalid_request"),
        (
            &format!("{GRANT}&requested_token_type=urn:ietf:params:oauth:token-type:id_token"),
            400,
            "invalid_request",
        ),
        (&format!("{GRANT}&scope=https://www.googleapis.com/auth/pubsub"), 400, "unauthorized_client"),
        (&format!("{GRANT}&resource=other@project.iam.gserviceaccount.com"), 400, "unauthorized_client"),
        (&format!("{GRANT}&resource=no%20account"), 400, "unauthorized_client"),
        (&large, 400, "invalid_request"),
    ] {
        let (got, reply) = post(address, form).await;
        assert_eq!((got, reply["error"].as_str()), (status, Some(error)), "{form:.200}: {reply}");
    }
    let url = format!("http://{address}/token");
    assert_eq!(text("GET", &url, &[], "").await.0, 405);
    // A web page that has its own name resolved to this machine.
    assert_eq!(text("POST", &url, &[FORM, ("host", "evil.example")], GRANT).await.0, 403);
    assert!(emulator.journal().entries().is_empty());
}

/// Posts a form over TLS with a client certificate, and returns status and body.
async fn post_over_tls(
    address: SocketAddr,
    authority: &Authority,
    identity: &str,
    form: &str,
) -> (u16, Value) {
    let (certificate, key) = authority.issue_uri(identity);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/token")
        .header("host", "broker.example")
        .body(Full::new(Bytes::from(form.to_owned())));
    let reply = sender.send_request(request.unwrap()).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// conf: Y15
#[tokio::test]
async fn over_tls_a_caller_is_the_identity_in_its_certificate() {
    let emulator = emulator::start().await;
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost");
    let tls = ServerTls::new(certificate.as_bytes(), key.as_bytes(), authority.pem().as_bytes()).unwrap();
    let server = BrokerServer::builder(broker(&emulator, &[web_grant(), own_grant(BANK)]))
        .listen(Socket::tls("127.0.0.1:0".parse().unwrap(), tls))
        .start()
        .await
        .unwrap();
    let address = server.addresses()[0];
    let (status, reply) = post_over_tls(address, &authority, WEB, GRANT).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(token_info(&emulator, reply["access_token"].as_str().unwrap()).0, SHOP);
    for (identity, rest) in [
        (WEB, "&resource=bank%40project.iam.gserviceaccount.com"),
        // A peer may say on whose behalf it asks, and has no account of its own.
        (ENVOY, ""),
        (ENVOY, "&resource=shop%40project.iam.gserviceaccount.com"),
    ] {
        let (status, reply) = post_over_tls(address, &authority, identity, &format!("{GRANT}{rest}")).await;
        assert_eq!(
            (status, reply["error"].as_str()),
            (400, Some("unauthorized_client")),
            "{identity} {rest}"
        );
    }
}
