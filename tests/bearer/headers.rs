//! The headers that the layer puts on a request.

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::source::SourceInfo;
use http::{HeaderName, Request, header};
use tower::{Layer, Service, ServiceExt};

use crate::services::{fixed, request, sent, values};
use crate::support::services::echo;
use crate::support::token_source::ScriptedSource;

const QUOTA_PROJECT: &str = "x-goog-user-project";

/// Returns credentials with a quota project.
fn billed() -> Credentials {
    let info = SourceInfo::new().with_quota_project("of-the-credentials");
    ScriptedSource::tokens(["secret"]).with_info(info).credentials()
}

/// conf: P31, G84
#[tokio::test]
async fn a_request_carries_the_token_marked_sensitive() {
    let layer = fixed("ya29.secret").layer();
    let headers = sent(layer.clone(), request()).await;
    assert_eq!(values(&headers, "authorization"), ["Bearer ya29.secret"]);
    assert!(headers[header::AUTHORIZATION].is_sensitive(), "the slow path marks the value as sensitive");

    let mut service = layer.layer(echo());
    for _ in 0..2 {
        let headers = service.ready().await.unwrap().call(request()).await.unwrap().into_body();
        assert_eq!(values(&headers, "authorization"), ["Bearer ya29.secret"]);
        assert!(headers[header::AUTHORIZATION].is_sensitive(), "the fast path marks the value as sensitive");
    }
}

/// conf: M23, R12
#[tokio::test]
async fn values_that_the_caller_set_are_replaced() {
    let credentials = fixed("ours");
    for name in ["authorization", "x-serverless-authorization"] {
        let layer = credentials.layer().header_name(HeaderName::from_static(name));
        for path in ["slow", "fast"] {
            let request =
                Request::builder().header(name, "Bearer theirs").header(name, "Basic more").body(()).unwrap();
            let headers = sent(layer.clone(), request).await;
            assert_eq!(values(&headers, name), ["Bearer ours"], "{path} path");
        }
    }
}

#[tokio::test]
async fn another_header_name_leaves_authorization_to_the_application() {
    let layer = fixed("for-the-proxy").layer().header_name(header::PROXY_AUTHORIZATION);
    let request = Request::builder().header("authorization", "Bearer for-the-app").body(()).unwrap();
    let headers = sent(layer, request).await;
    assert_eq!(values(&headers, "proxy-authorization"), ["Bearer for-the-proxy"]);
    assert_eq!(values(&headers, "authorization"), ["Bearer for-the-app"]);
}

#[tokio::test]
async fn the_inner_service_can_be_read_changed_and_taken_back() {
    let mut service = fixed("secret").layer().layer(7);
    *service.get_mut() += 1;
    assert_eq!((*service.get_ref(), service.into_inner()), (8, 8));
}

fn request_names(project: &str) -> Request<()> {
    Request::builder().header(QUOTA_PROJECT, project).body(()).unwrap()
}

/// conf: P32
#[tokio::test]
async fn no_quota_project_is_sent_if_none_is_set() {
    let headers = sent(fixed("secret").layer(), request()).await;
    assert!(!headers.contains_key(QUOTA_PROJECT), "{headers:?}");
}

/// conf: P32, G1
#[tokio::test]
async fn the_quota_project_of_the_credentials_is_sent_with_the_token() {
    let headers = sent(billed().layer(), request()).await;
    assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-credentials"]);
    assert_eq!(values(&headers, "authorization"), ["Bearer secret"]);
}

/// conf: G12
#[tokio::test]
async fn a_quota_project_of_the_layer_or_the_request_replaces_that_of_the_credentials() {
    let layer = billed().layer();
    let headers = sent(layer.clone(), request_names("of-the-request")).await;
    assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-request"]);
    let headers = sent(layer.clone().quota_project("of-the-layer").unwrap(), request()).await;
    assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-layer"]);
    let headers = sent(layer.quota_project("of-the-layer").unwrap(), request_names("of-the-request")).await;
    assert_eq!(values(&headers, QUOTA_PROJECT), ["of-the-layer"]);
}

#[test]
fn an_invalid_quota_project_is_refused() {
    for project in ["", "a b", "line\nbreak", "prøject"] {
        let error = fixed("secret").layer().quota_project(project).unwrap_err();
        assert_eq!(error.field(), Some("quota_project"), "{project:?}");
    }
}
