//! How the server starts.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use gcp_iam_credentials::ErrorKind;
use gcp_iam_credentials::broker::BrokerServer;

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
        (builder().loopback("0.0.0.0:0".parse().unwrap()), "address"),
        (builder().loopback(taken.local_addr().unwrap()), "address"),
        (builder().loopback_for(free, "nobody"), "target"),
        (builder().unix_socket("/nonexistent/broker.sock"), "address"),
        (builder().loopback(free).project("no project"), "project"),
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
    let start = || BrokerServer::builder(broker(&emulator, &[own_grant(SHOP)])).unix_socket(&path).start();

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
