//! Application default credentials as a process finds them: each test runs one, in an environment
//! of its own.
#![cfg(feature = "gcp-auth")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use gcp_iam_credentials::Credentials;
use gcp_iam_credentials::emulator::Emulator;

const KEY: &str = "key@project.iam.gserviceaccount.com";
const FIRST: &str = "first@project.iam.gserviceaccount.com";
const TARGET: &str = "target@project.iam.gserviceaccount.com";
const USER: &str = "me@example.com";

fn member(account: &str) -> String {
    format!("serviceAccount:{account}")
}

/// Runs [`child`] in an environment of its own, and returns what it shows.
fn process<K: AsRef<OsStr>, V: AsRef<OsStr>>(variables: impl IntoIterator<Item = (K, V)>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--ignored", "--nocapture"]).env_clear().envs(variables);
    // The coverage and the loader of whoever runs the tests.
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
#[ignore = "run by other tests, in a process of its own"]
fn child() {
    let credentials = match Credentials::application_default() {
        Ok(credentials) => credentials,
        Err(error) => return println!("refused: {error}"),
    };
    println!("{}", credentials.explain());
    let rounds = std::env::var("ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let patience = std::env::var("PATIENCE_MS").map_or(60_000, |patience| patience.parse().unwrap());
    let patience = std::time::Duration::from_millis(patience);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
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
    // What was under way is ended by a thread of its own.
    std::thread::sleep(std::time::Duration::from_millis(500));
    println!("afterwards {}", credentials.explain());
}

/// conf: P55, P7
#[test]
fn a_process_finds_its_credential_file_and_explains_why() {
    let emulator = Emulator::builder().start_blocking().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let user = emulator.authorized_user_json(USER);
    let acting = emulator.impersonated_service_account_json(&user, TARGET, [FIRST]).unwrap();
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        path.to_owned()
    };
    let named = write(&folder.path().join("named.json"), &acting);
    let well_known = "application_default_credentials.json";
    let moved = write(&folder.path().join("moved").join(well_known), &user);
    let home = folder.path().join("home");
    let usual = write(&home.join(".config/gcloud").join(well_known), &emulator.service_account_key_json(KEY));
    let usual = usual.to_str().unwrap();

    let at_home = ("HOME", home.as_os_str());
    let in_folder = ("CLOUDSDK_CONFIG", moved.parent().unwrap().as_os_str());
    let by_name = ("GOOGLE_APPLICATION_CREDENTIALS", named.as_os_str());
    let principal = |shown: &str| {
        let token = shown.lines().find_map(|line| line.strip_prefix("token: "));
        emulator.verify_access_token(token.unwrap_or_else(|| panic!("{shown}"))).unwrap().principal
    };

    let shown = process([at_home, in_folder, by_name]);
    assert_eq!(principal(&shown), member(TARGET), "{shown}");
    for part in [
        "credentials: a user's credentials (authorized_user)",
        named.to_str().unwrap(),
        "because: GOOGLE_APPLICATION_CREDENTIALS names it",
        "principal: me@example.com",
        &format!("acting as: {TARGET}\n  through: {FIRST}\n"),
        &format!("by calls to: {}", emulator.endpoint()),
        "universe domain: googleapis.com",
    ] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(!shown.contains("emulator:"), "{shown}");

    let shown = process([at_home, in_folder]);
    assert_eq!(principal(&shown), format!("user:{USER}"));
    assert!(shown.contains(moved.to_str().unwrap()) && shown.contains("CLOUDSDK_CONFIG"), "{shown}");

    if cfg!(unix) {
        let shown = process([at_home, ("IAM_CREDENTIALS_EMULATOR_HOST", OsStr::new("127.0.0.1:1"))]);
        assert_eq!(principal(&shown), member(KEY));
        assert!(shown.contains(usual) && shown.contains("a service account's key"), "{shown}");
        assert!(shown.contains("emulator: IAM_CREDENTIALS_EMULATOR_HOST is 127.0.0.1:1"), "{shown}");
    }
}

/// conf: M26
#[cfg(all(feature = "tls-native-roots", target_os = "linux"))]
#[test]
fn over_tls_a_process_trusts_the_systems_certificate_store() {
    let emulator = Emulator::builder().tls().start_blocking().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("adc.json"), folder.path().join("ca.pem"));
    let user = emulator.authorized_user_json(USER);
    std::fs::write(&file, emulator.impersonated_service_account_json(&user, TARGET, [""; 0]).unwrap())
        .unwrap();
    std::fs::write(&store, emulator.ca_pem().unwrap()).unwrap();
    let shown = process([("GOOGLE_APPLICATION_CREDENTIALS", &file), ("SSL_CERT_FILE", &store)]);
    let token =
        shown.lines().find_map(|line| line.strip_prefix("token: ")).unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(emulator.verify_access_token(token).unwrap().principal, member(TARGET));
}

/// conf: M34
#[test]
fn an_unusable_file_is_an_error_and_no_other_identity_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("application_default_credentials.json");
    std::fs::write(&path, r#"{"type":"authorized_user","client_id":"only"}"#).unwrap();
    let shown = process([("CLOUDSDK_CONFIG", folder.path())]);
    let named = path.to_str().unwrap();
    assert!(shown.contains(&format!("refused: client_secret: in {named} is missing")), "{shown}");
}

#[cfg(unix)]
mod gcloud {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A folder with a `gcloud` of that script, to stand first in the path.
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
        // The second time its user is logged out.
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
        assert!(lines.contains(&"credentials: the metadata server, else the gcloud command"), "{shown}");
        assert!(lines.contains(&"token: gcloud-token"), "{shown}");
        let error =
            lines.iter().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{shown}"));
        assert!(error.contains("gcloud") && !error.contains("hidden"), "{shown}");
        assert!(shown.contains("afterwards credentials: the gcloud command\n"), "{shown}");
    }

    #[test]
    fn if_nothing_is_found_the_error_says_what_to_set_up() {
        let folder = tempfile::tempdir().unwrap();
        let shown = run(&install(folder.path(), "echo hidden; exit 1"), "1");
        let error =
            shown.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{shown}"));
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
        let start = tokio::time::Instant::now();
        let shown = process([("PATH", path.as_str()), ("PATIENCE_MS", "8000"), ("HOME", "/nonexistent")]);
        assert!(shown.contains("gave up"), "{shown}");
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let ended = || {
            let status = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim()));
            status.is_ok_and(|command| !command.contains("sleep"))
                || !Path::new("/proc").join(pid.trim()).exists()
        };
        assert!(ended(), "gcloud still runs");
    }
}
