//! The broker: tokens that it gives, and the secrets in requests that it gets.

use std::collections::HashMap;
use std::path::Path;

use gcp_iam_credentials::broker::{Broker, BrokerServer, Policy, Socket};
use gcp_iam_credentials::emulator::{Emulator, Fault};
use gcp_iam_credentials::{Code, ImpersonationPool};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::Endpoint;

use crate::Scene;
use crate::proto::attribute_context::{HttpRequest, Request};
use crate::proto::authorization_client::AuthorizationClient;
use crate::proto::check_response::HttpResponse;
use crate::proto::{AttributeContext, CheckRequest};
use crate::support::emulator::{EMAIL, client_of, http};

const PLACE: &str = "broker";
const CLIENTS: &str = "token of a client of Envoy";
const SUBJECT: &str = "subject token of an exchange";

pub(crate) async fn run(scene: &Scene) {
    let emulator = crate::support::emulator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("broker.sock");
    let policy = format!(
        r#"{{"grants": [{{"callers": [{{"anyone": true}}], "targets": ["{EMAIL}"], "scopes": ["email"]}},
            {{"callers": [{{"anyone": true}}], "targets": ["other@p.q"], "scopes": ["email"]}}]}}"#
    );
    let pool = ImpersonationPool::builder(client_of(&emulator)).build();
    let broker = Broker::new(pool, Policy::from_json(&policy).unwrap());
    let builder = BrokerServer::builder(broker)
        .listen(Socket::unix(&socket))
        .listen(Socket::loopback("127.0.0.1:0".parse().unwrap()));
    scene.shown.debug(PLACE, &builder);
    let server = builder.start().await.unwrap();
    scene.shown.debug(PLACE, &(&server, server.broker(), Policy::from_json(&policy).unwrap()));
    checks(scene, &emulator, &socket).await;
    exchanges(scene, &server).await;
    scene.shown.debug(PLACE, &server);
}

/// Requests of a client whose own token is replaced, allowed and refused.
async fn checks(scene: &Scene, emulator: &Emulator, socket: &Path) {
    let secret = scene.secrets.token(CLIENTS);
    let socket = socket.to_owned();
    let connect = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect);
    let mut envoy = AuthorizationClient::new(channel);
    for (target, fails) in [(EMAIL, false), ("nobody@p.q", false), ("other@p.q", true)] {
        if fails {
            emulator.faults().inject(Fault::status(Code::PermissionDenied));
        }
        let headers: HashMap<_, _> = [("authorization".to_owned(), format!("Bearer {secret}"))].into();
        let check = CheckRequest {
            attributes: Some(AttributeContext {
                source: None,
                request: Some(Request { http: Some(HttpRequest { headers, header_map: None }) }),
                context_extensions: [("target".to_owned(), target.to_owned())].into(),
            }),
        };
        let reply = envoy.check(check).await.unwrap().into_inner();
        if let Some(HttpResponse::OkResponse(ok)) = reply.http_response {
            let header = ok.headers[0].header.as_ref().unwrap();
            scene.secrets.made("token for an Envoy", header.value.strip_prefix("Bearer ").unwrap());
        }
        emulator.faults().clear_all();
    }
    scene.secrets.used(CLIENTS);
}

/// Exchanges with a subject token, made and refused.
async fn exchanges(scene: &Scene, server: &BrokerServer) {
    let secret = scene.secrets.token(SUBJECT);
    let url = format!("http://{}/token", server.addresses()[0]);
    for (grant, rest) in [
        ("urn:ietf:params:oauth:grant-type:token-exchange", ""),
        ("urn:ietf:params:oauth:grant-type:token-exchange", "&resource=nobody@p.q"),
        ("urn:ietf:params:oauth:grant-type:token-exchange", "&subject_token=again"),
        ("password", ""),
    ] {
        let form = format!("grant_type={grant}&subject_token={secret}&subject_token_type=x{rest}");
        let (status, _, body) = http("POST", &url, &[], form).await;
        let body = String::from_utf8(body.to_vec()).unwrap();
        match status.as_u16() {
            200 => {
                let reply: serde_json::Value = serde_json::from_str(&body).unwrap();
                scene.secrets.made("token of an exchange", reply["access_token"].as_str().unwrap());
            }
            _ => scene.shown.text(PLACE, &body),
        }
    }
    scene.secrets.used(SUBJECT);
}
