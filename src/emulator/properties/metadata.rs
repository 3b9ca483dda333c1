//! What holds for every page of the metadata server.

use std::cell::LazyCell;

use serde_json::Value;

use super::in_memory::{InMemory, Reply};
use crate::emulator::iam::policy::Policy;
use crate::properties::text_lines;

const ROOT: &str = "/computeMetadata/v1/";

const POLICY: &str = r#"{
    "serviceAccounts": {"sa@project.iam.gserviceaccount.com": {}},
    "metadataServer": {
        "serviceAccount": "sa@project.iam.gserviceaccount.com",
        "instance": {"id": 42, "attributes": {"a": "1", "b-c": "x\ny"}, "licenses": ["1", "2"]}
    }
}"#;

thread_local! {
    static EMULATOR: LazyCell<InMemory> = LazyCell::new(|| {
        let policy = Policy::from_json(POLICY).unwrap_or_else(|error| panic!("{error}"));
        InMemory::new(Some(policy))
    });
}

/// Every path is answered or refused. A redirect leads to a folder, each name in a folder leads to a page,
/// and the JSON of a page is a part of the JSON of the whole tree.
///
/// The input is a path below the root, and a query.
pub fn metadata_pages(data: &[u8]) {
    let Some([path, query]) = text_lines(data) else { return };
    // Waiting takes real time, and signing too much of it.
    if path.contains(['?', '#']) || query.contains("wait") || path.contains("identity") {
        return;
    }
    EMULATOR.with(|emulator| {
        let path = format!("{ROOT}{path}");
        let Some(reply) = get(emulator, &path, query) else { return };
        match reply.status.as_u16() {
            200 => holds_for_a_page(emulator, &path),
            301 => {
                assert_eq!(reply.text, format!("{path}/\n"));
                let folder = get(emulator, &format!("{path}/"), query);
                assert_eq!(folder.map(|reply| reply.status.as_u16()), Some(200), "{path}/");
            }
            status => assert!(matches!(status, 400 | 404), "{path}?{query}: {status}"),
        }
    });
}

/// Sends a request, if path and query are legal. A query that can't be part of a URL counts as none.
fn get(emulator: &InMemory, path: &str, query: &str) -> Option<Reply> {
    emulator.state.journal.clear();
    let with_query = emulator.send("GET", &format!("{path}?{query}"), "text/plain", b"");
    with_query.or_else(|| emulator.send("GET", path, "text/plain", b""))
}

fn holds_for_a_page(emulator: &InMemory, path: &str) {
    if !path.ends_with('/') {
        return;
    }
    let page = |path: &str, query| get(emulator, path, query).filter(|reply| reply.status.is_success());
    let text = |path: &str, query| page(path, query).unwrap_or_else(|| panic!("{path}?{query}")).text;
    let json = |path: &str| serde_json::from_str::<Value>(&text(path, "recursive=true")).ok();
    let Some(whole) = json(path) else { panic!("{path}: no JSON") };
    for name in text(path, "alt=text").lines() {
        if matches!(name, "token" | "identity") {
            continue;
        }
        let part = json(&format!("{path}{name}"));
        let part = part.unwrap_or_else(|| panic!("{path}{name}: no JSON"));
        let parts: Vec<&Value> = match &whole {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            other => panic!("{path}: {other}"),
        };
        assert!(parts.contains(&&part), "{path}{name}: {part} is no part of {whole}");
    }
}
