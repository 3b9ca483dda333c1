//! Outages of the token service. `examples/outage.rs` has longer ones, also with a service that never
//! replies.

use std::time::Duration;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::{ExternalAccountFile, Fault, Method, SubjectTokenSource};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::support::federation::{DEPLOYER, count, file, start};

const OUTAGE: Duration = Duration::from_millis(1500);
/// Far more than the second for which a failure is returned again, for machines that are busy.
const RECOVERY: Duration = Duration::from_secs(10);

/// conf: F6, M3
#[tokio::test]
async fn an_outage_of_the_token_service_ends_with_the_first_exchange_after_it() {
    let emulator = start().await;
    emulator.faults().inject(Fault::status(Code::Unavailable).method(Method::Token));
    let options = ExternalAccountFile::new().source(SubjectTokenSource::GithubActions).impersonate(DEPLOYER);
    let credentials = Credentials::from_json(&file(&emulator, &options, &json!({}))).unwrap();
    let start = Instant::now();
    while start.elapsed() < OUTAGE {
        let error = credentials.token().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        sleep(Duration::from_millis(20)).await;
    }
    let exchanges = count(&emulator, Method::Token);
    assert!((1..=30).contains(&exchanges), "{exchanges} exchanges in {:?}", start.elapsed());

    emulator.faults().clear_all();
    let healthy = Instant::now();
    while let Err(error) = credentials.token().await {
        assert!(error.is_transient() && healthy.elapsed() < RECOVERY, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
}
