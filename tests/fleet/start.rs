//! How the server starts.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use gcp_iam_credentials::ErrorKind;
use gcp_iam_credentials::broker::{BrokerServer, Socket};

use crate::support::emulator;
use crate::{SHOP, broker, own_grant};

/// conf: Y18
#[tokio::test]
async fn sockets_that_cannot_be_used_are_refused() {
    let emulator = emulator::start().await;
    let builder = || BrokerServer::builder(broker(&emulator, &[]));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = "127.0.0.1:0".parse().unwrap();
    for (builder, field) in [
        (builder(), "sockets"),
        (builder().listen(Socket::loopback("0.0.0.0:0".parse().unwrap())), "address"),
        (builder().listen(Socket::loopback(taken.local_addr().unwrap())), "address"),
        (builder().listen(Socket::loopback(free).acting_as("nobody")), "acting_as"),
        (builder().listen(Socket::operations(free).acting_as(SHOP)), "acting_as"),
        (builder().listen(Socket::loopback(free).for_all_users()), "for_all_users"),
        (builder().listen(Socket::operations(free).for_all_users()), "for_all_users"),
        (builder().listen(Socket::unix("/nonexistent/broker.sock")), "address"),
        (builder().listen(Socket::loopback(free)).project("no project"), "project"),
    ] {
        let error = builder.start().await.unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidInput, Some(field)), "{error}");
    }
}

/// conf: Y18
#[tokio::test]
async fn a_socket_that_a_server_left_behind_is_replaced_and_any_other_file_stays() {
    let emulator = emulator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    let start =
        || BrokerServer::builder(broker(&emulator, &[own_grant(SHOP)])).listen(Socket::unix(&path)).start();

    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let server = start().await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(start().await.is_err(), "another server uses it");
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());

    std::fs::write(&path, "a file").unwrap();
    assert!(start().await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}
