//! The pages for operators, and the end of the server.

use std::time::Duration;

use gcp_iam_credentials::broker::{BrokerServer, Socket};
use gcp_iam_credentials::emulator::Fault;
use tokio::time::sleep;

use crate::envoy::{check, header};
use crate::support::emulator::{self, text};
use crate::{OverUnix, SHOP, WEB, broker, own_grant, web_grant};

/// conf: Y16
#[tokio::test]
async fn the_socket_for_operations_has_nothing_else() {
    let emulator = emulator::start().await;
    let server = BrokerServer::builder(broker(&emulator, &[own_grant(SHOP)]))
        .listen(Socket::operations("127.0.0.1:0".parse().unwrap()))
        .listen(Socket::loopback("127.0.0.1:0".parse().unwrap()))
        .metrics(|| "tokens 1\n".to_owned())
        .start()
        .await
        .unwrap();
    for address in server.addresses() {
        let get = async |path: &str| text("GET", &format!("http://{address}{path}"), &[], "").await;
        assert_eq!(get("/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get("/readyz").await, (200, "ready\n".to_owned()));
        assert_eq!(get("/metrics").await, (200, "tokens 1\n".to_owned()));
        server.set_ready(false);
        assert_eq!(get("/readyz").await, (503, "not ready\n".to_owned()));
        assert_eq!(get("/healthz").await.0, 200);
        server.set_ready(true);
    }
    let open = server.addresses()[0];
    let flavor = [("metadata-flavor", "Google")];
    for path in ["/", "/computeMetadata/v1/instance/service-accounts/default/token", "/token"] {
        let (status, body) = text("GET", &format!("http://{open}{path}"), &flavor, "").await;
        assert_eq!(status, 404, "{path}: {body}");
    }
    assert!(emulator.journal().entries().is_empty());
}

/// conf: Y17
#[tokio::test]
async fn a_server_that_stops_answers_the_requests_that_it_has() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let mut envoy = broker.envoy();
    emulator.faults().inject(Fault::delay(Duration::from_millis(500)));
    let asked = tokio::spawn(async move {
        let reply = envoy.check(check(WEB, &[("target", SHOP)])).await;
        (reply, envoy)
    });
    while emulator.journal().entries().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    let path = broker.path.clone();
    broker.server.stop(Duration::from_secs(10)).await;
    let (reply, mut envoy) = asked.await.unwrap();
    assert!(header(&reply.unwrap().into_inner()).is_some());
    assert!(!path.exists(), "the socket is removed");
    assert!(envoy.check(check(WEB, &[("target", SHOP)])).await.is_err());
}
