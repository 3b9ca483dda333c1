//! What holds for every request to IAM's own API.

use std::cell::LazyCell;

use super::in_memory::InMemory;
use crate::emulator::iam::policy::{Policy, Role};
use crate::properties::text_lines;

const ACCOUNT: &str = "sa@project.iam.gserviceaccount.com";
const CALLER: &str = "user:owner@example.com";

thread_local! {
    static EMULATOR: LazyCell<InMemory> = LazyCell::new(|| InMemory::new(Some(policy())));
}

fn policy() -> Policy {
    Policy::new().token("hidden-bearer", CALLER).grant_on_project(CALLER, Role::OWNER, "project").grant(
        "user:alice@example.com",
        Role::TOKEN_CREATOR,
        ACCOUNT,
    )
}

/// A request is answered or refused in Google's form. Whatever it changes, the policy stays valid and can be written
/// and read. What was refused changes nothing.
///
/// The input is the HTTP method, the path, and a body.
pub fn iam_api_requests(data: &[u8]) {
    let Some([method, path, body]) = text_lines(data) else { return };
    if !path.starts_with("/v1/") && !path.starts_with("/v3/") {
        return;
    }
    EMULATOR.with(|emulator| {
        let state = &emulator.state;
        state.reset();
        let in_force = || state.identities.policy().map(|active| active.policy.clone());
        let before = in_force();
        let Some(reply) = emulator.send(method, path, "application/json", body.as_bytes()) else { return };
        reply.assert_is_googles();
        let Some(after) = in_force() else { panic!("the policy is gone") };
        if !reply.status.is_success() {
            assert_eq!(Some(&after), before.as_ref(), "{method} {path}: {}", reply.text);
        }
        assert_eq!(after.validate(), Ok(()));
        let written = after.to_json();
        assert_eq!(Policy::from_json(&written).map(|policy| policy.to_json()), Ok(written));
    });
}
