//! Options, and the end of the server.

use std::time::Duration;

use gcp_iam_credentials::broker::MetadataServer;
use gcp_iam_credentials::emulator::{Fault, Method};
use gcp_iam_credentials::{ErrorKind, ImpersonationPool};
use tokio::net::TcpListener;

use crate::support::emulator::{self, EMAIL, client_of};
use crate::support::runtime::ms;
use crate::{TOKEN, get, start, target, token};

/// conf: I18
#[tokio::test]
async fn invalid_options_are_refused_before_anything_is_sent() {
    let emulator = emulator::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap();
    let builder = || MetadataServer::builder(target(&emulator));
    let none: [&str; 0] = [];
    for (builder, field) in [
        (builder().address("0.0.0.0:0".parse().unwrap()), "address"),
        (builder().address(port), "address"),
        (builder().scopes(none), "scopes"),
        (builder().scopes(["cloud-platform"]), "scopes[0]"),
        (builder().project("no project"), "project"),
        (builder().project(""), "project"),
        (builder().path_prefix("a/b"), "path_prefix"),
        (builder().path_prefix(".."), "path_prefix"),
        (builder().path_prefix("a b"), "path_prefix"),
        (MetadataServer::builder(client_of(&emulator).impersonate("nobody")), "target"),
    ] {
        let error = builder.start().await.unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidInput, Some(field)), "{error}");
    }
    let error = builder().address(port).start().await.unwrap_err().to_string();
    assert!(error.contains(&port.to_string()) && error.contains("\nfix: choose another port"), "{error}");
    assert!(emulator.journal().entries().is_empty());
}

/// conf: I18
#[tokio::test]
async fn servers_of_one_pool_share_its_tokens() {
    let emulator = emulator::start().await;
    let pool = ImpersonationPool::builder(client_of(&emulator)).build();
    let servers = [
        MetadataServer::builder(pool.impersonate(EMAIL)).start().await.unwrap(),
        MetadataServer::builder(pool.impersonate(EMAIL)).project("other").start().await.unwrap(),
    ];
    assert_eq!(token(&servers[0], "").await.0, token(&servers[1], "").await.0);
    assert_eq!(get(&servers[1], "project/project-id").await.1, "other");
}

/// conf: I17
#[tokio::test]
async fn a_server_that_is_dropped_leaves_its_port_free() {
    let emulator = emulator::start().await;
    let server = start(&emulator).await;
    let address = server.address();
    token(&server, "").await;
    drop(server);
    tokio::time::timeout(Duration::from_secs(5), async {
        while TcpListener::bind(address).await.is_err() {
            tokio::time::sleep(ms(10)).await;
        }
    })
    .await
    .unwrap();
}

/// conf: I17
#[tokio::test]
async fn a_stop_waits_for_the_replies_in_progress() {
    let emulator = emulator::start().await;
    let server = start(&emulator).await;
    let delay = Fault::delay(ms(300)).method(Method::GenerateAccessToken);
    emulator.faults().inject(delay);
    let url = format!("http://{}/computeMetadata/v1/{TOKEN}", server.host());
    let request = tokio::spawn(async move {
        let (status, _, _) = emulator::http("GET", &url, &[crate::FLAVOR], "").await;
        status.as_u16()
    });
    while emulator.journal().of_method(Method::GenerateAccessToken).is_empty() {
        tokio::time::sleep(ms(5)).await;
    }
    server.stop(Duration::from_secs(5)).await;
    assert_eq!(request.await.unwrap(), 200);

    let server = start(&emulator).await;
    let hang = format!("http://{}/computeMetadata/v1/instance/id?wait_for_change=true", server.host());
    let request = tokio::spawn(async move { emulator::http("GET", &hang, &[crate::FLAVOR], "").await });
    tokio::time::sleep(ms(50)).await;
    let begin = tokio::time::Instant::now();
    server.stop(ms(100)).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "it waits only so long");
    assert!(request.await.is_err(), "the connection is closed");
}
