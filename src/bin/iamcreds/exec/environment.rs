//! What the program's environment has, and hasn't, so that it acts as the target.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

/// Tells a nested run of the outer one. Its value is the account.
pub(super) const GUARD: &str = "IAMCREDS_EXEC";

/// Variables that would lead a program to other credentials than the target's.
const CONFLICTING: [&str; 21] = [
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "CLOUDSDK_AUTH_AUTHORIZATION_TOKEN_FILE",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    "CLOUDSDK_AUTH_DISABLE_CREDENTIALS",
    "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
    "CLOUDSDK_CORE_ACCOUNT",
    "CLOUDSDK_CORE_CHECK_GCE_METADATA",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "GCE_METADATA_ROOT",
    "GCLOUD_KEYFILE_JSON",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_KEYFILE_JSON",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_GHA_CREDS_PATH",
    "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "IAMCREDS_SOURCE_TOKEN",
    "METADATA_SERVER_DETECTION",
    "NO_GCE_CHECK",
];

/// Settings of gcloud's configuration that would lead it to other credentials. An empty variable overrides them.
const OVERRIDDEN: [&str; 3] = [
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
];

/// The changes of the environment for the program.
#[derive(Debug)]
pub(super) struct Changes {
    account: String,
    set: Vec<(&'static str, OsString)>,
}

impl Changes {
    /// Starts with what all modes have in common.
    pub(super) fn new(account: &str, project: Option<&str>) -> Self {
        let mut changes = Self { account: account.to_owned(), set: Vec::new() };
        changes.set(GUARD, account);
        for name in OVERRIDDEN {
            changes.set(name, "");
        }
        if let Some(project) = project {
            changes.set("GOOGLE_CLOUD_PROJECT", project);
            changes.set("CLOUDSDK_CORE_PROJECT", project);
        }
        changes
    }

    /// Leads to a metadata server. `settings` is gcloud's folder for the program.
    pub(super) fn use_metadata_server(&mut self, host: &str, ip: IpAddr, settings: &Path) {
        for name in ["GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"] {
            self.set(name, host);
        }
        self.set("METADATA_SERVER_DETECTION", "assume-present");
        // On a machine with certificates for it, Python's library would use TLS.
        self.set("GCE_METADATA_MTLS_MODE", "none");
        self.set("CLOUDSDK_CORE_CHECK_GCE_METADATA", "true");
        self.set("CLOUDSDK_CONFIG", settings);
        // An account's unique id is no account for gcloud: it asks the server instead.
        if self.account.contains('@') {
            self.set("CLOUDSDK_CORE_ACCOUNT", self.account.clone());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            self.set(name, without_proxy(std::env::var(name).ok(), ip));
        }
    }

    /// Leads gcloud to a file with an access token.
    pub(super) fn use_token_file(&mut self, path: &Path) {
        self.set("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", path);
    }

    /// Sets an access token.
    pub(super) fn use_variables(&mut self, token: &str) {
        self.set("CLOUDSDK_AUTH_ACCESS_TOKEN", token);
        self.set("GOOGLE_OAUTH_ACCESS_TOKEN", token);
    }

    /// Changes the environment of a program.
    pub(super) fn apply(&self, command: &mut Command) {
        for name in CONFLICTING {
            command.env_remove(name);
        }
        for (name, value) in &self.set {
            command.env(name, value);
        }
    }

    fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.set.retain(|(other, _)| *other != name);
        self.set.push((name, value.into()));
    }
}

/// Returns the list of hosts that are reached without a proxy, with the metadata server's.
fn without_proxy(list: Option<String>, ip: IpAddr) -> String {
    match list.filter(|list| !list.trim().is_empty()) {
        None => ip.to_string(),
        Some(list) => format!("{list},{ip}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::net::Ipv4Addr;

    use super::*;

    const ACCOUNT: &str = "t@p.iam.gserviceaccount.com";

    /// Returns what a program has: `None` for what is removed.
    fn environment(changes: &Changes) -> BTreeMap<String, Option<String>> {
        let mut command = Command::new("program");
        changes.apply(&mut command);
        let text = |text: &OsStr| text.to_str().unwrap().to_owned();
        command.get_envs().map(|(name, value)| (text(name), value.map(text))).collect()
    }

    fn of(mode: impl FnOnce(&mut Changes)) -> BTreeMap<String, Option<String>> {
        let mut changes = Changes::new(ACCOUNT, Some("project"));
        mode(&mut changes);
        environment(&changes)
    }

    fn is(environment: &BTreeMap<String, Option<String>>, name: &str, value: &str) -> bool {
        environment[name].as_deref() == Some(value)
    }

    #[test]
    fn what_leads_to_other_credentials_is_not_there() {
        let ip = Ipv4Addr::LOCALHOST.into();
        let server = of(|changes| changes.use_metadata_server("127.0.0.1:1", ip, Path::new("/f")));
        let file = of(|changes| changes.use_token_file(Path::new("/f/token")));
        let variables = of(|changes| changes.use_variables("secret"));
        for environment in [&server, &file, &variables] {
            for name in ["GOOGLE_APPLICATION_CREDENTIALS", "IAMCREDS_SOURCE_TOKEN", "NO_GCE_CHECK"] {
                assert_eq!(environment[name], None, "{name}");
            }
            assert!(is(environment, "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT", ""));
            assert!(is(environment, GUARD, ACCOUNT) && is(environment, "GOOGLE_CLOUD_PROJECT", "project"));
        }
        assert!(
            is(&server, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "")
                && server["GOOGLE_OAUTH_ACCESS_TOKEN"].is_none()
        );
        assert!(
            is(&server, "GCE_METADATA_IP", "127.0.0.1:1") && is(&server, "CLOUDSDK_CORE_ACCOUNT", ACCOUNT)
        );
        assert!(
            is(&file, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/f/token") && file["GCE_METADATA_HOST"].is_none()
        );
        assert!(is(&variables, "GOOGLE_OAUTH_ACCESS_TOKEN", "secret"));
    }

    #[test]
    fn the_metadata_server_is_reached_without_a_proxy() {
        let ip = Ipv4Addr::LOCALHOST.into();
        for (list, expected) in
            [(None, "127.0.0.1"), (Some(" "), "127.0.0.1"), (Some("a.example"), "a.example,127.0.0.1")]
        {
            assert_eq!(without_proxy(list.map(str::to_owned), ip), expected);
        }
    }
}
