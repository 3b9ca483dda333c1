//! Token exchange.

use std::net::SocketAddr;

use gcp_iam_credentials::broker::BrokerServer;
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use serde_json::Value;

use crate::support::emulator::{self, json, text};
use crate::{BANK, SHOP, broker, over_loopback, own_grant, token_info};

pub(crate) const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
                     &subject_token=x&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn start(emulator: &Emulator) -> (BrokerServer, SocketAddr) {
    over_loopback(broker(emulator, &[own_grant(SHOP), own_grant(BANK)])).await
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
