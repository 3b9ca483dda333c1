//! The page for people, as a browser gets it.

mod contents;
mod drawing;

use std::time::Duration;

use bytes::Bytes;
use gcp_iam_credentials::emulator::{Emulator, Fault, Policy, Role};
use gcp_iam_credentials::service_account_path;
use http::HeaderMap;
use tonic::Code;

use crate::support::emulator::{access_token, http, rest, stub, with_bearer};
use crate::support::random::{Random, setting};

const ALICE: &str = "user:alice@example.com";
const BUILDER: &str = "builder@shop.iam.gserviceaccount.com";
const DEPLOYER: &str = "deployer@shop.iam.gserviceaccount.com";

/// What a browser accepts.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

/// Texts that must not have an effect in a page.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</textarea></title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "abc\u{202e}cba\u{2066}\u{7}",
];

async fn start(policy: impl Into<Option<Policy>>) -> Emulator {
    let builder = Emulator::builder();
    match policy.into() {
        Some(policy) => builder.policy(policy).start().await.unwrap(),
        None => builder.start().await.unwrap(),
    }
}

/// Alice may act as the builder, and the builder as the deployer.
fn shop() -> Policy {
    Policy::new().token("alice-token", ALICE).grant(ALICE, Role::TOKEN_CREATOR, BUILDER).grant(
        format!("serviceAccount:{BUILDER}"),
        Role::TOKEN_CREATOR,
        DEPLOYER,
    )
}

/// Returns the policy of a document.
fn read_policy(document: &serde_json::Value) -> Policy {
    Policy::from_json(&document.to_string()).unwrap()
}

async fn get(emulator: &Emulator, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
    let url = format!("{}{path}", emulator.endpoint());
    let (status, headers, body) = http("GET", &url, headers, Bytes::new()).await;
    (status.as_u16(), headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Returns the page, with these parameters.
async fn page(emulator: &Emulator, parameters: &str) -> String {
    let (status, _, body) = get(emulator, &format!("/emulator/{parameters}"), &[BROWSER]).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Returns the text of a page without its markup.
fn text(page: &str) -> String {
    let mut text = String::new();
    let mut is_markup = false;
    for character in page.chars() {
        match character {
            '<' => is_markup = true,
            '>' => is_markup = false,
            character if !is_markup => text.push(character),
            _ => {}
        }
    }
    text
}

/// conf: W1
#[tokio::test]
async fn a_browser_gets_a_page_and_a_program_gets_json() {
    let emulator = start(shop()).await;
    for path in ["/emulator", "/emulator/"] {
        for (headers, expected) in [
            (&[][..], "application/json; charset=UTF-8"),
            (&[("accept", "*/*")], "application/json; charset=UTF-8"),
            (&[("accept", "application/json, text/plain")], "application/json; charset=UTF-8"),
            (&[BROWSER], "text/html; charset=utf-8"),
            (&[("accept", "application/json"), ("accept", "TEXT/HTML;q=0.9")], "text/html; charset=utf-8"),
        ] {
            let (_, reply, _) = get(&emulator, path, headers).await;
            assert_eq!(reply["content-type"], expected, "{path} {headers:?}");
            assert_eq!(reply["vary"], "Accept", "{path} {headers:?}");
        }
    }
    assert!(emulator.journal().entries().is_empty(), "looking at the page leaves nothing in the journal");
}

/// conf: W3
#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_runs_no_other_script() {
    let emulator = start(shop()).await;
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let (status, headers, body) = get(&emulator, &format!("/emulator{path}"), &[BROWSER]).await;
        assert_eq!(status, 200);
        assert!(headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        let rules = headers["content-security-policy"].to_str().unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(rules.split("; ").any(|found| found == rule), "{path}: {rules}");
        }
        assert!(!rules.contains("unsafe"), "{rules}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        for address in body.split("://").skip(1) {
            assert!(address.starts_with("127.0.0.1"), "{path} names another host: {address:.60}");
        }
    }
    let page = page(&emulator, "").await;
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(page.contains(r#"<script src="/emulator/page.js" defer></script>"#));
    assert!(!page.contains("\" style=") && !page.contains("\" on"), "CSP forbids both");
}

/// conf: A22
#[tokio::test]
async fn a_foreign_page_can_neither_read_the_page_nor_its_parts() {
    let emulator = start(shop()).await;
    for path in ["/emulator/", "/emulator/page.js", "/emulator/page.css"] {
        for header in
            [("host", "evil.example"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]
        {
            let (status, _, body) = get(&emulator, path, &[BROWSER, header]).await;
            assert_eq!(status, 403, "{path} {header:?}: {body}");
        }
    }
}

/// conf: W4
#[tokio::test]
async fn without_javascript_the_page_shows_everything() {
    let emulator = start(shop()).await;
    emulator
        .faults()
        .inject(Fault::delay(Duration::from_secs(7)).method("SignJwt".parse().unwrap()).times(3));
    emulator.clock().advance(Duration::from_secs(90));
    let mut stub = stub(&emulator);
    stub.generate_access_token(with_bearer(access_token(DEPLOYER), "alice-token")).await.unwrap_err();
    let page = page(&emulator, "").await;
    let shown = text(&page);
    for expected in [
        "builder@shop.iam.gserviceaccount.com",
        "serviceAccountTokenCreator",
        "GenerateAccessTokenalice@example.com → deployer@shopIAM_PERMISSION_DENIED",
        "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
        "delay of SignJwt, after 7s: applied 0 of 3 times",
        "Moved forward by90s",
        "Without JavaScript",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(!page.contains("alice-token"), "no token is shown");
}

/// conf: W5
#[tokio::test]
async fn a_chain_is_explained_hop_by_hop_and_a_refused_request_leads_to_it() {
    let emulator = start(shop()).await;
    let explained = text(&page(&emulator, &format!("?chain={ALICE}+{BUILDER}+{DEPLOYER}")).await);
    assert!(
        explained.contains(&format!("Allowed. {ALICE} may call GenerateAccessToken for {DEPLOYER}.")),
        "{explained}"
    );
    assert!(explained.contains("needs iam.serviceAccounts.implicitDelegation on builder@"), "{explained}");

    let refused = page(&emulator, &format!("?chain=alice@example.com,{DEPLOYER}&method=SignBlob")).await;
    let shown = text(&refused);
    for expected in [
        "Refused at hop 1. The reply is PERMISSION_DENIED",
        "no grant gives it",
        "gcloud iam service-accounts add-iam-policy-binding deployer@shop.iam.gserviceaccount.com \
         --member=user:alice@example.com --role=roles/iam.serviceAccountTokenCreator",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }

    stub(&emulator)
        .generate_access_token(with_bearer(access_token(DEPLOYER), "alice-token"))
        .await
        .unwrap_err();
    let listed = page(&emulator, "").await;
    let link = listed.split("href=\"").find(|link| link.contains("Why?")).unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    let why =
        text(&page(&emulator, link.strip_prefix("/emulator/").unwrap().trim_end_matches("#chain")).await);
    assert!(why.contains("Refused at hop 1"), "{link}: {why}");

    for nonsense in
        ["?chain=alice@example.com+%00%ff+b", "?chain=a+b+c&method=Nothing&before=x", "?before=-1&find=%f0"]
    {
        page(&emulator, nonsense).await;
    }
}

/// conf: W2
#[tokio::test]
async fn text_of_policies_and_requests_stays_text() {
    let emulator = start(shop()).await;
    for hostile in HOSTILE {
        // A policy refuses most of these as names, so they come as what it doesn't check.
        let policy = serde_json::json!({"serviceAccounts": {BUILDER: {"displayName": hostile,
            "grants": [{"members": [format!("group:{hostile}"), ALICE], "role": Role::TOKEN_CREATOR}]}},
            "groups": {hostile: [ALICE]}, "tokens": [{"token": "alice-token", "principal": ALICE}]});
        emulator.policy().set(read_policy(&policy)).unwrap();
        emulator.faults().clear_all();
        emulator.faults().inject(Fault::status(Code::Unavailable).message(hostile).times(1));
        let url = format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", BUILDER));
        let body = serde_json::json!({"payload": "", "delegates": [hostile]}).to_string();
        let headers = [("authorization", "Bearer alice-token"), ("content-type", "application/json")];
        http("POST", &url, &headers, body).await;
        emulator.faults().inject(Fault::hang().account(hostile));

        let encoded: String = hostile.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for parameters in
            ["".to_owned(), format!("?chain={encoded}&find={encoded}&search={encoded}&method={encoded}")]
        {
            let page = page(&emulator, &parameters).await;
            let lower = page.to_lowercase();
            for effect in ["<script>", "<img", "<svg onload", "href=\"javascript:"] {
                assert!(!lower.contains(effect), "{hostile:?} {parameters}: {effect:?}");
            }
            // A form contains what its user has written.
            let is_escaped = !page.contains(['\u{202e}', '\u{2066}', '\u{7}']);
            assert!(is_escaped || !parameters.is_empty(), "{hostile:?}");
        }
        let shown = text(&page(&emulator, "").await);
        let visible =
            if hostile.contains("202e") || hostile.contains('\u{7}') { "\\u{202e}" } else { "alert" };
        let visible = if hostile.starts_with('&') { "&amp;lt;b&amp;gt;" } else { visible };
        assert!(shown.contains(visible), "{hostile:?} is shown: {shown}");
    }
}

/// Pieces that have a meaning in HTML, in addresses or for the direction of writing.
const PIECES: [&str; 16] =
    ["<", ">", "\"", "'", "&", "&#60;", "<!--", "-->", "]]>", "</", "<b", "=", "/", "\u{202e}", "ü", "a"];

/// Returns the tags of a page with the names of their attributes.
fn structure(page: &str) -> Vec<String> {
    let tags = page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    // Values are in double quotes, and every other part is what is between two values.
    tags.map(|tag| tag.split('"').step_by(2).collect()).collect()
}

/// conf: W2
#[tokio::test]
async fn no_text_changes_the_structure_of_the_page() {
    let mut random = Random::new(setting("PAGE_SEED", 1));
    let shown = async |text: &str| {
        let emulator = start(None).await;
        let policy = serde_json::json!({"serviceAccounts": {BUILDER: {"displayName": text, "grants": [
            {"members": [format!("group:{text}")], "role": Role::TOKEN_CREATOR}]}},
            "groups": {text: [ALICE]}, "tokens": [{"token": "alice-token", "principal": ALICE}]});
        emulator.policy().set(read_policy(&policy)).unwrap();
        let url = format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", BUILDER));
        let headers = [("authorization", "Bearer alice-token"), ("content-type", "application/json")];
        let body = serde_json::json!({"payload": "", "delegates": [text]}).to_string();
        http("POST", &url, &headers, body).await;
        emulator.faults().inject(Fault::status(Code::Unavailable).message(text).times(1));
        http("POST", &url, &headers, r#"{"payload": ""}"#.to_owned()).await;
        emulator.faults().inject(Fault::hang().account(text));
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let parameters = format!("?chain={encoded}+{encoded}&find={encoded}&search={encoded}");
        [structure(&page(&emulator, "").await), structure(&page(&emulator, &parameters).await)]
    };
    let harmless = shown("harmless").await;
    assert!(harmless.iter().all(|tags| tags.len() > 150));
    for _ in 0..setting("PAGE_TEXTS", 40) {
        let text: String = (0..random.within(1..8)).map(|_| *random.choose(&PIECES)).collect();
        let hostile = shown(&text).await;
        for (hostile, harmless) in hostile.iter().zip(&harmless) {
            let differs = hostile.iter().zip(harmless).find(|(one, other)| one != other);
            assert_eq!((differs, hostile.len()), (None, harmless.len()), "{text:?}");
        }
    }
}

/// conf: W2
#[tokio::test]
async fn what_is_not_text_or_very_long_is_shown_in_a_few_characters() {
    let emulator = start(None).await;
    let long = "x".repeat(50_000);
    rest(&emulator, &long, "signBlob", "any", "{}").await;
    let headers = [("authorization", "Bearer any"), ("x-long", &*long), ("content-type", "application/json")];
    let url = format!("{}/v1/{}:signBlob", emulator.endpoint(), service_account_path("-", BUILDER));
    http("POST", &url, &headers, format!(r#"{{"delegates": ["{long}"]}}"#)).await;
    let page = page(&emulator, "").await;
    assert!(page.len() < 40_000, "{}", page.len());
    assert!(text(&page).contains("xxx… (50000 characters)"));
}

/// conf: W6
#[tokio::test]
async fn the_page_stays_small_with_many_accounts_and_requests() {
    let mut policy = shop();
    for index in 0..1000 {
        let account = format!("customer-{index}@shop.iam.gserviceaccount.com");
        policy = policy.grant(format!("serviceAccount:{BUILDER}"), Role::TOKEN_CREATOR, &account);
    }
    let emulator = start(policy).await;
    let mut stub = stub(&emulator);
    for _ in 0..120 {
        stub.generate_access_token(with_bearer(access_token(DEPLOYER), "alice-token")).await.unwrap_err();
    }
    let first = page(&emulator, "").await;
    assert!(first.len() < 200_000, "{}", first.len());
    let shown = text(&first);
    for expected in
        ["40 of 1003 nodes", "1002 of 1002 accounts, of which the first 100 are listed", "120 requests."]
    {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert_eq!(first.matches("id=\"request-").count(), 50);
    assert!(text(&page(&emulator, "?find=customer-77").await).contains("11 of 1002 accounts"));

    let mut listed = Vec::new();
    let mut parameters = "?".to_owned();
    for _ in 0..3 {
        let page = page(&emulator, &parameters).await;
        let numbers = page.split("id=\"request-").skip(1).map(|rest| rest.split('"').next().unwrap());
        listed.extend(numbers.map(|number| number.parse::<usize>().unwrap()));
        parameters = format!("?before={}", listed.last().unwrap());
    }
    assert_eq!(listed, (0..120).rev().collect::<Vec<_>>(), "each request is listed once, the newest first");
    assert!(
        text(&page(&emulator, "?outcome=refused&search=nothing").await).contains("0 requests that match")
    );
}
