//! What the sections of the page say, for each kind of what they show.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault, Role};
use gcp_iam_credentials::proto::GenerateIdTokenRequest;
use gcp_iam_credentials::{Code, service_account_path};
use serde_json::json;

use super::{ALICE, BUILDER, DEPLOYER, page, read_policy, shop, start, text};
use crate::support::emulator::{access_token, http, rest, stub, with_bearer};
use crate::support::runtime::poll_once;

/// Returns the text of the section with this id.
async fn section(emulator: &Emulator, parameters: &str, id: &str) -> String {
    let page = page(emulator, parameters).await;
    let (_, rest) = page.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id} in {page}"));
    text(&format!("<{}", rest.split("</section>").next().unwrap()))
}

#[track_caller]
fn assert_contains(shown: &str, all: &[&str], none: &[&str]) {
    for expected in all {
        assert!(shown.contains(expected), "{expected:?} is in {shown}");
    }
    for unexpected in none {
        assert!(!shown.contains(unexpected), "{unexpected:?} isn't in {shown}");
    }
}

/// conf: W4
#[tokio::test]
async fn accounts_are_listed_with_their_names_and_with_who_may_act_as_them() {
    let users: Vec<String> = (0..10).map(|number| format!("user:u{number}@example.com")).collect();
    let policy = json!({
        "serviceAccounts": {
            BUILDER: {"displayName": "The builder", "grants": [
                {"members": users, "role": Role::TOKEN_CREATOR}, {"members": [ALICE], "role": "roles/viewer"},
            ]},
            DEPLOYER: {"disabled": true, "grants": [
                {"members": [format!("serviceAccount:{BUILDER}")], "permissions": ["iam.serviceAccounts.signJwt"]},
            ]},
            "other@bank.iam.gserviceaccount.com": {},
            "idle@idle.iam.gserviceaccount.com": {},
        },
        "projects": {"bank": {"grants": [{"members": [ALICE], "role": Role::TOKEN_CREATOR}]}},
    });
    let emulator = start(read_policy(&policy)).await;
    let shown = section(&emulator, "", "accounts").await;
    assert_contains(
        &shown,
        &[
            "4 of 4 accounts",
            "builder@shop.iam.gserviceaccount.com The builderu0@example.com serviceAccountTokenCreatoru1@",
            "u7@example.com serviceAccountTokenCreatorand 2 moredeployer@shop.iam.gserviceaccount.com disabled",
            "disabledbuilder@shop iam.serviceAccounts.signJwtidle@idle.iam.gserviceaccount.comnobody",
            "other@bank.iam.gserviceaccount.comalice@example.com serviceAccountTokenCreator on the project",
        ],
        // It gives no tokens.
        &["roles/viewer"],
    );
    for (find, found) in [("he+build", "builder"), ("er%40bank", "other"), ("idle.iam", "idle")] {
        let shown = section(&emulator, &format!("?find={find}"), "accounts").await;
        assert_contains(&shown, &["1 of 4 accounts", &format!("{found}@")], &[]);
    }
    assert_contains(&section(&emulator, "?find=nothing", "accounts").await, &["0 of 4 accounts"], &["@"]);
}

const NEW: &str = "user:new@example.com";
const PAST: &str = "user:past@example.com";
const OLD: &str = "old@shop.iam.gserviceaccount.com";
const CLOSED: &str = "closed@bank.iam.gserviceaccount.com";

/// Grants of every kind, in force or not.
fn grants_of_every_kind() -> serde_json::Value {
    json!({
        "serviceAccounts": {
            BUILDER: {"grants": [
                {"members": [NEW], "role": Role::TOKEN_CREATOR, "propagation": "90s"},
                {"members": [PAST], "role": Role::TOKEN_CREATOR,
                    "condition": {"expression": "request.time < timestamp('2001-01-01T00:00:00Z')"}},
                {"members": [format!("serviceAccount:{OLD}"), "allUsers"], "permissions":
                    ["iam.serviceAccounts.signBlob", "iam.serviceAccounts.signJwt"]},
            ]},
            OLD: {"disabled": true},
            CLOSED: {},
        },
        "projects": {"bank": {"grants": [{"members": [ALICE], "role": Role::OPENID_TOKEN_CREATOR}]}},
    })
}

/// A chain, a method, and a part of the explanation.
const EXPLANATIONS: [(&[&str], &str, &str); 11] = [
    (&[], "", "Nothing is selected."),
    (&[ALICE], "", "Now select the account that user:alice@example.com acts as."),
    (
        &[NEW, BUILDER],
        "SignJwt",
        "Allowed by the grant of iam.serviceAccounts.signBlob, iam.serviceAccounts.signJwt to allUsers.",
    ),
    (
        &[NEW, BUILDER],
        "GenerateAccessToken",
        "Refused: the grant of roles/iam.serviceAccountTokenCreator to \
        user:new@example.com comes into force in 90 s.",
    ),
    (
        &[PAST, BUILDER],
        "GenerateAccessToken",
        "Refused: the condition of the grant of \
        roles/iam.serviceAccountTokenCreator to user:past@example.com isn't true.",
    ),
    (&[ALICE, OLD], "", "Refused: the account is disabled."),
    (&[ALICE, "unknown@shop.iam.gserviceaccount.com"], "", "Refused: the policy has no such account."),
    (
        &[ALICE, CLOSED],
        "GenerateIdToken",
        "Allowed by the grant of roles/iam.serviceAccountOpenIdTokenCreator to \
        user:alice@example.com on the project bank.",
    ),
    (
        &[OLD, BUILDER],
        "SignBlob",
        "serviceAccount:old@shop.iam.gserviceaccount.com is disabled: all its tokens are \
        refused, whatever the grants say.",
    ),
    (&[ALICE, CLOSED, BUILDER], "SignJwt", "Refused at hop 1. The reply is PERMISSION_DENIED"),
    (&[ALICE, "a-b"], "", "Invalid form of account ID a-b."),
];

/// conf: W5
#[tokio::test]
async fn each_reason_why_a_hop_is_allowed_or_refused_is_explained() {
    let emulator = start(read_policy(&grants_of_every_kind())).await;
    for (chain, method, expected) in EXPLANATIONS {
        let parameters = format!("?chain={}&method={method}", chain.join("+"));
        let shown = section(&emulator, &parameters, "explanation").await;
        assert!(shown.contains(expected), "{chain:?} {method}: {expected:?} is in {shown}");
    }
    let form = page(&emulator, &format!("?chain={NEW}+{BUILDER}&method=SignJwt")).await;
    assert_contains(&form, &[&format!(">{NEW} {BUILDER}</textarea>"), "value=\"SignJwt\" selected"], &[]);
    let shown = section(&start(None).await, &format!("?chain={ALICE}+{BUILDER}"), "explanation").await;
    assert_contains(
        &shown,
        &["Allowed. ", "Allowed: there is no policy, so everyone has every permission."],
        &[],
    );
}

/// Sends four requests, of which three are refused, with texts that can be found again.
async fn send_with_marks(emulator: &Emulator) {
    let mut stub = stub(emulator);
    let mut sent = access_token(DEPLOYER);
    sent.delegates = vec![service_account_path("-", BUILDER)];
    sent.lifetime = Some(prost_types::Duration { seconds: 1234, nanos: 0 });
    let mut sent = with_bearer(sent, "alice-token");
    sent.metadata_mut().insert("x-mark", "mark-of-header".parse().unwrap());
    stub.generate_access_token(sent).await.unwrap();
    let sent = GenerateIdTokenRequest {
        name: service_account_path("-", DEPLOYER),
        audience: "https://mark-of-audience.example".to_owned(),
        include_email: true,
        ..GenerateIdTokenRequest::default()
    };
    stub.generate_id_token(with_bearer(sent, "alice-token")).await.unwrap_err();
    emulator.faults().inject(Fault::status(Code::Aborted).message("mark-of-fault").times(1));
    rest(emulator, BUILDER, "signBlob", "alice-token", r#"{"payload": "AAECAwQ="}"#).await;
    let form = "grant_type=mark-of-grant-type&options=mark-of-options";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    http("POST", &format!("{}/token", emulator.endpoint()), &headers, form).await;
}

/// conf: W4
#[tokio::test]
async fn requests_are_shown_with_all_that_they_contain_and_found_by_it() {
    let emulator = start(shop()).await;
    send_with_marks(&emulator).await;
    // All texts of one request are shown, and find that request alone.
    for (mark, requests) in [
        ("SignBlob", 1),
        ("GenerateIdToken", 1),
        ("cloud-platform", 1),
        ("serviceAccounts/builder@shop", 2),
        ("mark-of-header", 1),
        ("mark-of-audience", 1),
        ("mark-of-fault", 1),
        ("mark-of-grant-type", 1),
        ("user:alice", 2),
        ("ABORTED", 1),
        ("IAM_PERMISSION_DENIED", 1),
        ("getOpenIdToken", 1),
        ("mark-of-nothing", 0),
    ] {
        let shown = section(&emulator, &format!("?search={mark}"), "requests").await;
        let count = format!("{requests} request{} that match.", if requests == 1 { "" } else { "s" });
        assert_contains(&shown, &[&count], &[]);
        assert!(requests == 0 || shown.split_once(&count).unwrap().1.contains(mark), "{mark}: {shown}");
    }
    let all = section(&emulator, "", "requests").await;
    assert_contains(
        &all,
        &[
            "4 requests. The journal",
            "over gRPC, connection",
            "over HTTP, connection",
            "Lifetime1234s",
            "Include e-mailyes",
            "Payload5 bytes",
            "mark-of-fault (by a fault)",
            "Why?",
            "Explain the chain",
        ],
        &["alice-token"],
    );
    let refused = section(&emulator, "?outcome=refused", "requests").await;
    assert_contains(&refused, &["3 requests that match.", "mark-of-audience"], &["mark-of-header"]);
}

/// conf: W4, W6
#[tokio::test]
async fn a_request_in_progress_and_one_with_many_headers_are_shown() {
    let emulator = start(shop()).await;
    emulator.faults().inject(Fault::hang().account(DEPLOYER));
    let names: Vec<String> = (0..60).map(|number| format!("x-number-{number}")).collect();
    let mut headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    headers.extend([("authorization", "Bearer alice-token"), ("content-type", "application/json")]);
    let url = format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", BUILDER));
    let delegates: Vec<String> = (0..45).map(|number| format!("d{number}")).collect();
    http("POST", &url, &headers, json!({"delegates": delegates, "payload": ""}).to_string()).await;
    let shown = section(&emulator, "", "requests").await;
    let left_out = emulator.journal().entries()[0].headers().len() - 40;
    assert!(left_out >= 22, "{left_out}");
    assert_contains(&shown, &["d39", "and 5 more values", &format!("and {left_out} more headers")], &["d40"]);

    let mut stub = stub(&emulator);
    let mut hanging =
        Box::pin(stub.generate_access_token(with_bearer(access_token(DEPLOYER), "alice-token")));
    while emulator.journal().entries().len() < 2 {
        assert!(poll_once(&mut hanging).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let shown = section(&emulator, "", "requests").await;
    assert_contains(&shown, &["2 requests", "deployer@shopin progress"], &[]);
    let refused = section(&emulator, "?outcome=refused", "requests").await;
    assert_contains(&refused, &["1 request that match"], &["in progress"]);
}

/// conf: W4
#[tokio::test]
async fn faults_and_the_clock_are_shown_as_they_are_in_force() {
    let emulator = start(shop()).await;
    let faults = emulator.faults();
    assert_contains(&section(&emulator, "", "faults").await, &["No fault is in force."], &["applied"]);
    faults.inject(Fault::status(Code::Internal).account(BUILDER).after(Duration::from_millis(1500)));
    faults.inject(Fault::reset().method("SignJwt".parse().unwrap()).share(0.25).unwrap().times(2));
    let shown = section(&emulator, "", "faults").await;
    assert_contains(
        &shown,
        &[
            "status of every method for builder@shop.iam.gserviceaccount.com, after 1.500s: applied 0 times",
            "reset of SignJwt, 0.25 of the requests: applied 0 of 2 times",
        ],
        &["No fault", " more"],
    );
    for _ in 0..99 {
        faults.inject(Fault::hang());
    }
    assert_contains(&section(&emulator, "", "faults").await, &["and 1 more"], &[]);

    assert_contains(
        &section(&emulator, "", "clock").await,
        &["as the emulator's clock", "Moved forward by0s"],
        &[],
    );
    emulator.clock().advance(Duration::from_secs(60));
    emulator.clock().run_ahead(Duration::from_secs(5));
    let shown = section(&emulator, "", "clock").await;
    assert_contains(&shown, &["5s ahead of the emulator's clock", "Moved forward by60s"], &[]);
    emulator.clock().run_behind(Duration::from_secs(7));
    assert_contains(&section(&emulator, "", "clock").await, &["7s behind the emulator's clock"], &[]);

    assert_contains(&section(&emulator, "", "policy").await, &["The policy in force"], &["No policy"]);
    emulator.policy().set(None).unwrap();
    assert_contains(&section(&emulator, "", "policy").await, &["No policy is in force"], &[]);
}
