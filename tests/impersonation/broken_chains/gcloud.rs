//! The commands that advice prints, as the requests that gcloud makes for them.
//!
//! `tests/interop/gcloud.sh` runs them with gcloud itself, where it is installed.

use gcp_iam_credentials::emulator::Emulator;
use serde_json::{Value, json};

use crate::support::emulator::json as send;

/// The bearer token of the account that gcloud is logged in as.
pub(super) const TOKEN: &str = "administrator";

/// gcloud, logged in and with a project.
pub(super) struct Gcloud<'a> {
    emulator: &'a Emulator,
    project: &'static str,
}

impl<'a> Gcloud<'a> {
    pub(super) fn new(emulator: &'a Emulator, project: &'static str) -> Self {
        Self { emulator, project }
    }

    /// Runs a command that is printed for a shell. It must succeed.
    pub(super) async fn run(&self, command: &str) {
        let words = shlex::split(command).unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["gcloud", "iam", "service-accounts", "add-iam-policy-binding", account, member, role] => {
                let resource = format!("projects/{}/serviceAccounts/{account}", self.project);
                self.add_binding(&resource, flag(member, "--member="), flag(role, "--role=")).await;
            }
            ["gcloud", "projects", "add-iam-policy-binding", project, member, role] => {
                let resource = format!("projects/{project}");
                self.add_binding(&resource, flag(member, "--member="), flag(role, "--role=")).await;
            }
            ["gcloud", "services", "enable", service, project] => {
                let project = flag(project, "--project=");
                let path = format!("projects/{project}/services/{service}:enable");
                assert_eq!(self.post(&path, json!({})).await["done"], true, "{command}");
            }
            _ => panic!("{command} isn't known here"),
        }
    }

    /// Reads the policy, adds the binding, and writes the policy with the etag that was read.
    async fn add_binding(&self, resource: &str, member: &str, role: &str) {
        let options = json!({"options": {"requestedPolicyVersion": 3}});
        let mut policy = self.post(&format!("{resource}:getIamPolicy"), options).await;
        let bindings = match &mut policy["bindings"] {
            Value::Array(bindings) => bindings,
            none => {
                *none = json!([]);
                none.as_array_mut().unwrap()
            }
        };
        match bindings.iter_mut().find(|binding| binding["role"] == role) {
            Some(binding) => binding["members"].as_array_mut().unwrap().push(member.into()),
            None => bindings.push(json!({"role": role, "members": [member]})),
        }
        self.post(&format!("{resource}:setIamPolicy"), json!({ "policy": policy })).await;
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/v1/{path}?alt=json", self.emulator.endpoint());
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (status, reply) = send("POST", &url, &headers, body.to_string()).await;
        assert_eq!(status, 200, "{path}: {reply}");
        reply
    }
}

fn flag<'w>(word: &'w str, name: &str) -> &'w str {
    word.strip_prefix(name).unwrap_or_else(|| panic!("{word} isn't {name}…"))
}
