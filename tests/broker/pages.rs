//! What the pages say, and who gets them.

use gcp_iam_credentials::broker::MetadataServer;
use serde_json::{Value, json};

use crate::support::emulator::{self, EMAIL, http};
use crate::{FLAVOR, TOKEN, get, start, target};

/// conf: I11
#[tokio::test]
async fn a_request_needs_the_header_and_must_not_come_from_a_proxy_or_a_page() {
    let emulator = emulator::start().await;
    let server = start(&emulator).await;
    let url = format!("http://{}/computeMetadata/v1/{TOKEN}", server.host());
    for (method, headers, expected) in [
        ("GET", &[FLAVOR][..], 200),
        ("HEAD", &[FLAVOR], 200),
        ("GET", &[FLAVOR, ("host", "localhost:1")], 200),
        ("GET", &[FLAVOR, ("host", "metadata.google.internal")], 200),
        ("GET", &[], 403),
        ("GET", &[("metadata-flavor", "google")], 403),
        ("GET", &[FLAVOR, ("x-forwarded-for", "10.0.0.1")], 403),
        ("GET", &[FLAVOR, ("host", "evil.example")], 403),
        ("POST", &[FLAVOR], 405),
        ("PUT", &[FLAVOR], 405),
        ("OPTIONS", &[("origin", "http://evil.example")], 405),
    ] {
        let (status, reply, body) = http(method, &url, headers, "").await;
        assert_eq!(status, expected, "{method} {headers:?}: {body:?}");
        assert_eq!(reply["metadata-flavor"], "Google");
        assert!(!reply.contains_key("access-control-allow-origin"));
        assert_eq!(String::from_utf8_lossy(&body).contains("ya29."), (method, expected) == ("GET", 200));
    }
    let root = format!("http://{}/", server.address());
    assert_eq!(http("GET", &root, &[], "").await.0, 200, "libraries probe the root without a header");
    assert_eq!(http("GET", &root, &[("host", "evil.example")], "").await.0, 403);
}

/// conf: I11
#[tokio::test]
async fn the_pages_describe_the_target() {
    let emulator = emulator::start().await;
    let server = start(&emulator).await;
    for (path, expected) in [
        ("instance/service-accounts/", format!("default/\n{EMAIL}/\n")),
        ("instance/service-accounts/default/email", EMAIL.to_owned()),
        ("project/project-id", "project".to_owned()),
        ("project/numeric-project-id", "0".to_owned()),
        ("universe/universe-domain", "googleapis.com".to_owned()),
        ("instance/name", "iamcreds".to_owned()),
    ] {
        assert_eq!(get(&server, path).await, (200, expected), "{path}");
    }
    let (_, account) = get(&server, "instance/service-accounts/default/?recursive=true").await;
    let scopes = json!(["https://www.googleapis.com/auth/cloud-platform"]);
    let expected = json!({"aliases": ["default"], "email": EMAIL, "scopes": scopes});
    assert_eq!(serde_json::from_str::<Value>(&account).unwrap(), expected);
    for unknown in
        ["instance/zone", "instance/attributes/cluster-name", "instance/service-accounts/x@y.z/token"]
    {
        assert_eq!(get(&server, unknown).await.0, 404, "{unknown}");
    }
    assert_eq!(get(&server, "instance/id?wait_for_change=true&timeout_sec=0").await.0, 200);
    assert!(emulator.journal().entries().is_empty(), "no page needs a token");
}

/// conf: I12
#[tokio::test]
async fn with_a_prefix_all_other_paths_are_unknown() {
    let emulator = emulator::start().await;
    let builder = MetadataServer::builder(target(&emulator)).path_prefix("s3cr.et_~-");
    assert!(!format!("{builder:?}").contains("s3cr"));
    let server = builder.start().await.unwrap();
    assert!(!format!("{server:?}").contains("s3cr"));
    assert_eq!(server.host(), format!("{}/s3cr.et_~-", server.address()));
    assert_eq!(get(&server, TOKEN).await.0, 200);
    let url = |path: &str| format!("http://{}{path}", server.address());
    for path in ["/", "/computeMetadata/v1/instance/id", "/s3cr.et_~-x/", "/s3cr.et_~-%2f/"] {
        let (status, _, body) = http("GET", &url(path), &[FLAVOR], "").await;
        assert_eq!((status.as_u16(), &body[..]), (404, &b"404 Not Found\n"[..]), "{path}");
    }
    assert_eq!(http("GET", &url("/s3cr.et_~-"), &[], "").await.0, 200, "Python probes the host");
    let (status, headers, _) =
        http("GET", &url("/s3cr.et_~-/computeMetadata/v1/project?x=1"), &[FLAVOR], "").await;
    assert_eq!(
        (status.as_u16(), &headers["location"]),
        (301, &"/s3cr.et_~-/computeMetadata/v1/project/?x=1".parse().unwrap())
    );
}
