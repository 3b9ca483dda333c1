//! What the helpers of other tools print, and the token cache that they share.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gcp_iam_credentials::emulator::{Emulator, Method};
use serde_json::{Value, json};

use crate::program::{BUILDER, DEPLOYER, Run, alice, iamcreds, run, shop, signal};

/// The emulator, and a home folder with a cache.
pub(crate) struct Home {
    pub(crate) emulator: Emulator,
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) async fn new() -> Self {
        Self { emulator: shop().await, folder: tempfile::tempdir().unwrap() }
    }

    /// Returns a command that Alice runs at home.
    pub(crate) fn alice(&self, arguments: &str) -> Command {
        let mut command = alice(&self.emulator, arguments);
        command.env("HOME", self.path("")).env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn mints(&self) -> usize {
        self.emulator.journal().of_method(Method::GenerateAccessToken).len()
    }

    /// Returns the account of a token.
    pub(crate) fn account(&self, token: &str) -> String {
        let token = self.emulator.verify_access_token(token).expect("a token of the emulator");
        token.principal().trim_start_matches("serviceAccount:").to_owned()
    }

    fn cached_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache/iamcreds")).unwrap().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().unwrap() == "json").collect()
    }
}

fn kubectl() -> String {
    format!("kubectl-credential --target {BUILDER}")
}

/// Returns the token in an ExecCredential.
fn token(run: Run) -> String {
    let printed: Value = serde_json::from_str(&run.ok()).unwrap();
    assert_eq!(printed["kind"], "ExecCredential");
    printed["status"]["token"].as_str().unwrap().to_owned()
}

/// conf: I35
#[tokio::test]
async fn kubectl_gets_an_exec_credential_in_the_version_it_asks_for() {
    let home = Home::new().await;
    for version in ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] {
        let info = json!({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": true}});
        let printed = run(home.alice(&kubectl()).env("KUBERNETES_EXEC_INFO", info.to_string())).ok();
        let reply: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&reply["apiVersion"], &reply["kind"]), (&version.into(), &"ExecCredential".into()));
        assert!(reply["status"]["expirationTimestamp"].as_str().unwrap().ends_with('Z'), "{reply}");
        assert_eq!(home.account(reply["status"]["token"].as_str().unwrap()), BUILDER);
    }
    let request = &home.emulator.journal().of_method(Method::GenerateAccessToken)[0];
    let shown = format!("{request:?}");
    assert!(shown.contains("auth/cloud-platform") && shown.contains("auth/userinfo.email"), "{shown}");
    let (what, fix) = run(home.alice(&kubectl()).env("KUBERNETES_EXEC_INFO", "{")).two_lines(2);
    assert!(what.contains("KUBERNETES_EXEC_INFO") && fix.contains("apiVersion"), "{what}: {fix}");
    let (what, fix) = run(&mut home.alice(&format!("kubectl-credential --target {DEPLOYER}"))).two_lines(4);
    assert!(what.contains(DEPLOYER) && !fix.is_empty(), "{what}: {fix}");
}

/// conf: I30
#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once_mint_one_token_and_no_cache_mints_each_time() {
    let home = Home::new().await;
    let start = || home.alice(&kubectl()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<Child> = (0..12).map(|_| start()).collect();
    let tokens: Vec<String> =
        children.into_iter().map(|child| token(child.wait_with_output().unwrap().into())).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(home.mints(), 1);
    let [file] = &home.cached_files()[..] else { panic!("{:?}", home.cached_files()) };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    let other = format!("{} --no-cache", kubectl());
    assert_ne!(token(run(&mut home.alice(&other))), tokens[0]);
    assert_eq!((home.mints(), home.cached_files().len()), (2, 1));
}

/// conf: I30
#[tokio::test]
async fn a_run_that_uses_the_cache_sends_nothing() {
    let home = Home::new().await;
    let mut command = home.alice(&kubectl());
    let first = token(run(&mut command));
    home.emulator.stop(std::time::Duration::ZERO).await;
    assert_eq!(token(run(&mut command)), first);
}

/// conf: I31
#[tokio::test]
async fn whatever_decides_a_token_decides_its_file() {
    let home = Home::new().await;
    let arguments = [
        format!("--target {BUILDER}"),
        format!("--target {DEPLOYER} --via {BUILDER}"),
        format!("--target {BUILDER} --scope https://www.googleapis.com/auth/pubsub"),
        format!("--target {BUILDER} --universe-domain googleapis.com"),
    ];
    for round in 1..=2 {
        for (index, arguments) in arguments.iter().enumerate() {
            token(run(&mut home.alice(&format!("kubectl-credential {arguments}"))));
            let expected = if round == 1 { index + 1 } else { 4 };
            assert_eq!(home.mints(), expected, "{arguments}");
        }
    }
    // Alice may not let this project pay, whatever is cached.
    let quota = run(&mut home.alice(&format!("{} --quota-project billing", kubectl())));
    let variable = run(home.alice(&kubectl()).env("GOOGLE_CLOUD_QUOTA_PROJECT", "billing"));
    assert_eq!((quota.code, variable.code), (Some(4), Some(4)), "{quota:?} {variable:?}");
    assert_eq!(home.cached_files().len(), 4);
}

/// conf: I31
#[tokio::test]
async fn another_login_never_gets_the_token_of_the_first_one() {
    let home = Home::new().await;
    let endpoint = home.emulator.endpoint();
    let adc = home.path("application_default_credentials.json");
    let default = format!("kubectl-credential --endpoint {endpoint} --target {DEPLOYER}");
    let file = format!("{default} --credentials {}", adc.display());
    let found = |arguments: &str| {
        let mut command = iamcreds(arguments.split_whitespace());
        command.env("CLOUDSDK_CONFIG", home.path("")).env("XDG_CACHE_HOME", home.path("cache"));
        run(&mut command)
    };
    let (key, user) = (
        home.emulator.service_account_key_json(BUILDER),
        home.emulator.authorized_user_json("alice@example.com"),
    );
    for arguments in [&default, &file] {
        fs::write(&adc, &key).unwrap();
        let first = token(found(arguments));
        assert_eq!(token(found(arguments)), first);
        // Alice may not act as the deployer, whatever is cached.
        fs::write(&adc, &user).unwrap();
        assert_eq!(found(arguments).code, Some(4), "{arguments}");
        fs::write(&adc, &key).unwrap();
        assert_eq!(token(found(arguments)), first, "{arguments}");
    }
    let refused = run(&mut home.alice(&format!("kubectl-credential --target {DEPLOYER}")));
    assert_eq!(refused.code, Some(4), "{refused:?}");
}

/// conf: I31
#[tokio::test]
async fn a_login_that_changes_while_tokens_are_minted_never_leaves_one_under_the_wrong_name() {
    let home = Home::new().await;
    let (key, user) = (
        home.write("key.json", &home.emulator.service_account_key_json(BUILDER)),
        home.write("user.json", &home.emulator.authorized_user_json("alice@example.com")),
    );
    let login = home.path("login.json");
    let log_in = |file: &Path| {
        let new = home.path("new.json");
        fs::copy(file, &new).unwrap();
        fs::rename(new, &login).unwrap();
    };
    let arguments = format!("kubectl-credential --target {DEPLOYER} --credentials {}", login.display());
    for _ in 0..4 {
        let _ = fs::remove_dir_all(home.path("cache"));
        log_in(&user);
        let start = || home.alice(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut children: Vec<Child> = (0..3).map(|_| start()).collect();
        while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
            for file in [&key, &user] {
                log_in(file);
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
        // Alice may not act as the deployer, so the cache must have nothing for her.
        let refused = run(&mut home.alice(&arguments));
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(4), ""), "{refused:?}");
    }
}

/// conf: I33
#[tokio::test]
async fn a_cache_that_cannot_be_used_is_said_in_one_line_and_the_token_is_printed() {
    let home = Home::new().await;
    let first = token(run(&mut home.alice(&kubectl())));
    let file = &home.cached_files()[0];
    fs::write(file, "broken").unwrap();
    let repaired = run(&mut home.alice(&kubectl()));
    assert!(repaired.stderr.contains("is broken: it is ignored and replaced"), "{repaired:?}");
    assert_eq!((repaired.code, repaired.stderr.lines().count()), (Some(0), 1));
    let second = token(run(&mut home.alice(&kubectl())));
    assert!(second != first && repaired.stdout.contains(&second), "{repaired:?}");

    let elsewhere = home.write("no folder", "");
    let without = run(home.alice(&kubectl()).env("XDG_CACHE_HOME", elsewhere));
    assert!(without.stderr.contains("no token is cached"), "{without:?}");
    assert_eq!((without.code, without.stderr.lines().count()), (Some(0), 1));
    token(run(home.alice(&kubectl()).env_remove("HOME").env_remove("XDG_CACHE_HOME")));
}

/// conf: I30
#[tokio::test]
async fn a_run_that_is_killed_while_it_mints_does_not_delay_the_next_one() {
    let home = Home::new().await;
    let hang = gcp_iam_credentials::emulator::Fault::hang().times(1);
    home.emulator.faults().inject(hang);
    let mut first = home.alice(&kubectl()).stdout(Stdio::null()).spawn().unwrap();
    while home.mints() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let second = home.alice(&kubectl()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    signal(&first, "-KILL");
    first.wait().unwrap();
    assert_eq!(home.account(&token(second.wait_with_output().unwrap().into())), BUILDER);
    assert_eq!(home.mints(), 2);
}
