//! What callers notice of an outage of IAM.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Fault, Method};
use tonic::Code;

use crate::envoy::{check, header, refusal};
use crate::support::emulator;
use crate::{BANK, OverUnix, SHOP, WEB, grant, web_grant};

/// conf: Y21
#[tokio::test]
async fn who_has_a_live_token_does_not_notice_an_outage() {
    let emulator = emulator::start().await;
    let bank = grant(&format!(r#"{{"principal": "{WEB}"}}"#), BANK);
    let broker = OverUnix::start(&emulator, &[web_grant(), bank]).await;
    let mut envoy = broker.envoy();
    let warm = envoy.check(check(WEB, &[("target", SHOP)])).await.unwrap().into_inner();
    emulator.faults().inject(Fault::status(Code::Unavailable));
    for _ in 0..100 {
        let reply = envoy.check(check(WEB, &[("target", SHOP)])).await.unwrap().into_inner();
        assert_eq!(header(&reply), header(&warm));
    }
    // Whoever has none hears in time that it is temporary.
    let mut cold = tonic::Request::new(check(WEB, &[("target", BANK)]));
    cold.set_timeout(Duration::from_secs(1));
    let reply = envoy.check(cold).await.unwrap().into_inner();
    assert_eq!(refusal(&reply), Some((503, "temporarily unavailable\n")));
    emulator.faults().clear_all();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let reply = envoy.check(check(WEB, &[("target", BANK)])).await.unwrap().into_inner();
        if header(&reply).is_some() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the outage is over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let calls = emulator.journal().entries();
    assert!(calls.iter().all(|call| call.method() == Method::GenerateAccessToken));
}
