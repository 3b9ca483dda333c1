//! Random policies and chains: what is explained is what happens.

use serde_json::{Value, json};

use super::*;
use crate::emulator::state::EmulatorState;
use crate::own_hosts::OwnHosts;
use crate::random::{Random, setting};

const POOL: &str = "iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci";
const ACCOUNTS: [&str; 4] = [
    "a@p.iam.gserviceaccount.com",
    "b@p.iam.gserviceaccount.com",
    "c@q.iam.gserviceaccount.com",
    "d@q.iam.gserviceaccount.com",
];
/// An account that no policy has.
const UNKNOWN: &str = "unknown@q.iam.gserviceaccount.com";
const METHODS: [Method; 4] =
    [Method::GenerateAccessToken, Method::GenerateIdToken, Method::SignBlob, Method::SignJwt];

/// Those who make requests, and those to whom policies grant roles.
fn members() -> Vec<String> {
    let fixed = [
        "user:alice@example.com",
        "user:bob@other.example",
        "group:inner@example.com",
        "group:outer@example.com",
        "domain:example.com",
        "allUsers",
    ]
    .map(str::to_owned);
    let accounts = ACCOUNTS.iter().map(|email| format!("serviceAccount:{email}"));
    let pool = [
        format!("principalSet://{POOL}/*"),
        format!("principal://{POOL}/subject/s"),
        format!("principalSet://{POOL}/attribute.repository/r"),
    ];
    fixed.into_iter().chain(accounts).chain(pool).collect()
}

fn grant(random: &mut Random) -> Value {
    let role = random.choose(&[
        "roles/iam.serviceAccountTokenCreator",
        "roles/iam.workloadIdentityUser",
        "roles/iam.serviceAccountOpenIdTokenCreator",
        "roles/iam.serviceAccountUser",
    ]);
    let mut grant = json!({ "members": [random.choose(&members())] });
    if random.percent(80) {
        grant["role"] = (*role).into();
    } else {
        grant["permissions"] =
            json!(["iam.serviceAccounts.implicitDelegation", "iam.serviceAccounts.signBlob"]);
    }
    if random.percent(20) {
        grant["propagation"] = "60s".into();
    }
    if random.percent(20) {
        let expression = random.choose(&[
            "resource.name.endsWith('gserviceaccount.com')",
            "request.time < timestamp('2001-01-01T00:00:00Z')",
        ]);
        grant["condition"] = json!({ "expression": expression });
    }
    grant
}

fn grants(random: &mut Random) -> Value {
    (0..random.within(0..12)).map(|_| grant(random)).collect()
}

fn policy(random: &mut Random) -> Policy {
    let accounts: serde_json::Map<_, _> = ACCOUNTS
        .iter()
        .map(|email| ((*email).to_owned(), json!({"grants": grants(random), "disabled": random.percent(15)})))
        .collect();
    let middle_hop = random.choose(&["implicitDelegation", "action"]);
    let document = json!({
        "serviceAccounts": accounts,
        "projects": {"q": {"grants": grants(random)}},
        "groups": {"inner@example.com": ["user:bob@other.example"], "outer@example.com": ["group:inner@example.com"]},
        "identityPools": {POOL.strip_prefix("iam.googleapis.com/").unwrap(): {}},
        "ambiguities": {"middleHop": middle_hop},
    });
    Policy::from_json(&document.to_string()).unwrap_or_else(|error| panic!("{error}: {document}"))
}

/// conf: W5
#[test]
fn what_is_explained_of_random_chains_is_what_happens() {
    let mut random = Random::new(setting("EXPLANATION_SEED", 1));
    let state = EmulatorState::new(String::new(), OwnHosts::default(), String::new(), None);
    let identities = &state.identities;
    let (mut allowed, mut findings) = ([0; 3], std::collections::BTreeSet::new());
    for _ in 0..setting("EXPLANATION_CHAINS", 4000) {
        identities.set_policy(Some(policy(&mut random)));
        if random.percent(30) {
            state.clock.advance(Duration::from_secs(61));
        }
        let (principal, method) = (random.choose(&members()).clone(), *random.choose(&METHODS));
        let delegate_count = random.within(0..3);
        let mut account = || (*random.choose(&[&ACCOUNTS[..], &[UNKNOWN]].concat())).to_owned();
        let target = account();
        let delegates: Vec<_> = (0..delegate_count).map(|_| account()).collect();
        let explained = explain(identities, &principal, method, &delegates, &target).unwrap();

        let context = format!("{principal} {method} {delegates:?} {target}: {explained:?}");
        let first_refused = explained.hops.iter().position(|hop| !hop.finding.is_allowed());
        let refused_hop = explained.refusal.as_ref().map(|error| error.hop());
        let is_refused = first_refused.is_some() || explained.is_principal_disabled;
        assert_eq!(is_refused, refused_hop.is_some(), "{context}");
        // An account that doesn't exist has no hop in the error.
        if let Some(Some(hop)) = refused_hop {
            assert_eq!(first_refused, Some(hop), "{context}");
        }
        assert_eq!(explained.hops.len(), delegates.len() + 1, "{context}");
        allowed[delegates.len()] += usize::from(first_refused.is_none());
        findings.extend(explained.hops.iter().map(|hop| {
            let text = format!("{:?}", hop.finding);
            text.split('(').next().unwrap_or_default().to_owned()
        }));
    }
    assert!(allowed.iter().all(|count| *count > 20), "{allowed:?} chains of each length were allowed");
    let expected = ["ConditionIsFalse", "DisabledAccount", "Granted", "NoGrant", "Pending", "UnknownAccount"];
    assert_eq!(findings.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn without_a_policy_everything_is_allowed_and_a_malformed_name_is_an_error() {
    let state = EmulatorState::new(String::new(), OwnHosts::default(), String::new(), None);
    let explain = |target: &str| explain(&state.identities, "user:a@b.c", Method::SignBlob, &[], target);
    let explained = explain(UNKNOWN).unwrap();
    assert_eq!(explained.hops[0].finding, Finding::NoPolicy);
    assert!(explained.refusal.is_none());
    assert!(explain("a b").is_err());
}
