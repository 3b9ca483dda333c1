//! Connections through proxies, to Google's host names, which lead to the emulator.

use std::time::Duration;

use gcp_iam_credentials::credentials::CredentialsBuilder;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{ClientBuilder, Credentials, Error, ErrorKind, IamCredentialsClient, RetryPolicy};
use tokio::time::Instant;

use crate::support::accounts::TARGET;
use crate::support::authority::{Authority, acceptor_for};
use crate::support::closed_port::ClosedPort;
use crate::support::emulator::client_of;
use crate::support::proxy::{Login, PASSWORD, Proxy};
use crate::support::scripted_service::fixed;
use crate::{API, TOKENS, assert_acts_as_target, emulator, impersonation_file};

fn client(roots: &str, proxy: String) -> ClientBuilder {
    IamCredentialsClient::builder().credentials(fixed()).root_certificates(roots).proxy(proxy)
}

fn credentials(roots: &str, proxy: String) -> CredentialsBuilder {
    Credentials::builder().root_certificates(roots).proxy(proxy)
}

/// conf: F14
#[tokio::test]
async fn the_channel_goes_through_a_proxy_of_any_kind_with_its_user_and_password() {
    let (emulator, authority) = (emulator().await, Authority::new());
    let tls = acceptor_for(&authority, "localhost", None, &[]);
    let over_tls = Proxy::start_with(emulator.address(), Login::Needed, Some(tls)).await;
    let plain = Proxy::start(emulator.address(), Login::Needed).await;
    let roots = format!("{}{}", emulator.ca_pem(), authority.pem());
    for (proxy, url) in [
        (&plain, plain.url("http")),
        (&plain, plain.url("socks5")),
        (&plain, plain.url("socks5h")),
        (&over_tls, over_tls.url("https").replace("127.0.0.1", "localhost")),
    ] {
        let before = proxy.destinations().len();
        let client = client(&roots, url).build().unwrap();
        for _ in 0..2 {
            client.generate_access_token(TARGET, [CLOUD_PLATFORM]).await.unwrap();
        }
        assert_eq!(proxy.destinations()[before..], [format!("{API}:443")]);
    }
}

/// conf: F14
#[tokio::test]
async fn token_endpoints_and_the_api_of_a_file_go_through_the_proxy() {
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::Needed).await;
    for scheme in ["http", "socks5"] {
        let before = proxy.destinations().len();
        let builder = credentials(emulator.ca_pem(), proxy.url(scheme));
        assert_acts_as_target(&builder.json(&impersonation_file(&emulator, TARGET)).unwrap(), &emulator)
            .await;
        assert_eq!(proxy.destinations()[before..], [format!("{TOKENS}:443"), format!("{API}:443")]);
    }
}

async fn failure_of(outcome: impl Future<Output = Result<(), Error>>) -> Error {
    let start = Instant::now();
    let error = outcome.await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    error
}

/// conf: F14
#[tokio::test]
async fn a_proxy_that_requires_a_password_is_a_permanent_error_with_advice() {
    // The user and the password, in any form. What is logged is another test's concern: it has a
    // process of its own.
    const SECRETS: [&str; 5] = [PASSWORD, "pass%2F", "pass/hidden", "cHJveHktdXNlcj", "proxy-user"];
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::Needed).await;
    for scheme in ["http", "socks5"] {
        for url in [proxy.url_without_login(scheme), proxy.url(scheme).replace("%2Fword", "%2Fhidden")] {
            let before = proxy.refused();
            let client = client(emulator.ca_pem(), url.clone()).build().unwrap();
            let call = async { client.sign_blob(TARGET, "").await.map(|_| ()) };
            let of_client = failure_of(call).await;
            let file = impersonation_file(&emulator, TARGET);
            let credentials = credentials(emulator.ca_pem(), url).json(&file).unwrap();
            let of_source = failure_of(async { credentials.token().await.map(|_| ()) }).await;
            for error in [of_client, of_source] {
                let text = format!("{error:#} {error:?}");
                assert!(!error.is_transient(), "{text}");
                assert!(text.contains(&format!("the proxy {}", proxy.address)), "{text}");
                assert!(error.hint().is_some_and(|hint| hint.contains("HTTPS_PROXY=")), "{text}");
                assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
            }
            assert_eq!(proxy.refused(), before + 2, "one attempt each");
        }
    }
    assert_eq!(proxy.destinations(), [""; 0]);
}

/// conf: F14
#[tokio::test]
async fn a_proxy_that_is_away_is_named_in_a_transient_error() {
    let closed = ClosedPort::new();
    let address = closed.address();
    let client = client(emulator().await.ca_pem(), format!("http://user:hidden@{address}"));
    let client = client.retry(RetryPolicy::none()).build().unwrap();
    let error = client.sign_blob(TARGET, "").await.unwrap_err();
    assert!(error.is_transient() && error.kind() == ErrorKind::Transport, "{error:?}");
    let text = format!("{error:#}");
    assert_eq!(text.matches(&format!("the proxy {address}")).count(), 1, "{text}");
    assert!(!format!("{text} {error:?}").contains("hidden"), "{error:?}");
}

/// conf: F14
#[tokio::test]
async fn this_machine_is_called_directly_and_no_proxy_turns_a_proxy_off() {
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let url = proxy.url_without_login("http");
    let client = client(emulator.ca_pem(), url.clone()).endpoint(emulator.endpoint()).build().unwrap();
    client.sign_blob(TARGET, "").await.unwrap();
    let user = emulator.authorized_user_json("me@example.com");
    credentials(emulator.ca_pem(), url.clone()).json(&user).unwrap().token().await.unwrap();

    let off = IamCredentialsClient::builder().credentials(fixed()).proxy("no proxy at all").no_proxy();
    off.build().unwrap();
    assert_eq!(proxy.destinations(), [""; 0]);

    // A client of another service has its own connections.
    let service = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let given = IamCredentialsClient::builder().credentials(client_of(&emulator).credentials().clone());
    let error = given.proxy(url).build_with(service).unwrap_err();
    assert_eq!(error.field(), Some("proxy"));
}

/// conf: F14
#[test]
fn a_setting_that_is_no_proxy_is_refused_when_the_client_is_made() {
    let error = IamCredentialsClient::builder().credentials(fixed()).proxy("socks4://p").build().unwrap_err();
    assert_eq!(error.field(), Some("proxy"));
    let file = r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r"}"#;
    let error = Credentials::builder().proxy("ftp://user:hidden@proxy").json(file).unwrap_err();
    assert_eq!(error.field(), Some("proxy"));
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
}
