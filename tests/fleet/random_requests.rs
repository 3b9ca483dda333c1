//! Random policies and requests, against a model that knows the names that each pattern stands for.

use std::collections::BTreeSet;

use gcp_iam_credentials::ImpersonationPool;
use gcp_iam_credentials::broker::{Broker, Policy};
use serde_json::{Value, json};

use crate::envoy::{check_from, header, refusal};
use crate::support::emulator::{self, client_of};
use crate::support::random::{Random, setting};
use crate::{OverUnix, token_info};

/// Principals, and the patterns of them with the indexes of those that each stands for.
const PRINCIPALS: [&str; 5] =
    ["", "spiffe://d/ns/a/sa/x", "spiffe://d/ns/a/sa/y", "spiffe://d/ns/ab/sa/x", "spiffe://e/ns/a/sa/x"];
const PRINCIPAL_PATTERNS: [(&str, &[usize]); 5] = [
    ("spiffe://d/ns/a/sa/x", &[1]),
    ("spiffe://d/ns/a/*", &[1, 2]),
    ("spiffe://d/*", &[1, 2, 3]),
    ("spiffe://e/ns/a/sa/*", &[4]),
    ("spiffe://f/*", &[]),
];
const SOURCES: [&str; 4] = ["10.0.0.1", "10.1.0.1", "192.168.0.1", "fd00::1"];
const SOURCE_PATTERNS: [(&str, &[usize]); 5] = [
    ("10.0.0.0/8", &[0, 1]),
    ("10.1.0.1", &[1]),
    ("0.0.0.0/0", &[0, 1, 2]),
    ("fd00::/8", &[3]),
    ("::/0", &[3]),
];
const TARGETS: [&str; 5] = ["a-1@p.q", "a-2@p.q", "b@p.q", "a-1@p.qq", "a-@p.q"];
const TARGET_PATTERNS: [(&str, &[usize]); 5] =
    [("a-1@p.q", &[0]), ("a-*@p.q", &[0, 1]), ("*@p.q", &[0, 1, 2, 4]), ("b@p.q", &[2]), ("*-1@p.qq", &[3])];
const SCOPES: [&str; 3] = ["email", "openid", "https://www.googleapis.com/auth/cloud-platform"];

/// What a part of a policy lets through: indexes of the names above.
type Names = BTreeSet<usize>;

/// A grant in the model.
struct Grant {
    callers: Vec<(Option<Names>, Option<Names>)>,
    targets: Names,
    scopes: Vec<usize>,
}

fn below(random: &mut Random, end: usize) -> usize {
    random.within(0..end as u64) as usize
}

fn pick<'a>(random: &mut Random, from: &'a [(&'a str, &'a [usize])]) -> (&'a str, Names) {
    let (text, names) = from[below(random, from.len())];
    (text, names.iter().copied().collect())
}

fn random_grant(random: &mut Random) -> (Value, Grant) {
    let (mut callers, mut model) = (Vec::new(), Vec::new());
    for _ in 0..=below(random, 2) {
        let (mut caller, mut limits) = (json!({}), (None, None));
        let which = below(random, 4);
        if which != 1 && which != 3 {
            let (text, names) = pick(random, &PRINCIPAL_PATTERNS);
            caller["principal"] = text.into();
            limits.0 = Some(names);
        }
        if which == 1 || which == 2 {
            let (text, names) = pick(random, &SOURCE_PATTERNS);
            caller["source"] = text.into();
            limits.1 = Some(names);
        }
        if which == 3 {
            caller["anyone"] = true.into();
        }
        callers.push(caller);
        model.push(limits);
    }
    let (mut targets, mut names) = (Vec::new(), Names::new());
    for _ in 0..=below(random, 2) {
        let (text, more) = pick(random, &TARGET_PATTERNS);
        targets.push(text);
        names.extend(more);
    }
    let scopes: Vec<usize> = (0..SCOPES.len()).filter(|at| *at == 0 || random.chance(0.5)).collect();
    let texts: Vec<&str> = scopes.iter().map(|at| SCOPES[*at]).collect();
    let document = json!({"callers": callers, "targets": targets, "scopes": texts});
    (document, Grant { callers: model, targets: names, scopes })
}

impl Grant {
    fn fits(&self, principal: usize, source: usize, target: usize) -> bool {
        let caller = |(principals, sources): &(Option<Names>, Option<Names>)| {
            principals.as_ref().is_none_or(|names| names.contains(&principal))
                && sources.as_ref().is_none_or(|names| names.contains(&source))
        };
        self.targets.contains(&target) && self.callers.iter().any(caller)
    }
}

/// conf: Y2, Y10
#[tokio::test]
async fn random_requests_get_exactly_what_the_model_allows() {
    let emulator = emulator::start().await;
    let (mut allowed, mut refused) = (0, 0);
    let worlds = setting("SIM_WORLDS", 40);
    for seed in 0..worlds {
        let mut random = Random::new(seed);
        let (documents, model): (Vec<_>, Vec<_>) =
            (0..=below(&mut random, 4)).map(|_| random_grant(&mut random)).unzip();
        let policy = Policy::from_json(&json!({"grants": documents}).to_string()).unwrap();
        let broker = Broker::new(ImpersonationPool::builder(client_of(&emulator)).build(), policy);
        let broker = OverUnix::start_with(broker, |builder| builder).await;
        let mut envoy = broker.envoy();
        for _ in 0..30 {
            let (principal, source, target) =
                (below(&mut random, 5), below(&mut random, 4), below(&mut random, 5));
            let wanted: Vec<usize> = (0..SCOPES.len()).filter(|_| random.chance(0.4)).collect();
            let scopes = wanted.iter().map(|at| SCOPES[*at]).collect::<Vec<_>>().join(" ");
            let route = [("target", TARGETS[target]), ("scopes", scopes.as_str())];
            let request = check_from(SOURCES[source], PRINCIPALS[principal], &route, &[]);
            let reply = envoy.check(request).await.unwrap().into_inner();

            let mut fitting = model.iter().filter(|grant| grant.fits(principal, source, target));
            let grant = fitting.find(|grant| wanted.iter().all(|scope| grant.scopes.contains(scope)));
            let case = format!("seed {seed}: {principal} {source} {target} {wanted:?}: {documents:?}");
            let (Some(grant), Some((_, token))) = (grant, header(&reply)) else {
                assert_eq!(
                    (grant.is_some(), refusal(&reply)),
                    (false, Some((403, "not allowed\n"))),
                    "{case}"
                );
                refused += 1;
                continue;
            };
            let granted = if wanted.is_empty() { &grant.scopes } else { &wanted };
            let (account, scopes) = token_info(&emulator, token);
            let expected: BTreeSet<&str> = granted.iter().map(|at| SCOPES[*at]).collect();
            assert_eq!(account, TARGETS[target], "{case}");
            assert_eq!(scopes.split(' ').collect::<BTreeSet<_>>(), expected, "{case}");
            allowed += 1;
        }
    }
    assert!(allowed.min(refused) > 2 * worlds, "{allowed} requests were allowed, {refused} refused");
}
