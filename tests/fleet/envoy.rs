//! Envoy's checks.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gcp_iam_credentials::emulator::{Fault, Method};
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use crate::proto::attribute_context::{HttpRequest, Peer, Request as ClientRequest};
use crate::proto::authorization_client::AuthorizationClient;
use crate::proto::check_response::HttpResponse;
use crate::proto::{Address, AttributeContext, CheckRequest, CheckResponse, SocketAddress, address};
use crate::support::emulator;
use crate::{BANK, OverUnix, SHOP, WEB, broker, grant, over_loopback, own_uid, token_info, web_grant};

/// Returns a request of `principal` on a route with these extensions.
pub(crate) fn check(principal: &str, extensions: &[(&str, &str)]) -> CheckRequest {
    check_with(principal, extensions, &[])
}

fn check_with(principal: &str, extensions: &[(&str, &str)], headers: &[(&str, &str)]) -> CheckRequest {
    check_from("10.1.2.3", principal, extensions, headers)
}

pub(crate) fn check_from(
    source: &str,
    principal: &str,
    extensions: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> CheckRequest {
    let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let socket = SocketAddress { address: source.to_owned() };
    let address = Address { address: Some(address::Address::SocketAddress(socket)) };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer { address: Some(address), principal: principal.to_owned() }),
            request: Some(ClientRequest {
                http: Some(HttpRequest { headers: map(headers), header_map: None }),
            }),
            context_extensions: map(extensions),
        }),
    }
}

/// Returns the header that a reply sets, with its value.
pub(crate) fn header(reply: &CheckResponse) -> Option<(&str, &str)> {
    let Some(HttpResponse::OkResponse(ok)) = &reply.http_response else { return None };
    let [option] = ok.headers.as_slice() else { panic!("one header expected") };
    let header = option.header.as_ref().unwrap();
    Some((header.key.as_str(), header.value.strip_prefix("Bearer ").unwrap()))
}

/// Returns the HTTP status and the body of a refusal.
pub(crate) fn refusal(reply: &CheckResponse) -> Option<(i32, &str)> {
    let Some(HttpResponse::DeniedResponse(denied)) = &reply.http_response else { return None };
    assert_ne!(reply.status.as_ref().unwrap().code, 0);
    assert!(reply.status.as_ref().unwrap().message.is_empty());
    Some((denied.status.as_ref().unwrap().code, denied.body.as_str()))
}

/// conf: Y10
#[tokio::test]
async fn a_request_gets_the_token_of_its_route() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let mut envoy = broker.envoy();
    let reply = envoy.check(check(WEB, &[("target", SHOP)])).await.unwrap().into_inner();
    assert_eq!(reply.status.as_ref().unwrap().code, 0);
    let (name, token) = header(&reply).unwrap();
    assert_eq!(name, "authorization");
    let (account, scopes) = token_info(&emulator, token);
    assert_eq!((account.as_str(), scopes.as_str()), (SHOP, gcp_iam_credentials::scopes::CLOUD_PLATFORM));
    // The client can't name another account by the header that a policy allows, and it isn't sent on.
    let Some(HttpResponse::OkResponse(ok)) = &reply.http_response else { panic!("allowed") };
    assert_eq!(ok.headers_to_remove, ["x-act-as"]);
    // The same token, from the cache.
    let again = envoy.check(check(WEB, &[("target", SHOP)])).await.unwrap().into_inner();
    assert_eq!(header(&again), header(&reply));
    assert_eq!(
        emulator
            .journal()
            .entries()
            .iter()
            .filter(|call| call.method() == Method::GenerateAccessToken)
            .count(),
        1
    );
}

/// conf: Y10
#[tokio::test]
async fn a_route_may_ask_for_an_id_token_in_another_header() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let route =
        [("target", SHOP), ("audience", "https://a.run.app"), ("header", "X-Serverless-Authorization")];
    let reply = broker.envoy().check(check(WEB, &route)).await.unwrap().into_inner();
    let (name, token) = header(&reply).unwrap();
    assert_eq!(name, "x-serverless-authorization");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((claims["aud"].as_str(), claims["email"].as_str()), (Some("https://a.run.app"), Some(SHOP)));
}

/// conf: Y11
#[tokio::test]
async fn a_client_names_the_target_only_in_the_header_of_the_policy() {
    let emulator = emulator::start().await;
    let grants = [web_grant(), grant(&format!(r#"{{"principal": "{WEB}"}}"#), BANK)];
    let broker = OverUnix::start(&emulator, &grants).await;
    let mut envoy = broker.envoy();
    for (route, headers, expected) in [
        (vec![], vec![("x-act-as", BANK)], Some(BANK)),
        (vec![("target", SHOP)], vec![("x-act-as", BANK)], Some(SHOP)),
        (vec![], vec![("target", BANK), ("x-target", BANK)], None),
        (vec![], vec![("x-act-as", "other@project.iam.gserviceaccount.com")], None),
        (vec![], vec![], None),
    ] {
        let reply = envoy.check(check_with(WEB, &route, &headers)).await.unwrap().into_inner();
        match header(&reply) {
            Some((_, token)) => {
                assert_eq!(Some(token_info(&emulator, token).0.as_str()), expected, "{headers:?}");
            }
            None => assert_eq!((refusal(&reply).unwrap().0, expected), (403, None), "{headers:?}"),
        }
    }
}

/// conf: Y12
#[tokio::test]
async fn every_refusal_says_the_same() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let mut envoy = broker.envoy();
    for (principal, route) in [
        ("", vec![("target", SHOP)]),
        ("spiffe://example.org/ns/shop/sa/web2", vec![("target", SHOP)]),
        (WEB, vec![("target", BANK)]),
        (WEB, vec![("target", "")]),
        (WEB, vec![("target", "no account")]),
        (WEB, vec![]),
        (WEB, vec![("target", SHOP), ("scopes", "https://www.googleapis.com/auth/pubsub")]),
        (WEB, vec![("target", SHOP), ("audience", "https://evil.example")]),
        (WEB, vec![("target", SHOP), ("audience", "https://a.run.app"), ("scopes", "email")]),
        (WEB, vec![("target", SHOP), ("header", "cookie")]),
    ] {
        let reply = envoy.check(check(principal, &route)).await.unwrap().into_inner();
        assert_eq!(refusal(&reply), Some((403, "not allowed\n")), "{principal} {route:?}");
    }
    let nothing = envoy.check(CheckRequest { attributes: None }).await.unwrap().into_inner();
    assert_eq!(refusal(&nothing), Some((403, "not allowed\n")));
    assert!(emulator.journal().entries().is_empty(), "nothing was sent");
}

/// conf: Y12
#[tokio::test]
async fn a_failure_tells_only_whether_it_is_temporary() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let mut envoy = broker.envoy();
    for (fault, expected) in [
        (Fault::from(Fault::status(Code::PermissionDenied)), (502, "no identity\n")),
        (Fault::hang(), (503, "temporarily unavailable\n")),
    ] {
        emulator.faults().clear_all();
        emulator.faults().inject(fault);
        let mut request = Request::new(check(WEB, &[("target", SHOP)]));
        request.set_timeout(Duration::from_secs(2));
        let reply = envoy.check(request).await.unwrap().into_inner();
        assert_eq!(refusal(&reply), Some(expected));
        // A failure is replayed for a while.
        tokio::time::sleep(Duration::from_millis(5_500)).await;
    }
}

/// conf: Y13
#[tokio::test]
async fn over_loopback_nobody_may_say_on_whose_behalf_it_asks() {
    let emulator = emulator::start().await;
    let peers = format!(r#"{{"peers": [{{"uid": {}}}], "grants": [{}]}}"#, own_uid(), web_grant());
    let policy = gcp_iam_credentials::broker::Policy::from_json(&peers).unwrap();
    let broker = broker(&emulator, &[]);
    broker.set_policy(policy);
    let (_server, address) = over_loopback(broker).await;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut envoy = AuthorizationClient::new(endpoint.connect_lazy());
    let status = envoy.check(check(WEB, &[("target", SHOP)])).await.err().expect("a refusal");
    assert_eq!(status.code(), Code::PermissionDenied);
}
