//! Requests that the broker answers.

use std::os::unix::fs::MetadataExt;

use gcp_iam_credentials::ImpersonationPool;
use gcp_iam_credentials::broker::{Broker, BrokerServer, Policy, Socket};
use gcp_iam_credentials::emulator::Fault;
use tonic::Code;

use crate::recorder::Recorder;
use crate::support::emulator::{EMAIL, client_of, http, start};
use crate::support::runtime::one_thread;

/// conf: N1, Y22
#[test]
fn each_request_is_counted_once_by_protocol_and_result() {
    let recorder = Recorder::default();
    recorder.run(one_thread(), async {
        let emulator = start().await;
        let uid = std::fs::metadata("/proc/self").unwrap().uid();
        let policy = format!(
            r#"{{"grants": [{{"callers": [{{"uid": {uid}}}], "targets": ["{EMAIL}", "2@p.q", "3@p.q"], "scopes": ["email"]}}]}}"#
        );
        let pool = ImpersonationPool::builder(client_of(&emulator)).build();
        let broker = Broker::new(pool, Policy::from_json(&policy).unwrap());
        let server =
            BrokerServer::builder(broker).listen(Socket::loopback("127.0.0.1:0".parse().unwrap())).start().await.unwrap();
        let address = server.addresses()[0];
        let get = async |target: &str| {
            let path = "computeMetadata/v1/instance/service-accounts/default/token";
            let url = format!("http://{address}/targets/{target}/{path}");
            http("GET", &url, &[("metadata-flavor", "Google")], "").await.0
        };
        assert_eq!(get(EMAIL).await, 200);
        assert_eq!(get(EMAIL).await, 200);
        assert_eq!(get("4@p.q").await, 403);
        emulator.faults().inject(Fault::status(Code::PermissionDenied).times(1));
        assert_eq!(get("2@p.q").await, 403);
        let form = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=x&subject_token_type=x";
        let exchange = async |resource: &str| {
            let body = format!("{form}&resource={resource}");
            http("POST", &format!("http://{address}/token"), &[], body).await.0
        };
        assert_eq!(exchange(EMAIL).await, 200);
        assert_eq!(exchange("4@p.q").await, 400);
        // A page isn't a request for a token.
        let page = format!("http://{address}/targets/{EMAIL}/computeMetadata/v1/project/project-id");
        assert_eq!(http("GET", &page, &[("metadata-flavor", "Google")], "").await.0, 200);
        for (protocol, result, expected) in [
            ("metadata", "ok", 2.0),
            ("metadata", "denied", 1.0),
            ("metadata", "failed", 1.0),
            ("token_exchange", "ok", 1.0),
            ("token_exchange", "denied", 1.0),
        ] {
            let key = format!("broker_requests_total{{protocol={protocol},result={result}}}");
            assert_eq!(recorder.value(&key), expected, "{key}");
        }
        assert_eq!(recorder.sum("broker_requests_total"), 6.0);
    });
}
