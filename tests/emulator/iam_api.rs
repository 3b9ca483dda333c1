//! IAM's own API: what clients grant, list, create and disable, as they do at Google.

mod accounts;
mod keys;
mod policies;
mod projects;

use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use serde_json::Value;

use crate::support::emulator::{json, rest};

const PROJECT: &str = "interop";
const ALICE: &str = "user:alice@example.com";
const TARGET: &str = "target@interop.iam.gserviceaccount.com";
const TARGET_PATH: &str = "projects/interop/serviceAccounts/target@interop.iam.gserviceaccount.com";

/// An emulator with an owner of the project, Alice, and an account.
struct World(Emulator);

impl World {
    async fn start() -> Self {
        Self::with(Policy::new()).await
    }

    async fn with(policy: Policy) -> Self {
        let policy = policy
            .account(TARGET)
            .token("owner", "user:owner@example.com")
            .token("alice", ALICE)
            .grant_on_project("user:owner@example.com", Role::OWNER, PROJECT);
        Self(Emulator::builder().policy(policy).start().await.unwrap())
    }

    /// Sends a request with this bearer token.
    async fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/{path}", self.0.endpoint());
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        json(method, &url, &headers, body).await
    }

    /// Sends a request as the owner, which must succeed.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, reply) = self.send("owner", method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {reply}");
        reply
    }

    /// Sends a request as the owner, which must fail with this HTTP status. Returns the message.
    async fn refused(&self, status: u16, method: &str, path: &str, body: &Value) -> String {
        let (actual, reply) = self.send("owner", method, path, body).await;
        assert_eq!(actual, status, "{method} {path}: {reply}");
        reply["error"]["message"].as_str().unwrap().to_owned()
    }

    /// Returns the HTTP status when Alice generates an access token of an account.
    async fn alice_gets_token(&self, account: &str) -> u16 {
        let body = r#"{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}"#;
        rest(&self.0, account, "generateAccessToken", "alice", body).await.0
    }
}
