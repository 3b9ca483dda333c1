//! A thousand identities share one connection to each server.

use std::collections::BTreeMap;
use std::future::ready;
use std::path::Path;

use gcp_iam_credentials::credentials::CredentialsBuilder;
use gcp_iam_credentials::emulator::{Emulator, ExternalAccount, IdentityProvider, Method, Policy};
use gcp_iam_credentials::{Credentials, IamCredentialsClient, scopes};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::accounts::TARGET;
use crate::support::federation::{AUDIENCE, JWT, count};
use crate::support::proxy::{Login, Proxy};
use crate::{API, TOKENS, emulator, impersonation_file};

const IDENTITIES: usize = 1000;
/// The second round is smaller, to save the emulator's time.
const SUPPLIED: usize = 200;
const STS: &str = "sts.googleapis.com";

/// Starts an emulator that knows a thousand pods. All of them may impersonate [`TARGET`].
async fn emulator_of_pods() -> Emulator {
    let provider = AUDIENCE.strip_prefix("//iam.googleapis.com/").unwrap();
    let pool = provider.split_once("/providers").unwrap().0;
    let mut policy =
        Policy::new().identity_provider(provider, IdentityProvider::oidc("https://issuer.example")).grant(
            format!("principalSet://iam.googleapis.com/{pool}/*"),
            "roles/iam.workloadIdentityUser",
            TARGET,
        );
    for number in 0..IDENTITIES {
        let pod = ExternalAccount::new(provider).claim("sub", format!("pod-{number}"));
        policy = policy.external_account(&format!("pod-{number}"), pod);
    }
    Emulator::builder().tls().policy(policy).start().await.unwrap()
}

/// Returns a builder whose credentials reach Google's hosts through the proxy.
fn builder(emulator: &Emulator, proxy: &Proxy) -> CredentialsBuilder {
    Credentials::builder().root_certificates(emulator.ca_pem()).proxy(proxy.url_without_login("http"))
}

/// Returns the file of a pod whose subject token is in this file.
fn pods_file(subject_token: &Path) -> String {
    json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": JWT,
        "token_url": format!("https://{STS}/v1/token"),
        "service_account_impersonation_url":
            format!("https://{API}/v1/projects/-/serviceAccounts/{TARGET}:generateAccessToken"),
        "credential_source": { "file": subject_token },
    })
    .to_string()
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

/// Checks that all of these identities use one connection to each host, and one request to each.
async fn assert_shared(emulator: &Emulator, proxy: &Proxy, tokens: &str, identities: Vec<Credentials>) {
    let number = identities.len();
    let before = (proxy.destinations().len(), calls(emulator), count(emulator, Method::Token));
    fetch_all(identities).await;
    let hosts = connections(&proxy.destinations()[before.0..]);
    assert_eq!(hosts, BTreeMap::from([(API.to_owned(), 1), (tokens.to_owned(), 1)]));
    assert_eq!(calls(emulator) - before.1, number, "one call of each");
    assert_eq!(count(emulator, Method::Token) - before.2, number, "one exchange of each");
}

/// Counts the connections to each host.
fn connections(destinations: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for destination in destinations {
        *counts.entry(destination.trim_end_matches(":443").to_owned()).or_default() += 1;
    }
    counts
}

fn calls(emulator: &Emulator) -> usize {
    count(emulator, Method::GenerateAccessToken)
}

/// conf: F17
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_federated_identities_use_one_connection_to_sts_and_one_to_the_api() {
    let emulator = emulator_of_pods().await;
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let folder = tempfile::tempdir().unwrap();
    let mut subject_tokens = Vec::new();
    for number in 0..IDENTITIES {
        let token = emulator.external_account_token(&format!("pod-{number}")).await.unwrap();
        std::fs::write(folder.path().join(number.to_string()), &token).unwrap();
        subject_tokens.push(token);
    }

    let shared = builder(&emulator, &proxy);
    let of_file =
        |number: usize| shared.clone().json(&pods_file(&folder.path().join(number.to_string()))).unwrap();
    assert_shared(&emulator, &proxy, STS, (0..IDENTITIES).map(of_file).collect()).await;

    // The same with closures that supply the tokens, and with one client for all of them.
    let shared = builder(&emulator, &proxy);
    let mut client: Option<IamCredentialsClient> = None;
    let supplied = subject_tokens.into_iter().take(SUPPLIED).map(|token| {
        let supply = move |_| ready(Ok(token.clone()));
        let federated = shared.clone().external_account(AUDIENCE, JWT, supply).unwrap();
        let client = match &client {
            Some(client) => client.with_credentials(federated).unwrap(),
            None => {
                let first = IamCredentialsClient::builder().credentials(federated);
                let first = first.root_certificates(emulator.ca_pem()).proxy(proxy.url_without_login("http"));
                client.insert(first.build().unwrap()).clone()
            }
        };
        client.impersonate(TARGET).access_token([scopes::CLOUD_PLATFORM]).unwrap()
    });
    assert_shared(&emulator, &proxy, STS, supplied.collect()).await;
}

/// conf: F17
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_users_files_that_one_builder_reads_share_their_connections_too() {
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let shared = builder(&emulator, &proxy);
    let of_user = |number| {
        let account = format!("customer-{number}@project.iam.gserviceaccount.com");
        shared.clone().json(&impersonation_file(&emulator, &account)).unwrap()
    };
    assert_shared(&emulator, &proxy, TOKENS, (0..100).map(of_user).collect()).await;
}

#[tokio::test]
async fn a_changed_setting_means_new_connections() {
    let emulator = emulator().await;
    let proxy = Proxy::start(emulator.address(), Login::NotNeeded).await;
    let builder = builder(&emulator, &proxy);
    let file = impersonation_file(&emulator, TARGET);
    fetch_all([builder.clone().json(&file).unwrap()]).await;
    let other = builder.proxy(proxy.url_without_login("socks5"));
    fetch_all([other.json(&file).unwrap()]).await;
    let expected = [(API.to_owned(), 2), (TOKENS.to_owned(), 2)];
    assert_eq!(connections(&proxy.destinations()), BTreeMap::from(expected));
}
