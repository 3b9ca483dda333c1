//! Groups in a policy, of every shape.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Policy, PolicyError, Role};
use serde_json::{Map, Value, json as value};
use tokio::time::Instant;

use crate::support::emulator::{EMAIL, access_token, stub, with_bearer};

const TOKEN: &str = "alice-token";
const ALICE: &str = "user:alice@example.com";

/// What a check of a document with 20,000 groups may take in a debug build on a busy machine. Work that
/// grows with the square of the document, or with the number of paths, takes much longer.
const LINEAR: Duration = Duration::from_secs(20);

fn group(index: usize) -> String {
    format!("g{index}@example.com")
}

fn member(index: usize) -> Value {
    format!("group:{}", group(index)).into()
}

/// Returns a policy in which the first group may act as [`EMAIL`], by twenty grants.
fn document(groups: impl IntoIterator<Item = (usize, Vec<Value>)>) -> String {
    let groups: Map<String, Value> =
        groups.into_iter().map(|(index, members)| (group(index), members.into())).collect();
    let grant = value!({"members": [member(0)], "role": Role::TOKEN_CREATOR});
    let grants = vec![grant; 20];
    value!({
        "groups": groups,
        "tokens": [{"token": TOKEN, "principal": ALICE}, {"token": "bob", "principal": "user:bob@example.com"}],
        "serviceAccounts": {EMAIL: {"grants": grants}},
    })
    .to_string()
}

fn read(document: &str) -> Result<Policy, PolicyError> {
    let start = Instant::now();
    let policy = Policy::from_json(document);
    assert!(start.elapsed() < LINEAR, "{:?}", start.elapsed());
    policy
}

/// Checks that Alice is in the first group, and that Bob isn't.
async fn alice_alone_is_in_it(document: &str) {
    let policy = read(document).unwrap();
    let emulator = Emulator::builder().policy(policy).start().await.unwrap();
    let start = Instant::now();
    for (token, allowed) in [(TOKEN, true), ("bob", false)] {
        let call = stub(&emulator).generate_access_token(with_bearer(access_token(EMAIL), token)).await;
        assert_eq!(call.is_ok(), allowed, "{token}: {call:?}");
    }
    assert!(start.elapsed() < LINEAR, "{:?}", start.elapsed());
}

/// conf: A19
#[tokio::test]
async fn a_long_chain_of_groups_is_followed() {
    const LENGTH: usize = 20_000;
    let chain = (0..LENGTH).map(|index| (index, vec![member(index + 1)]));
    alice_alone_is_in_it(&document(chain.chain([(LENGTH, vec![ALICE.into()])]))).await;
}

/// conf: A19
#[tokio::test]
async fn groups_that_are_reached_by_many_paths_are_searched_once() {
    // Each group contains the next two, so the number of paths doubles every two groups.
    const LENGTH: usize = 200;
    let lattice = (0..LENGTH).map(|index| (index, vec![member(index + 1), member(index + 2)]));
    let ends = [(LENGTH, vec![member(LENGTH + 1)]), (LENGTH + 1, vec![ALICE.into()])];
    alice_alone_is_in_it(&document(lattice.chain(ends))).await;
}

/// conf: A19
#[tokio::test]
async fn a_group_with_many_groups_is_searched() {
    const WIDTH: usize = 20_000;
    let fan = (0, (1..=WIDTH).map(member).collect());
    let leaves = (1..WIDTH).map(|index| (index, vec![value!("user:carol@example.com")]));
    alice_alone_is_in_it(&document([fan].into_iter().chain(leaves).chain([(WIDTH, vec![ALICE.into()])])))
        .await;
}

/// conf: A19
#[test]
fn a_cycle_of_groups_of_any_length_is_refused() {
    for length in [1, 2, 3, 20_000] {
        let cycle = (0..length).map(|index| (index, vec![member((index + 1) % length)]));
        let error = read(&document(cycle)).expect_err("a cycle");
        assert!(error.to_string().contains("a cycle of groups: "), "{error}");
        assert!(error.to_string().len() < 1000, "the message stays readable");
    }
}
