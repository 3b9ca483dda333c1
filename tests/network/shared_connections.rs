//! A thousand identities share one connection to each server.

use std::collections::BTreeMap;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::Emulator;
use tokio::task::JoinSet;

use crate::support::accounts::TARGET;
use crate::support::proxy::{Login, Proxy};
use crate::{API, TOKENS, emulator, impersonation_file};

const IDENTITIES: usize = 1000;

fn account(number: usize) -> String {
    format!("customer-{number}@project.iam.gserviceaccount.com")
}

/// Fetches one token with each of the credentials, all at the same time.
async fn fetch_all(all: impl IntoIterator<Item = Credentials>) {
    let mut fetches = JoinSet::new();
    for credentials in all {
        fetches.spawn(
            async move { credentials.token().await.map(|_| ()).map_err(|error| format!("{error:#}")) },
        );
    }
    for outcome in fetches.join_all().await {
        outcome.unwrap();
    }
}

/// Counts the connections to each host.
fn connections(proxy: &Proxy) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for destination in proxy.destinations() {
        *counts.entry(destination.trim_end_matches(":443").to_owned()).or_default() += 1;
    }
    counts
}

/// Counts the calls of the API.
fn calls(emulator: &Emulator) -> usize {
    emulator.journal().of_method(gcp_iam_credentials::emulator::Method::GenerateAccessToken).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_that_one_builder_reads_share_one_connection_to_each_server() {
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let builder =
        Credentials::builder().root_certificates(emulator.ca_pem()).proxy(proxy.url_without_login("http"));
    let credentials: Vec<_> = (0..IDENTITIES)
        .map(|number| builder.clone().json(&impersonation_file(&emulator, &account(number))).unwrap())
        .collect();
    fetch_all(credentials).await;
    let expected = [(API.to_owned(), 1), (TOKENS.to_owned(), 1)];
    assert_eq!(connections(&proxy), BTreeMap::from(expected));
    assert_eq!(calls(&emulator), IDENTITIES);
}

#[tokio::test]
async fn a_changed_setting_means_new_connections() {
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let builder =
        Credentials::builder().root_certificates(emulator.ca_pem()).proxy(proxy.url_without_login("http"));
    let file = impersonation_file(&emulator, TARGET);
    fetch_all([builder.clone().json(&file).unwrap()]).await;
    let other = builder.proxy(proxy.url_without_login("socks5"));
    fetch_all([other.json(&file).unwrap()]).await;
    let expected = [(API.to_owned(), 2), (TOKENS.to_owned(), 2)];
    assert_eq!(connections(&proxy), BTreeMap::from(expected));
}
