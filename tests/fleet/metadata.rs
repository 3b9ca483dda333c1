//! The metadata server of the broker.

use std::net::SocketAddr;

use gcp_iam_credentials::broker::{BrokerServer, Socket};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;

use crate::support::emulator::{self, http};
use crate::{BANK, SHOP, broker, grant, over_loopback, own_grant, own_uid, token_info};

const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");
const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const EMAIL: &str = "/computeMetadata/v1/instance/service-accounts/default/email";
const IDENTITY: &str = "/computeMetadata/v1/instance/service-accounts/default/identity";

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, headers, body) = http("GET", &format!("http://{address}{path}"), &[FLAVOR], "").await;
    assert_eq!(headers[FLAVOR.0], FLAVOR.1, "{path}");
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

async fn token(address: SocketAddr, prefix: &str) -> Result<String, (u16, String)> {
    let (status, body) = get(address, &format!("{prefix}{TOKEN}")).await;
    if status != 200 {
        return Err((status, body));
    }
    let reply: serde_json::Value = serde_json::from_str(&body).unwrap();
    Ok(reply["access_token"].as_str().unwrap().to_owned())
}

/// conf: Y7
#[tokio::test]
async fn a_process_acts_as_the_account_of_its_user() {
    let emulator = emulator::start().await;
    let server = BrokerServer::builder(broker(&emulator, &[own_grant(SHOP), own_grant(BANK)]))
        .listen(Socket::loopback("127.0.0.1:0".parse().unwrap()))
        .listen(Socket::loopback("127.0.0.1:0".parse().unwrap()).acting_as(BANK))
        .start()
        .await
        .unwrap();
    let [any, bank] = server.addresses() else { panic!("two addresses") };
    let other = "other@project.iam.gserviceaccount.com";
    for (address, prefix, expected) in [
        (any, String::new(), Ok(SHOP)),
        (any, format!("/targets/{BANK}"), Ok(BANK)),
        (any, format!("/targets/{SHOP}"), Ok(SHOP)),
        (any, format!("/targets/{other}"), Err(403)),
        (bank, String::new(), Ok(BANK)),
        (bank, format!("/targets/{BANK}"), Ok(BANK)),
        (bank, format!("/targets/{SHOP}"), Err(404)),
    ] {
        match token(*address, &prefix).await {
            Ok(token) => {
                let (account, scopes) = token_info(&emulator, &token);
                assert_eq!(Ok(account.as_str()), expected, "{prefix}");
                assert_eq!(scopes, CLOUD_PLATFORM);
                assert_eq!(get(*address, &format!("{prefix}{EMAIL}")).await, (200, account));
            }
            Err((status, body)) => {
                assert_eq!(Err(status), expected, "{prefix}");
                assert!(!body.contains('@'), "{body}");
            }
        }
    }
    let (status, jwt) = get(*any, &format!("{IDENTITY}?audience=https://a.run.app")).await;
    assert_eq!((status, jwt.split('.').count()), (200, 3));
    assert_eq!(get(*any, &format!("{IDENTITY}?audience=https://evil.example")).await.0, 403);
}

/// conf: Y7
#[tokio::test]
async fn a_user_without_a_grant_gets_nothing() {
    let emulator = emulator::start().await;
    let other = grant(&format!(r#"{{"uid": {}}}"#, own_uid() + 1), SHOP);
    let (_server, address) = over_loopback(broker(&emulator, &[other])).await;
    for path in
        [TOKEN, EMAIL, IDENTITY, &format!("/targets/{SHOP}{TOKEN}"), "/computeMetadata/v1/project/project-id"]
    {
        assert_eq!(get(address, path).await, (403, "not allowed\n".to_owned()), "{path}");
    }
    assert!(emulator.journal().entries().is_empty());
}

/// conf: Y14
#[tokio::test]
async fn requests_that_a_web_page_or_a_proxy_can_send_are_refused() {
    let emulator = emulator::start().await;
    let (_server, address) = over_loopback(broker(&emulator, &[own_grant(SHOP)])).await;
    let url = format!("http://{address}{TOKEN}");
    for (headers, expected) in [
        (vec![FLAVOR], 200),
        (vec![], 403),
        (vec![("metadata-flavor", "google")], 403),
        (vec![FLAVOR, ("x-forwarded-for", "10.0.0.1")], 403),
        (vec![FLAVOR, ("host", "evil.example")], 403),
        (vec![FLAVOR, ("host", "metadata.google.internal")], 200),
    ] {
        assert_eq!(http("GET", &url, &headers, "").await.0, expected, "{headers:?}");
    }
    assert_eq!(http("POST", &url, &[FLAVOR], "").await.0, 405);
}
