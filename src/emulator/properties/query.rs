//! What holds for every query of a REST request.

use std::cell::LazyCell;

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::in_memory::InMemory;

const PATH: &str = "/v1/projects/-/serviceAccounts/sa@project.iam.gserviceaccount.com:testIamPermissions";

/// The parameters that have no effect on whether a request is answered.
const HARMLESS: [&str; 18] = [
    "access_token",
    "oauth_token",
    "key",
    "prettyPrint",
    "callback",
    "quotaUser",
    "uploadType",
    "upload_protocol",
    "xgafv",
    "$access_token",
    "$oauth_token",
    "$key",
    "$prettyPrint",
    "$callback",
    "$quotaUser",
    "$apiVersion",
    "userProject",
    "$userProject",
];

thread_local! {
    static EMULATOR: LazyCell<InMemory> = LazyCell::new(|| InMemory::new(None));
}

/// A query is answered if all of its parameters are known and its values are legal, and is otherwise refused
/// in Google's form.
///
/// The input is a query.
pub fn rest_queries(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    if query.contains('#') {
        return;
    }
    EMULATOR.with(|emulator| {
        emulator.state.journal.clear();
        let body = json!({"permissions": ["iam.serviceAccounts.get"]}).to_string();
        let sent = emulator.send("POST", &format!("{PATH}?{query}"), "application/json", body.as_bytes());
        let Some(reply) = sent else { return };
        reply.assert_is_googles();
        let verdicts: Option<Vec<bool>> = query.split('&').map(is_legal).collect();
        match verdicts {
            Some(verdicts) => {
                let legal = verdicts.into_iter().all(|legal| legal);
                assert_eq!(reply.status.is_success(), legal, "{query}: {}", reply.text);
            }
            // A parameter whose meaning depends on the others.
            None => assert!(reply.status.is_success() || reply.status.is_client_error()),
        }
    });
}

/// Returns whether a parameter is legal, or `None` if that depends on others.
fn is_legal(pair: &str) -> Option<bool> {
    if pair.is_empty() {
        return Some(true);
    }
    let decoded = pair.replace('+', " ");
    let (name, value) = decoded.split_once('=').unwrap_or((&decoded, ""));
    let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
    match name.as_str() {
        "fields" | "$fields" | "$ct" => None,
        "alt" | "$alt" => {
            let value = percent_decode_str(value).decode_utf8_lossy();
            Some(value == "json" || value == "json;enum-encoding=int")
        }
        "$uploadType" | "$upload_protocol" | "$xgafv" | "$.xgafv" | ".xgafv" => Some(true),
        name => Some(HARMLESS.contains(&name)),
    }
}
