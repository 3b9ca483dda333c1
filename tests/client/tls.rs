//! TLS as users set it up, in a build that holds both crypto providers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gcp_iam_credentials::{ClientBuilder, ErrorKind, IamCredentialsClient, RetryPolicy};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::assert_says_nothing_twice;
use crate::support::accounts::TARGET;
use crate::support::authority::{Authority, acceptor};
use crate::support::runtime::ms;
use crate::support::scripted_service::{Script, fixed};

/// Starts a TLS server for `name` and returns its port.
///
/// With `clients`, it requires client certificates of that authority.
async fn serve(script: &Script, authority: &Authority, name: &str, clients: Option<&Authority>) -> u16 {
    let acceptor = acceptor(authority, name, clients);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(accept(listener, acceptor, script.clone(), Duration::ZERO, Arc::default()));
    port
}

/// Serves and counts the connections. Each handshake is answered after `delay`.
async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    script: Script,
    delay: Duration,
    connections: Arc<AtomicUsize>,
) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, script) = (acceptor.clone(), script.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let service = hyper::service::service_fn(move |request| script.clone().handle(request));
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn client(host: &str, port: u16) -> ClientBuilder {
    IamCredentialsClient::builder()
        .credentials(fixed())
        .endpoint(format!("https://{host}:{port}"))
        .timeout(Duration::from_secs(20))
}

/// conf: G9, M26
#[tokio::test]
async fn a_custom_root_certificate_is_trusted() {
    let (script, authority) = (Script::default(), Authority::new());
    let port = serve(&script, &authority, "localhost", None).await;
    let trusting = client("localhost", port).root_certificates(authority.pem()).build().unwrap();
    trusting.sign_blob(TARGET, "").await.unwrap();
    assert_eq!(script.calls(), 1);
}

/// conf: G9
#[tokio::test]
async fn an_unknown_authority_or_a_wrong_name_fails_without_retry() {
    let (script, authority) = (Script::default(), Authority::new());
    let port = serve(&script, &authority, "localhost", None).await;
    let misnamed = serve(&script, &authority, "another.example", None).await;
    for builder in [
        client("localhost", port).root_certificates(Authority::new().pem()),
        client("localhost", misnamed).root_certificates(authority.pem()),
        client("127.0.0.1", port).root_certificates(authority.pem()),
    ] {
        let error = builder.build().unwrap().sign_blob(TARGET, "").await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, false), "{error}");
        assert_eq!(error.attempts(), 0);
        assert!(format!("{error:#}").contains("certificate"), "{error:#}");
        assert_says_nothing_twice(&error);
    }
    assert_eq!(script.calls(), 0);
}

/// conf: G9
#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_gets_it() {
    let (script, authority) = (Script::default(), Authority::new());
    let port = serve(&script, &authority, "localhost", Some(&authority)).await;
    let anonymous = || client("localhost", port).root_certificates(authority.pem());
    let (certificate, key) = authority.issue("client");
    anonymous().client_identity(certificate, key).build().unwrap().sign_blob(TARGET, "").await.unwrap();
    assert_eq!(script.calls(), 1);

    let (strange, key) = Authority::new().issue("client");
    for builder in [anonymous(), anonymous().client_identity(strange, key)] {
        let error = builder.build().unwrap().sign_blob(TARGET, "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    }
    assert_eq!(script.calls(), 1);
}

/// conf: G9
#[tokio::test]
async fn plaintext_to_a_tls_port_and_tls_to_a_plain_port_are_transport_errors() {
    let (script, authority) = (Script::default(), Authority::new());
    let port = serve(&script, &authority, "localhost", None).await;
    let plain =
        IamCredentialsClient::builder().credentials(fixed()).endpoint(format!("http://localhost:{port}"));
    let plain = plain.retry(RetryPolicy::new().max_attempts(3)).build().unwrap();
    let error = plain.sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");

    let server = script.serve().await;
    let secure = client("localhost", server.address.port()).root_certificates(authority.pem());
    let error = secure.build().unwrap().sign_blob(TARGET, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
}

/// conf: A9
#[tokio::test]
async fn attempts_that_are_shorter_than_the_handshake_get_a_connection_in_the_end() {
    let (script, authority) = (Script::default(), Authority::new());
    let acceptor = acceptor(&authority, "localhost", None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client("localhost", listener.local_addr().unwrap().port());
    let client = client.root_certificates(authority.pem()).attempt_timeout(ms(100)).build().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    tokio::spawn(accept(listener, acceptor, script.clone(), ms(400), Arc::clone(&connections)));
    for _ in 0..3 {
        client.sign_blob(TARGET, "").await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// conf: M26
#[tokio::test]
async fn both_crypto_providers_in_one_build_do_not_panic() {
    // No provider is installed for the process, so code that relies on the installed one panics.
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    let _ = (rustls::crypto::ring::default_provider(), rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = Authority::new().issue("client");
    client("localhost", 1).build().unwrap();
    client("localhost", 1).client_identity(certificate, key).build().unwrap();
    assert!(
        rustls::crypto::CryptoProvider::get_default().is_none(),
        "the crate installed one for the process"
    );
}
