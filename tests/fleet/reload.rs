//! Policies that are replaced under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gcp_iam_credentials::broker::Policy;
use tokio::time::sleep;

use crate::envoy::{check, header, refusal};
use crate::support::emulator;
use crate::{BANK, OverUnix, SHOP, WEB, grant, policy, token_info, web_grant};

/// conf: Y20
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_counts_for_each_request_after_it_was_replaced() {
    let emulator = emulator::start().await;
    let broker = OverUnix::start(&emulator, &[web_grant()]).await;
    let bank_grant = grant(&format!(r#"{{"principal": "{WEB}"}}"#), BANK);
    // Odd while the policy is being replaced. Otherwise its half tells which one is in force: even for SHOP's, odd for BANK's.
    let number = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for at in 0..8 {
        let (mut envoy, number, ended) = (broker.envoy(), Arc::clone(&number), Arc::clone(&ended));
        callers.push(tokio::spawn(async move {
            let (mut allowed, mut refused) = (0_u64, 0_u64);
            let target = if at % 2 == 0 { SHOP } else { BANK };
            while !ended.load(Ordering::SeqCst) {
                let before = number.load(Ordering::SeqCst);
                let reply = envoy.check(check(WEB, &[("target", target)])).await.unwrap().into_inner();
                let after = number.load(Ordering::SeqCst);
                let is_allowed = header(&reply).is_some();
                assert!(is_allowed || refusal(&reply).unwrap().0 == 403);
                // If the policy wasn't replaced meanwhile, it decided.
                if before == after && before % 2 == 0 {
                    let is_shops = before / 2 % 2 == 0;
                    assert_eq!(is_allowed, is_shops == (target == SHOP), "policy {before}, {target}");
                }
                if is_allowed { allowed += 1 } else { refused += 1 }
            }
            (allowed, refused)
        }));
    }
    for round in 1..=50 {
        sleep(Duration::from_millis(10)).await;
        // A policy with a mistake isn't one, so the one before stays in force.
        assert!(Policy::from_json(r#"{"grants": [{"callers": []}]}"#).is_err());
        let grant = if round % 2 == 0 { web_grant() } else { bank_grant.clone() };
        let next = policy(&[grant]);
        number.fetch_add(1, Ordering::SeqCst);
        broker.server.broker().set_policy(next);
        number.fetch_add(1, Ordering::SeqCst);
    }
    ended.store(true, Ordering::SeqCst);
    for caller in callers {
        let (allowed, refused) = caller.await.unwrap();
        assert!(allowed > 0 && refused > 0, "{allowed} {refused}");
    }
    let reply = broker.envoy().check(check(WEB, &[("target", SHOP)])).await.unwrap().into_inner();
    let (_, token) = header(&reply).expect("the last policy is SHOP's");
    assert_eq!(token_info(&emulator, token).0, SHOP);
}
