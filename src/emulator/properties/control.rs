//! What holds for every request to the control pages.

use serde_json::{Value, json};

use super::in_memory::{InMemory, Reply};
use crate::properties::text_lines;

const JSON: &str = "application/json";

/// A document changes the emulator as it says, or is refused in Google's form. What a page shows, it
/// also accepts. The emulator still replies afterwards.
///
/// The input is a method, a path, and the document.
pub fn control_documents(data: &[u8]) {
    let Some([method, path, document]) = text_lines(data) else { return };
    // Generating a key takes too long.
    if path.contains("rotate") || path.contains("fixtures/service_account") {
        return;
    }
    let emulator = InMemory::new(None);
    let path = format!("/emulator/{}", path.trim_start_matches('/'));
    let Some(reply) = emulator.send(method, &path, JSON, document.as_bytes()) else { return };
    match path.as_str() {
        _ if method == "HEAD" => assert!(reply.text.is_empty(), "{}", reply.text),
        "/emulator/ca.pem" => {}
        _ => reply.assert_is_googles(),
    }
    if reply.status.is_success() && method != "GET" {
        let takes_a_document = matches!(method, "POST" | "PUT") && !path.ends_with("/reset");
        let is_json = serde_json::from_str::<Value>(document).is_ok();
        assert!(is_json || !takes_a_document, "{document:?} was accepted");
        let done = (method, path.trim_start_matches("/emulator/"));
        match done {
            ("POST", "faults") => holds_for_faults(&emulator),
            ("POST", "clock") => holds_for_the_clock(&emulator),
            ("PUT", "policy") => holds_for_a_policy(&emulator, document),
            ("POST", "grants") => holds_for_a_policy(&emulator, "{}"),
            _ => {}
        }
    }
    assert!(get(&emulator, "/emulator/").status.is_success());
}

fn get(emulator: &InMemory, path: &str) -> Reply {
    emulator.send("GET", path, JSON, b"").unwrap_or_else(|| panic!("{path} is legal"))
}

fn holds_for_faults(emulator: &InMemory) {
    let faults = get(emulator, "/emulator/faults").json();
    let fault = &faults["faults"][0]["fault"];
    let share = fault["share"].as_f64();
    assert!(share.is_some_and(|share| (0.0..=1.0).contains(&share)), "{faults}");

    let again = emulator.send("POST", "/emulator/faults", JSON, fault.to_string().as_bytes());
    assert!(again.is_some_and(|reply| reply.status.is_success()), "{fault}");
    let faults = get(emulator, "/emulator/faults").json();
    assert_eq!(faults["faults"][1]["fault"], faults["faults"][0]["fault"]);
}

fn holds_for_the_clock(emulator: &InMemory) {
    let clock = get(emulator, "/emulator/clock").json();
    let now = clock["now"].as_str().unwrap_or_default();
    assert!(now.ends_with('Z') && (now.starts_with("19") || now.starts_with('2')), "{clock}");
    let skew = json!({ "skew": clock["skew"] });
    let again = emulator.send("POST", "/emulator/clock", JSON, skew.to_string().as_bytes());
    assert_eq!(again.map(|reply| reply.json()["skew"].clone()), Some(clock["skew"].clone()));
}

fn holds_for_a_policy(emulator: &InMemory, document: &str) {
    let shown = get(emulator, "/emulator/policy").json();
    assert_eq!(shown.is_null(), document.trim() == "null", "{shown}");
    let again = emulator.send("PUT", "/emulator/policy", JSON, shown.to_string().as_bytes());
    assert!(again.is_some_and(|reply| reply.status.is_success()), "{shown}");
    assert_eq!(get(emulator, "/emulator/policy").json(), shown);
}
