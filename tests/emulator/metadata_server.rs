//! The metadata server.

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault, Method, Policy};
use gcp_iam_credentials::scopes;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::accounts::member;
use crate::support::emulator::http;

const EMAIL: &str = "machine@project.iam.gserviceaccount.com";
const HEADER: (&str, &str) = ("metadata-flavor", "Google");

async fn start() -> Emulator {
    Emulator::builder().policy(Policy::new().metadata_account(EMAIL)).start().await.unwrap()
}

fn url(emulator: &Emulator, path: &str) -> String {
    format!("{}/computeMetadata/v1/{path}", emulator.endpoint())
}

/// Returns the path of a value of the machine's account.
fn account(value: &str) -> String {
    format!("instance/service-accounts/default/{value}")
}

/// Fetches a path of the metadata server, with its header.
async fn get(emulator: &Emulator, path: &str) -> String {
    let (status, headers, body) = http("GET", &url(emulator, path), &[HEADER], "").await;
    assert_eq!(status, 200, "{path}");
    assert_eq!(headers[HEADER.0], HEADER.1, "{path}");
    String::from_utf8(body.to_vec()).unwrap()
}

async fn token(emulator: &Emulator) -> String {
    let reply: Value = serde_json::from_str(&get(emulator, &account("token")).await).unwrap();
    reply["access_token"].as_str().unwrap().to_owned()
}

/// conf: E1
#[tokio::test]
async fn the_metadata_server_refuses_requests_without_its_header() {
    let emulator = start().await;
    let (status, headers, _) = http("GET", &url(&emulator, &account("token")), &[], "").await;
    assert_eq!((status.as_u16(), headers.contains_key(HEADER.0)), (403, true));
    emulator
        .faults()
        .inject(Fault::status(Code::Unavailable).message("later").method(Method::Metadata).times(1));
    let (status, headers, body) = http("GET", &url(&emulator, &account("token")), &[HEADER], "").await;
    assert_eq!((status.as_u16(), headers.contains_key(HEADER.0), &body[..]), (503, true, &b"later\n"[..]));
}

/// conf: E1
#[tokio::test]
async fn the_metadata_server_describes_the_machine_and_its_account() {
    let emulator = start().await;
    assert_eq!(get(&emulator, &account("email")).await, EMAIL);
    assert!(get(&emulator, &account("scopes")).await.contains(scopes::CLOUD_PLATFORM));
    assert_eq!(get(&emulator, "project/project-id").await, "project");
    assert!(get(&emulator, "project/numeric-project-id").await.parse::<u64>().is_ok());
    assert_eq!(get(&emulator, "universe/universe-domain").await, "googleapis.com");
    let described = get(&emulator, &account("?recursive=true")).await;
    let described: Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["email"], EMAIL);
    let everything: Value = serde_json::from_str(&get(&emulator, "?recursive=true").await).unwrap();
    assert_eq!(everything["instance"]["serviceAccounts"]["default"], described);
    assert_eq!(everything["instance"]["id"].to_string(), get(&emulator, "instance/id").await);
    let unknown = url(&emulator, &account("token?scopes=cloud-platform"));
    assert_eq!(http("GET", &unknown, &[HEADER], "").await.0, 400, "there is no such scope");
    let other = url(&emulator, "instance/service-accounts/other@x.y/token");
    assert_eq!(http("GET", &other, &[HEADER], "").await.0, 404, "there is no other account");
}

/// conf: E1
#[tokio::test]
async fn a_folder_without_its_slash_has_moved_and_libraries_probe_the_folders_above() {
    let emulator = start().await;
    let (status, headers, _) = http("GET", &url(&emulator, "project?recursive=true"), &[HEADER], "").await;
    assert_eq!((status.as_u16(), &headers[HEADER.0]), (301, &"Google".parse().unwrap()));
    assert_eq!(headers["location"], "/computeMetadata/v1/project/?recursive=true");
    let (status, headers, _) = http("GET", &url(&emulator, "instance"), &[HEADER], "").await;
    assert_eq!((status.as_u16(), &headers["content-type"]), (200, &"text/plain".parse().unwrap()));
    for (path, expected) in [("/", 200), ("/computeMetadata", 301), ("/computeMetadata/", 200)] {
        let (status, headers, _) = http("GET", &format!("{}{path}", emulator.endpoint()), &[], "").await;
        assert_eq!((status.as_u16(), headers.contains_key(HEADER.0)), (expected, true), "{path}");
        assert_eq!(headers["server"], "Metadata Server for VM", "{path}");
    }
    for (query, expected) in [("alt=xml", 400), ("timeout_sec=soon", 400), ("alt=json&alt=text", 200)] {
        let (status, _, body) =
            http("GET", &url(&emulator, &format!("instance/id?{query}")), &[HEADER], "").await;
        assert_eq!(status, expected, "{query}: {body:?}");
    }
    assert_eq!(emulator.journal().of_method(Method::Metadata).len(), 8, "each request is in the journal");
}

/// Returns a policy whose machine has this attribute.
fn with_attribute(value: &str) -> Policy {
    let policy = json!({
        "projects": {"project": {"number": 77}},
        "serviceAccounts": {EMAIL: {}},
        "metadataServer": {"serviceAccount": EMAIL, "instance": {
            "name": "web-1", "id": 42, "zone": "europe-west1-b", "licenses": ["1000204"],
            "attributes": {"cluster-name": value},
        }},
    });
    Policy::from_json(&policy.to_string()).unwrap()
}

/// conf: E1
#[tokio::test]
async fn the_policy_describes_the_machine() {
    let emulator = Emulator::builder().policy(with_attribute("blue")).start().await.unwrap();
    for (path, expected) in [
        ("instance/id", "42"),
        ("instance/name", "web-1"),
        ("instance/zone", "projects/77/zones/europe-west1-b"),
        ("instance/hostname", "web-1.europe-west1-b.c.project.internal"),
        ("instance/attributes/", "cluster-name\n"),
        ("instance/attributes/cluster-name", "blue"),
        ("project/numeric-project-id", "77"),
    ] {
        assert_eq!(get(&emulator, path).await, expected, "{path}");
    }
    let policy = emulator.policy().get().unwrap();
    assert_eq!(Policy::from_json(&policy.to_json()).unwrap(), with_attribute("blue"), "it is shown as set");
}

/// conf: E1
#[tokio::test]
async fn a_machine_needs_no_account() {
    let policy = Policy::new().metadata_attribute("cluster-name", "blue");
    assert_eq!(Policy::from_json(&policy.to_json()).as_ref(), Ok(&policy));
    let emulator = Emulator::builder().policy(policy.clone()).start().await.unwrap();
    assert_eq!(get(&emulator, "instance/attributes/cluster-name").await, "blue");
    assert_eq!(get(&emulator, "instance/service-accounts/").await, "");
    let missing = http("GET", &url(&emulator, &account("token")), &[HEADER], "").await;
    assert_eq!(missing.0, 404);
    emulator.policy().set(policy.metadata_account(EMAIL)).unwrap();
    assert_eq!(get(&emulator, &account("email")).await, EMAIL);
    assert_eq!(get(&emulator, "instance/attributes/cluster-name").await, "blue");
    let refused = Policy::new().metadata_attribute("a/b", "").validate().unwrap_err();
    assert_eq!(refused.path(), "metadataServer.instance.attributes");
}

/// Waits until a request is in progress.
async fn in_progress(emulator: &Emulator) {
    while emulator.journal().entries().last().is_none_or(|entry| entry.outcome().is_some()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// conf: E2
#[tokio::test]
async fn a_request_waits_until_a_page_has_changed() {
    let emulator = Emulator::builder().policy(with_attribute("blue")).start().await.unwrap();
    let path = |query: &str| {
        url(&emulator, &format!("instance/attributes/cluster-name?wait_for_change=true&{query}"))
    };
    let wait = async |query: &str| {
        let (status, headers, body) = http("GET", &path(query), &[HEADER], "").await;
        assert_eq!(status, 200, "{query}");
        (headers["etag"].to_str().unwrap().to_owned(), String::from_utf8(body.to_vec()).unwrap())
    };
    let (etag, value) = wait("last_etag=0").await;
    assert_eq!(value, "blue", "the client has another version");
    assert_eq!(wait(&format!("last_etag={etag}&timeout_sec=0")).await, (etag.clone(), "blue".to_owned()));
    let change = async {
        in_progress(&emulator).await;
        emulator.policy().set(with_attribute("green")).unwrap();
    };
    let known = format!("last_etag={etag}");
    let ((_, value), ()) = tokio::join!(wait(&known), change);
    assert_eq!(value, "green");

    // Without an etag the request waits for a change after it has arrived, so there must be many.
    let changes = async {
        for number in 0.. {
            tokio::time::sleep(Duration::from_millis(5)).await;
            emulator.policy().set(with_attribute(&number.to_string())).unwrap();
        }
    };
    let (_, value) = tokio::select! {
        page = wait("") => page,
        () = changes => unreachable!("it doesn't end"),
    };
    assert!(value.parse::<u32>().is_ok(), "{value}");

    let gone = async {
        in_progress(&emulator).await;
        emulator.policy().set(Policy::new()).unwrap();
    };
    let (status, ()) = tokio::join!(async { http("GET", &path(""), &[HEADER], "").await.0 }, gone);
    assert_eq!(status, 404, "the page has disappeared");
}

#[tokio::test]
async fn the_metadata_server_issues_tokens_of_its_account_and_caches_access_tokens() {
    let emulator = start().await;
    let first = token(&emulator).await;
    assert_eq!(emulator.verify_access_token(&first).unwrap().principal(), member(EMAIL));
    emulator.clock().advance(Duration::from_secs(3000));
    assert_eq!(token(&emulator).await, first, "a live token is returned again");
    emulator.clock().advance(Duration::from_secs(400));
    assert_ne!(token(&emulator).await, first, "a token near its expiry is replaced");

    let id = get(&emulator, &account("identity?audience=https://service.example&format=full")).await;
    assert_eq!(emulator.verify_id_token::<Value>(&id).unwrap()["email"], EMAIL);
}

/// conf: E3
#[tokio::test]
async fn an_id_token_in_full_format_names_the_machine_and_its_licenses() {
    let emulator = Emulator::builder().policy(with_attribute("blue")).start().await.unwrap();
    let claims = async |query: &str| -> Value {
        let id =
            get(&emulator, &account(&format!("identity?audience=https://service.example&{query}"))).await;
        emulator.verify_id_token(&id).unwrap()
    };
    let standard = claims("licenses=TRUE").await;
    assert_eq!((&standard["google"], &standard["email"]), (&Value::Null, &Value::Null));
    let full = claims("format=full").await;
    let machine = &full["google"]["compute_engine"];
    let created = machine["instance_creation_timestamp"].as_u64().unwrap();
    assert!(created < crate::support::emulator::now());
    let mut expected = json!({
        "project_id": "project", "project_number": 77, "zone": "europe-west1-b", "instance_id": "42",
        "instance_name": "web-1", "instance_creation_timestamp": created,
    });
    assert_eq!(machine, &expected);
    expected["license_id"] = json!(["1000204"]);
    assert_eq!(claims("format=full&licenses=TRUE").await["google"]["compute_engine"], expected);
    let missing = http("GET", &url(&emulator, &account("identity")), &[HEADER], "").await;
    assert_eq!(missing.0, 400, "an audience is required");
}
