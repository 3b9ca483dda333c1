//! Policies of thousands of accounts.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use serde_json::{Value, json};
use tokio::time::Instant;

fn account(number: usize) -> String {
    format!("account-{number:05}@large.iam.gserviceaccount.com")
}

/// Returns the text of a policy with this number of accounts, each of which may act as the next one.
fn policy(accounts: usize) -> String {
    let grants = |number: usize| {
        let members =
            [format!("serviceAccount:{}", account((number + 1) % accounts)), format!("user:{number}@x.y")];
        json!({"grants": [{"members": members, "role": "roles/iam.serviceAccountTokenCreator"}]})
    };
    let named = (0..accounts).map(|number| (account(number), grants(number)));
    let tokens =
        (0..accounts).map(|number| json!({"token": format!("t{number}"), "principal": "user:a@b.c"}));
    json!({"serviceAccounts": named.collect::<serde_json::Map<_, _>>(), "tokens": tokens.collect::<Vec<Value>>()})
        .to_string()
}

/// Returns how long it takes to read a policy, to start with it, and to change it, at the best of three times.
async fn time_of(accounts: usize) -> Duration {
    let text = policy(accounts);
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let emulator = Emulator::builder().policy(Policy::from_json(&text).unwrap()).start().await.unwrap();
        emulator.policy().grant("user:a@b.c", Role::VIEWER, &account(accounts / 2)).unwrap();
        best = best.min(start.elapsed());
    }
    best
}

/// conf: I13
#[tokio::test]
async fn the_time_for_a_policy_grows_with_its_size_and_not_faster() {
    let small = time_of(500).await;
    let large = time_of(4000).await;
    eprintln!("500 accounts: {small:?}, 4000: {large:?}");
    // Eight times would be linear, and 64 times quadratic. The machine may be busy.
    assert!(large < small * 30, "{small:?}, {large:?}");
}
