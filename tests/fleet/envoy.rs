//! Envoy's checks.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gcp_iam_credentials::broker::{BrokerServer, ServerTls, Socket};
use gcp_iam_credentials::emulator::{Fault, Method};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

use crate::proto::attribute_context::{HttpRequest, Peer, Request as ClientRequest};
use crate::proto::authorization_client::AuthorizationClient;
use crate::proto::check_response::HttpResponse;
use crate::proto::{Address, AttributeContext, CheckRequest, CheckResponse, SocketAddress, address};
use crate::support::authority::Authority;
use crate::support::emulator;
use crate::{BANK, ENVOY, OverUnix, SHOP, WEB, broker, grant, own_uid, token_info, web_grant};

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

/// A broker with TLS, its authority, and its address.
async fn with_tls(emulator: &gcp_iam_credentials::emulator::Emulator) -> (BrokerServer, Authority) {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost");
    let tls = ServerTls::new(certificate.as_bytes(), key.as_bytes(), authority.pem().as_bytes()).unwrap();
    let server = BrokerServer::builder(broker(emulator, &[web_grant()]))
        .listen(Socket::tls("127.0.0.1:0".parse().unwrap(), tls))
        .start()
        .await
        .unwrap();
    (server, authority)
}

fn channel(server: &BrokerServer, authority: &Authority, identity: Option<(String, String)>) -> Channel {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .domain_name("localhost");
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", server.addresses()[0])).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}

/// conf: Y13
#[tokio::test]
async fn only_a_peer_of_the_policy_may_say_on_whose_behalf_it_asks() {
    let emulator = emulator::start().await;
    let (server, authority) = with_tls(&emulator).await;
    let strangers = Authority::new();
    for (identity, expected) in [
        (Some(authority.issue_uri(ENVOY)), None),
        // The identity of a program that could claim to be another one.
        (Some(authority.issue_uri(WEB)), Some(Code::PermissionDenied)),
        (Some(authority.issue_uri("spiffe://example.org/ns/mesh/sa/envoy/x")), Some(Code::PermissionDenied)),
        // An identity is a URI if there is one, so that of a DNS name can't be added to it.
        (Some(authority.issue("envoy")), Some(Code::PermissionDenied)),
        (Some(strangers.issue_uri(ENVOY)), Some(Code::Unavailable)),
        (None, Some(Code::Unavailable)),
    ] {
        let shown = identity.is_some();
        let mut envoy = AuthorizationClient::new(channel(&server, &authority, identity));
        let reply = envoy.check(check(WEB, &[("target", SHOP)])).await;
        match (reply, expected) {
            (Ok(reply), None) => assert!(header(&reply.into_inner()).is_some()),
            (Err(status), Some(Code::Unavailable)) => {
                // The connection ended in the handshake: which code that has is the client's affair.
                assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{shown}: {status}");
            }
            (Err(status), Some(code)) => assert_eq!(status.code(), code, "{status}"),
            (reply, expected) => panic!("{expected:?}: {:?}", reply.is_ok()),
        }
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
    let server = BrokerServer::builder(broker)
        .listen(Socket::loopback("127.0.0.1:0".parse().unwrap()))
        .start()
        .await
        .unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", server.addresses()[0])).unwrap();
    let mut envoy = AuthorizationClient::new(endpoint.connect_lazy());
    let status = envoy.check(check(WEB, &[("target", SHOP)])).await.err().expect("a refusal");
    assert_eq!(status.code(), Code::PermissionDenied);
}

/// conf: Y13
#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_on_new_connections() {
    let emulator = emulator::start().await;
    let (server, old) = with_tls(&emulator).await;
    let new = Authority::new();
    let (certificate, key) = new.issue("localhost");
    let tls = ServerTls::new(certificate.as_bytes(), key.as_bytes(), new.pem().as_bytes()).unwrap();
    server.set_tls(&tls);
    for (authority, works) in [(&new, true), (&old, false)] {
        let channel = channel(&server, authority, Some(authority.issue_uri(ENVOY)));
        let reply = AuthorizationClient::new(channel).check(check(WEB, &[("target", SHOP)])).await;
        assert_eq!(reply.is_ok(), works);
    }
}
