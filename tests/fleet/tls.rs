//! Clients with certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use gcp_iam_credentials::broker::{BrokerServer, ServerTls, Socket};
use gcp_iam_credentials::emulator::Emulator;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::envoy::{check, header};
use crate::exchange::GRANT;
use crate::proto::authorization_client::AuthorizationClient;
use crate::support::authority::Authority;
use crate::support::emulator;
use crate::{BANK, ENVOY, SHOP, WEB, broker, own_grant, token_info, web_grant};

/// A broker with TLS, its authority, and its address.
async fn with_tls(emulator: &Emulator) -> (BrokerServer, Authority) {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost");
    let tls = ServerTls::new(certificate.as_bytes(), key.as_bytes(), authority.pem().as_bytes()).unwrap();
    let server = BrokerServer::builder(broker(emulator, &[web_grant(), own_grant(BANK)]))
        .listen(Socket::tls("127.0.0.1:0".parse().unwrap(), tls))
        .start()
        .await
        .unwrap();
    (server, authority)
}

fn channel(server: &BrokerServer, authority: &Authority, identity: Option<(String, String)>) -> Channel {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .domain_name("localhost");
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", server.addresses()[0])).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}

/// conf: Y13
#[tokio::test]
async fn only_a_peer_of_the_policy_may_say_on_whose_behalf_it_asks() {
    let emulator = emulator::start().await;
    let (server, authority) = with_tls(&emulator).await;
    let strangers = Authority::new();
    for (identity, expected) in [
        (Some(authority.issue_uri(ENVOY)), None),
        // The identity of a program that could claim to be another one.
        (Some(authority.issue_uri(WEB)), Some(Code::PermissionDenied)),
        (Some(authority.issue_uri("spiffe://example.org/ns/mesh/sa/envoy/x")), Some(Code::PermissionDenied)),
        // An identity is a URI if there is one, so that of a DNS name can't be added to it.
        (Some(authority.issue("envoy")), Some(Code::PermissionDenied)),
        (Some(strangers.issue_uri(ENVOY)), Some(Code::Unavailable)),
        (None, Some(Code::Unavailable)),
    ] {
        let shown = identity.is_some();
        let mut envoy = AuthorizationClient::new(channel(&server, &authority, identity));
        let reply = envoy.check(check(WEB, &[("target", SHOP)])).await;
        match (reply, expected) {
            (Ok(reply), None) => assert!(header(&reply.into_inner()).is_some()),
            (Err(status), Some(Code::Unavailable)) => {
                // The connection ended in the handshake: which code that has is the client's affair.
                assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{shown}: {status}");
            }
            (Err(status), Some(code)) => assert_eq!(status.code(), code, "{status}"),
            (reply, expected) => panic!("{expected:?}: {:?}", reply.is_ok()),
        }
    }
}

/// conf: Y13
#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_on_new_connections() {
    let emulator = emulator::start().await;
    let (server, old) = with_tls(&emulator).await;
    let new = Authority::new();
    let (certificate, key) = new.issue("localhost");
    let tls = ServerTls::new(certificate.as_bytes(), key.as_bytes(), new.pem().as_bytes()).unwrap();
    server.set_tls(&tls);
    for (authority, works) in [(&new, true), (&old, false)] {
        let channel = channel(&server, authority, Some(authority.issue_uri(ENVOY)));
        let reply = AuthorizationClient::new(channel).check(check(WEB, &[("target", SHOP)])).await;
        assert_eq!(reply.is_ok(), works);
    }
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
    let (server, authority) = with_tls(&emulator).await;
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
