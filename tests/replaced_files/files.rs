//! What a replaced file changes, and what it must not change.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use gcp_iam_credentials::{
    Credentials, ErrorKind, IamCredentialsClient, Impersonation, ImpersonationPool, scopes,
};
use serde_json::{Value, json};

use crate::CredentialFile;
use crate::support::accounts::{FIRST, KEY, TARGET, USER, member};
use crate::support::emulator::start;
use crate::support::log_capture::LogCapture;

/// Returns what this process logs. Each test looks for the name of its own file.
fn log() -> &'static LogCapture {
    static LOG: OnceLock<LogCapture> = OnceLock::new();
    LOG.get_or_init(LogCapture::of_this_process)
}

/// Returns an emulator that knows a user by this refresh token.
async fn knowing_user(refresh_token: &str) -> Emulator {
    let policy = Policy::new()
        .user(USER, refresh_token)
        .grant(format!("user:{USER}"), Role::TOKEN_CREATOR, TARGET)
        .grant(member(TARGET), Role::TOKEN_CREATOR, FIRST);
    Emulator::builder().policy(policy).start().await.unwrap()
}

fn login(emulator: &Emulator, refresh_token: &str) -> String {
    let mut login: Value = serde_json::from_str(&emulator.authorized_user_json(USER)).unwrap();
    login["refresh_token"] = refresh_token.into();
    login.to_string()
}

/// conf: F12
#[tokio::test]
async fn a_new_login_in_the_file_is_used_by_the_next_call() {
    let emulator = knowing_user("good").await;
    let file = CredentialFile::new(&login(&emulator, "ended"));
    let credentials = file.read();
    for _ in 0..3 {
        let error = credentials.token().await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("expired or revoked"), "{error}");
    }
    assert_eq!(credentials.status().fetches(), 1, "the failure isn't replayed");
    file.write(&login(&emulator, "good"));
    let token = credentials.token().await.expect("the new login");
    assert_eq!(emulator.verify_access_token(token.secret()).unwrap().principal(), format!("user:{USER}"));
}

/// conf: F12
#[tokio::test]
async fn a_new_login_reaches_everything_that_was_made_from_the_file() {
    let emulator = knowing_user("good").await;
    let chain = |login: &str| {
        emulator.impersonated_service_account_json(login, TARGET, std::iter::empty::<&str>()).unwrap()
    };
    let file = CredentialFile::new(&chain(&login(&emulator, "ended")));
    let credentials = file.read();
    let client = IamCredentialsClient::builder()
        .credentials(credentials.clone())
        .endpoint(emulator.endpoint())
        .build()
        .unwrap();
    let acting = client.impersonate(FIRST).access_token([scopes::CLOUD_PLATFORM]).unwrap();
    let id_tokens = client.impersonate(FIRST).id_token("https://audience.example").unwrap();
    let pool = ImpersonationPool::builder(client.clone()).build();
    let pooled = pool.impersonate(FIRST).access_token([scopes::PUBSUB]).unwrap();
    let signer = client.impersonate(FIRST).signer().unwrap();

    let in_file = Impersonation::from_file(&file.path).unwrap();
    let by_file = in_file.id_token("https://audience.example").unwrap();

    for credentials in [&credentials, &acting, &id_tokens, &pooled, &by_file] {
        let error = credentials.token().await.unwrap_err();
        assert!(!error.is_transient() && format!("{error:#}").contains("invalid_grant"), "{error:#}");
    }
    signer.sign_blob("blob").await.unwrap_err();

    file.write(&chain(&login(&emulator, "good")));
    // Each of them is the first to be asked once, and the failures of all are replayed by then.
    for credentials in [&pooled, &by_file, &id_tokens, &acting, &credentials] {
        credentials.token().await.expect("the new login");
    }
    signer.sign_blob("blob").await.expect("the new login");
}

/// conf: F12
#[tokio::test]
async fn a_rotated_key_is_used_when_the_old_one_is_refused() {
    let emulator = start().await;
    let key = |of: &str| serde_json::from_str::<Value>(&emulator.service_account_key_json(of)).unwrap();
    // The key of another account stands for one that was deleted.
    let mut deleted = key(KEY);
    deleted["private_key"] = key(TARGET)["private_key"].clone();
    let file = CredentialFile::new(&deleted.to_string());
    let credentials = file.read();
    let error = credentials.token().await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    file.write(&key(KEY).to_string());
    credentials.token().await.expect("the new key");
    assert_eq!(credentials.explain().info().identity_change(), None, "the account is the same");
}

/// conf: F12
#[tokio::test]
async fn another_principal_in_the_file_is_a_warning_and_is_explained() {
    let log = log();
    let emulator = start().await;
    let file = CredentialFile::new(&emulator.service_account_key_json(KEY));
    let credentials = file.read();
    credentials.token().await.unwrap();
    assert_eq!(credentials.status().identity_change(), None);

    file.write(&emulator.service_account_key_json(TARGET));
    let token = credentials.refresh().await.unwrap();
    let verified = emulator.verify_access_token(token.secret()).unwrap();
    assert_eq!(verified.principal(), member(TARGET));
    let change = format!("principal: {TARGET}, before: {KEY}");
    assert_eq!(credentials.status().identity_change(), Some(&*change));
    let explained = credentials.explain().to_string();
    assert!(explained.contains(&format!("\nidentity change: {change}")), "{explained}");
    assert!(explained.contains(&format!("\nprincipal: {TARGET}")), "{explained}");

    let warnings = file.warnings(log);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("has another identity now") && warnings[0].contains(KEY), "{warnings:?}");
}

/// conf: F12
#[tokio::test]
async fn a_login_that_names_no_user_is_said_to_be_unknown() {
    let emulator = knowing_user("good").await;
    let without_name = |refresh_token: &str| {
        let mut login: Value = serde_json::from_str(&login(&emulator, refresh_token)).unwrap();
        login.as_object_mut().unwrap().remove("account");
        login.to_string()
    };
    let file = CredentialFile::new(&without_name("ended"));
    let credentials = file.read();
    credentials.token().await.unwrap_err();
    file.write(&without_name("good"));
    credentials.token().await.unwrap();
    let change = credentials.status().identity_change().map(str::to_owned).unwrap();
    assert!(change.contains("principal: unknown"), "{change}");
}

/// conf: F12
#[tokio::test]
async fn a_file_that_cannot_be_used_keeps_the_credentials_from_before() {
    let log = log();
    let emulator = start().await;
    let key = emulator.service_account_key_json(KEY);
    let file = CredentialFile::new(&key);
    let credentials = file.read();
    let half = &key[..key.len() / 2];
    for content in ["", half, "[]", "{}", r#"{"type":"magic"}"#] {
        file.write(content);
        for _ in 0..3 {
            credentials.refresh().await.expect(content);
        }
    }
    std::fs::remove_file(&file.path).unwrap();
    credentials.refresh().await.expect("the file is missing");
    std::fs::create_dir(&file.path).unwrap();
    credentials.refresh().await.expect("the file is a folder");
    std::fs::remove_dir(&file.path).unwrap();
    file.write(&emulator.service_account_key_json(TARGET));
    credentials.refresh().await.unwrap();
    assert_eq!(credentials.info().principal(), Some(TARGET));

    let warnings = file.warnings(log);
    let problems = warnings.iter().filter(|line| line.contains("can't be used")).count();
    assert_eq!(problems, 7, "each problem is logged once: {warnings:#?}");
    assert!(!warnings.concat().contains("PRIVATE KEY"));
}

/// conf: F12
#[tokio::test]
async fn only_a_file_of_the_same_universe_is_used() {
    let emulator = start().await;
    let key = |universe: &str| {
        let mut key: Value = serde_json::from_str(&emulator.service_account_key_json(KEY)).unwrap();
        key["universe_domain"] = universe.into();
        key.to_string()
    };
    let file = CredentialFile::new(&key("googleapis.com"));
    let builder = Credentials::builder().universe_domain("universe.example");
    let credentials = builder.file(&file.path).unwrap();
    file.write(&key("universe.example"));
    let token = credentials.refresh().await.unwrap();
    assert!(emulator.verify_access_token(token.secret()).is_some(), "the token of the other universe");
    assert_eq!(credentials.info().universe_domain(), Some("googleapis.com"));
}

/// conf: F12
#[tokio::test]
async fn only_the_content_decides_whether_a_file_has_changed() {
    let emulator = knowing_user("good-token-b").await;
    let old = login(&emulator, "ended-token-");
    let new = login(&emulator, "good-token-b");
    assert_eq!(old.len(), new.len());
    let file = CredentialFile::new(&old);
    let credentials = file.read();
    credentials.token().await.unwrap_err();
    let modified = std::fs::metadata(&file.path).unwrap().modified().unwrap();
    file.write(&new);
    std::fs::File::options().write(true).open(&file.path).unwrap().set_modified(modified).unwrap();
    credentials.token().await.expect("size and time are those from before");

    // And a file that was only touched isn't another one.
    let fetches = emulator.journal().entries().len();
    let touched = SystemTime::now() + Duration::from_secs(10);
    std::fs::File::options().write(true).open(&file.path).unwrap().set_modified(touched).unwrap();
    assert_eq!(credentials.status().identity_change(), None);
    assert_eq!(emulator.journal().entries().len(), fetches);
}

/// conf: F12
#[cfg(unix)]
#[tokio::test]
async fn a_link_that_is_swapped_as_kubernetes_does_is_followed() {
    use std::os::unix::fs::symlink;

    let emulator = knowing_user("good").await;
    let file = CredentialFile::new("{}");
    for (folder, refresh_token) in [("..first", "ended"), ("..second", "good")] {
        std::fs::create_dir(file.beside(folder)).unwrap();
        std::fs::write(file.beside(folder).join("adc.json"), login(&emulator, refresh_token)).unwrap();
    }
    symlink("..first", file.beside("..data")).unwrap();
    std::fs::remove_file(&file.path).unwrap();
    symlink(Path::new("..data").join("adc.json"), &file.path).unwrap();
    let credentials = file.read();
    credentials.token().await.unwrap_err();

    symlink("..second", file.beside("..data_tmp")).unwrap();
    std::fs::rename(file.beside("..data_tmp"), file.beside("..data")).unwrap();
    credentials.token().await.expect("the new login");
}

/// conf: F12
#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_read_once() {
    let emulator = start().await;
    let file = CredentialFile::new("{}");
    let pipe = file.beside("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (key, path) = (emulator.service_account_key_json(KEY), pipe.clone());
    let writer = std::thread::spawn(move || std::fs::write(path, key).unwrap());
    let credentials = Credentials::from_file(&pipe).unwrap();
    writer.join().unwrap();
    credentials.token().await.unwrap();
    credentials.refresh().await.expect("a second read would wait for ever");
}

/// conf: F12
#[tokio::test]
async fn a_file_of_another_type_than_the_program_asked_for_is_not_used() {
    let emulator = start().await;
    let file = CredentialFile::new(&emulator.service_account_key_json(KEY));
    let credentials = Credentials::from_service_account_file(&file.path).unwrap();
    file.write(&json!({"type": "authorized_user"}).to_string());
    credentials.refresh().await.unwrap();
    assert_eq!(credentials.info().principal(), Some(KEY));
    let error = Credentials::from_service_account_file(&file.path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
