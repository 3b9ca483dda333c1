//! Application default credentials in a process with its own environment: each test runs one.
#![cfg(all(feature = "credential-files", feature = "gcp-auth"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]

mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::Emulator;

use support::accounts::{FIRST, KEY, TARGET, USER, member};
#[cfg(all(feature = "tls-native-roots", target_os = "linux"))]
use support::proxy::{Login, Proxy};
use support::runtime::{block_until, one_thread};

/// Names a file with the id of a process whose end [`child`] waits for.
const PID_FILE: &str = "GCLOUD_PID_FILE";

/// Runs [`child`] with only these environment variables, and returns what it prints.
fn process<K: AsRef<OsStr>, V: AsRef<OsStr>>(variables: impl IntoIterator<Item = (K, V)>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--ignored", "--nocapture"]).env_clear().envs(variables);
    // The loader needs these.
    for name in ["LD_LIBRARY_PATH", "SYSTEMROOT"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "other tests run it as a child process"]
fn child() {
    let credentials = match Credentials::application_default() {
        Ok(credentials) => credentials,
        Err(error) => return println!("refused: {error}"),
    };
    println!("{}", credentials.explain());
    let rounds = std::env::var("ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let patience = std::env::var("PATIENCE_MS").map_or(60_000, |patience| patience.parse().unwrap());
    let patience = std::time::Duration::from_millis(patience);
    let runtime = one_thread();
    runtime.block_on(async {
        for _ in 0..rounds {
            match tokio::time::timeout(patience, credentials.refresh()).await {
                Ok(Ok(token)) => println!("token: {}", token.secret()),
                Ok(Err(error)) => println!("error: {error}"),
                Err(_) => println!("gave up"),
            }
        }
    });
    drop(runtime);
    if let Some(path) = std::env::var_os(PID_FILE) {
        // A thread of the crate kills the process, and needs this one alive.
        let pid = std::fs::read_to_string(path).expect("gcloud was started");
        block_until("the end of gcloud", || has_ended(&pid));
    }
    println!("afterwards {}", credentials.explain());
}

/// Returns whether a process that ran `sleep` has ended. Linux only.
fn has_ended(pid: &str) -> bool {
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim()));
    command.map_or(true, |command| !command.contains("sleep"))
}

/// The credential files that a process may find.
struct Files {
    _folder: tempfile::TempDir,
    /// Named by `GOOGLE_APPLICATION_CREDENTIALS`: impersonates [`TARGET`] through [`FIRST`].
    named: PathBuf,
    /// In the folder of `CLOUDSDK_CONFIG`: the login of [`USER`].
    in_config_folder: PathBuf,
    /// In the home folder: the key of [`KEY`].
    in_home: PathBuf,
    home: PathBuf,
}

impl Files {
    fn write(emulator: &Emulator) -> Self {
        const WELL_KNOWN: &str = "application_default_credentials.json";
        let folder = tempfile::tempdir().unwrap();
        let write = |path: PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let user = emulator.authorized_user_json(USER);
        let acting = emulator.impersonated_service_account_json(&user, TARGET, [FIRST]).unwrap();
        let home = folder.path().join("home");
        let key = emulator.service_account_key_json(KEY);
        Self {
            named: write(folder.path().join("named.json"), &acting),
            in_config_folder: write(folder.path().join("config").join(WELL_KNOWN), &user),
            in_home: write(home.join(".config/gcloud").join(WELL_KNOWN), &key),
            home,
            _folder: folder,
        }
    }

    fn home(&self) -> (&str, &OsStr) {
        ("HOME", self.home.as_os_str())
    }

    fn config_folder(&self) -> (&str, &OsStr) {
        ("CLOUDSDK_CONFIG", self.in_config_folder.parent().unwrap().as_os_str())
    }

    fn name(&self) -> (&str, &OsStr) {
        ("GOOGLE_APPLICATION_CREDENTIALS", self.named.as_os_str())
    }
}

/// Returns the principal of the token that a child process printed.
fn principal(emulator: &Emulator, shown: &str) -> String {
    let token = shown.lines().find_map(|line| line.strip_prefix("token: "));
    emulator.verify_access_token(token.unwrap_or_else(|| panic!("{shown}"))).unwrap().principal().to_owned()
}

#[track_caller]
fn error_line(shown: &str) -> &str {
    shown.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("no error: {shown}"))
}

/// conf: P55, P7
#[tokio::test]
async fn a_process_uses_the_file_that_a_variable_names_and_explains_why() {
    let emulator = Emulator::builder().start().await.unwrap();
    let files = Files::write(&emulator);
    let shown = process([files.home(), files.config_folder(), files.name()]);
    assert_eq!(principal(&emulator, &shown), member(TARGET), "{shown}");
    for part in [
        "credentials: user credentials from a gcloud login (authorized_user)",
        files.named.to_str().unwrap(),
        "reason: GOOGLE_APPLICATION_CREDENTIALS names it",
        "principal: me@example.com",
        &format!("impersonates: {TARGET}\n  delegates: {FIRST}\n"),
        &format!("  endpoint: {}", emulator.endpoint()),
        "universe domain: googleapis.com",
    ] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(!shown.contains("emulator:"), "{shown}");
}

/// conf: P55, P7
#[tokio::test]
async fn without_that_variable_a_process_uses_the_file_in_the_config_folder() {
    let emulator = Emulator::builder().start().await.unwrap();
    let files = Files::write(&emulator);
    let shown = process([files.home(), files.config_folder()]);
    assert_eq!(principal(&emulator, &shown), format!("user:{USER}"));
    let found = files.in_config_folder.to_str().unwrap();
    assert!(shown.contains(found) && shown.contains("CLOUDSDK_CONFIG"), "{shown}");
}

/// conf: P55, P7
#[cfg(unix)]
#[tokio::test]
async fn without_both_variables_a_process_uses_the_file_in_the_home_folder() {
    let emulator = Emulator::builder().start().await.unwrap();
    let files = Files::write(&emulator);
    let shown = process([files.home(), ("IAM_CREDENTIALS_EMULATOR_HOST", OsStr::new("127.0.0.1:1"))]);
    assert_eq!(principal(&emulator, &shown), member(KEY));
    assert!(shown.contains(files.in_home.to_str().unwrap()), "{shown}");
    assert!(shown.contains("a service account key"), "{shown}");
    assert!(shown.contains("emulator: 127.0.0.1:1 (IAM_CREDENTIALS_EMULATOR_HOST"), "{shown}");
}

/// conf: M26
#[cfg(all(feature = "tls-native-roots", target_os = "linux"))]
#[tokio::test]
async fn over_tls_a_process_trusts_the_systems_certificate_store() {
    let emulator = Emulator::builder().tls().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("adc.json"), folder.path().join("ca.pem"));
    let user = emulator.authorized_user_json(USER);
    std::fs::write(&file, emulator.impersonated_service_account_json(&user, TARGET, [""; 0]).unwrap())
        .unwrap();
    std::fs::write(&store, emulator.ca_pem()).unwrap();
    let shown = process([("GOOGLE_APPLICATION_CREDENTIALS", &file), ("SSL_CERT_FILE", &store)]);
    assert_eq!(principal(&emulator, &shown), member(TARGET));
}

/// conf: F14
#[cfg(all(feature = "tls-native-roots", target_os = "linux"))]
#[tokio::test]
async fn a_process_uses_the_proxy_of_its_environment() {
    let emulator = Emulator::builder().tls().start().await.unwrap();
    let proxy = Proxy::start(emulator.address(), Login::Needed).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("adc.json"), folder.path().join("ca.pem"));
    // Without a token_uri, it is Google's.
    let mut user: serde_json::Value = serde_json::from_str(&emulator.authorized_user_json(USER)).unwrap();
    user.as_object_mut().unwrap().remove("token_uri");
    std::fs::write(&file, user.to_string()).unwrap();
    std::fs::write(&store, emulator.ca_pem()).unwrap();
    let url = proxy.url("http");
    let run = |variables: &[(&str, &str)]| {
        let files = [
            ("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap()),
            ("SSL_CERT_FILE", store.to_str().unwrap()),
        ];
        let all: Vec<_> = files.iter().chain(variables).copied().collect();
        tokio::task::spawn_blocking({
            let all: Vec<_> = all.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            move || process(all)
        })
    };
    let shown = run(&[("https_proxy", &url)]).await.unwrap();
    assert_eq!(principal(&emulator, &shown), format!("user:{USER}"), "{shown}");
    assert_eq!(proxy.destinations(), ["oauth2.googleapis.com:443"]);

    let wrong = url.replace("proxy-user", "somebody");
    let shown = run(&[("ALL_PROXY", &wrong), ("HTTPS_PROXY", "")]).await.unwrap();
    assert!(error_line(&shown).contains(&format!("the proxy {}", proxy.address)), "{shown}");
    assert!(!shown.contains("somebody") && !shown.contains("pass%2F"), "{shown}");
    assert_eq!(proxy.destinations().len(), 1);
}

/// conf: M34
#[test]
fn an_unusable_file_is_an_error_and_no_other_identity_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("application_default_credentials.json");
    std::fs::write(&path, r#"{"type":"authorized_user","client_id":"only"}"#).unwrap();
    let shown = process([("CLOUDSDK_CONFIG", folder.path())]);
    let named = path.to_str().unwrap();
    assert!(shown.contains(&format!("refused: invalid `client_secret` in {named}: ")), "{shown}");
}

#[cfg(unix)]
mod gcloud {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Writes a `gcloud` with this script into a folder, which tests put first in the path.
    fn install(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("gcloud");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder.to_owned()
    }

    fn run(folder: &Path, rounds: &str) -> String {
        let path = format!("{}:/usr/bin:/bin", folder.display());
        process([("PATH", path.as_str()), ("ROUNDS", rounds), ("HOME", "/nonexistent")])
    }

    #[test]
    fn without_files_and_metadata_server_gcloud_is_used() {
        let folder = tempfile::tempdir().unwrap();
        // Its user is logged out before the second call.
        let script = r#"
            here=$(dirname "$0")
            case "$*" in
                *print-access-token*)
                    [ -e "$here/asked" ] && { echo "hidden words" >&2; exit 1; }
                    touch "$here/asked"; echo gcloud-token ;;
                *) echo some-project ;;
            esac"#;
        let shown = run(&install(folder.path(), script), "2");
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines.contains(&"credentials: the metadata server, or the gcloud command if there is none"),
            "{shown}"
        );
        assert!(lines.contains(&"token: gcloud-token"), "{shown}");
        let error = error_line(&shown);
        assert!(error.contains("gcloud") && !error.contains("hidden"), "{shown}");
        assert!(shown.contains("afterwards credentials: the gcloud command\n"), "{shown}");
    }

    #[test]
    fn if_nothing_is_found_the_error_says_what_to_set_up() {
        let folder = tempfile::tempdir().unwrap();
        let shown = run(&install(folder.path(), "echo hidden; exit 1"), "1");
        let (_, error) = shown.split_once("error: ").unwrap();
        for part in
            ["no credentials found", "GOOGLE_APPLICATION_CREDENTIALS", "gcloud auth", "metadata server"]
        {
            assert!(error.contains(part), "{error}");
        }
        assert!(!shown.contains("hidden"), "{shown}");
    }

    /// conf: M17
    #[cfg(target_os = "linux")]
    #[test]
    fn a_hanging_gcloud_blocks_no_caller_and_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo $$ > "$(dirname "$0")/pid"; exec sleep 600"#;
        let path = format!("{}:/usr/bin:/bin", install(folder.path(), script).display());
        let pid_file = folder.path().join("pid");
        let pid_path = pid_file.to_str().unwrap();
        let start = tokio::time::Instant::now();
        let shown = process([
            ("PATH", path.as_str()),
            ("PATIENCE_MS", "8000"),
            ("HOME", "/nonexistent"),
            (PID_FILE, pid_path),
        ]);
        assert!(shown.contains("gave up"), "{shown}");
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
        let pid = std::fs::read_to_string(pid_file).unwrap();
        assert!(has_ended(&pid), "gcloud still runs");
    }
}
