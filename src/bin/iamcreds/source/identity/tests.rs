use std::fs;

use serde_json::json;

use super::*;

const KEY: &str = r#"{"type": "service_account", "private_key": "one"}"#;

fn identity(path: &Path) -> Option<SourceIdentity> {
    SourceIdentity::new(Digest::new()).with_credential_file(path)
}

fn name(identity: Option<SourceIdentity>) -> Option<String> {
    identity.map(|identity| identity.parts().hex())
}

/// conf: I31
#[test]
fn another_content_is_another_identity_and_another_path_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("key.json"), folder.path().join("copy.json"));
    fs::write(&path, KEY).unwrap();
    fs::write(&copy, KEY).unwrap();
    let first = name(identity(&path));
    assert!(first.is_some());
    assert_eq!(name(identity(&copy)), first);
    fs::write(&path, KEY.replace("one", "two")).unwrap();
    assert_ne!(name(identity(&path)), first);
    assert!(identity(&folder.path().join("missing")).is_none());
}

/// conf: I31
#[cfg(unix)]
#[test]
fn a_file_that_was_replaced_and_put_back_meanwhile_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    fs::write(&path, KEY).unwrap();
    let before = identity(&path).unwrap();
    assert!(before.is_same(&identity(&path).unwrap()));
    fs::rename(&path, folder.path().join("moved")).unwrap();
    fs::write(&path, KEY).unwrap();
    let after = identity(&path).unwrap();
    assert_eq!(before.parts().hex(), after.parts().hex());
    assert!(!before.is_same(&after));
}

/// conf: I31
#[test]
fn a_federated_identity_is_known_only_by_a_subject_token_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let account = |source: Value| json!({"type": "external_account", "credential_source": source});
    let in_file = account(json!({"file": token}));
    let nested = json!({"type": "impersonated_service_account", "source_credentials": in_file});
    for file in [in_file, nested] {
        let path = folder.path().join("account.json");
        fs::write(&path, file.to_string()).unwrap();
        let _ = fs::remove_file(&token);
        assert!(identity(&path).is_none(), "there is no subject token");
        fs::write(&token, "subject one").unwrap();
        let first = name(identity(&path));
        fs::write(&token, "subject two").unwrap();
        let second = name(identity(&path));
        assert!(first.is_some() && second.is_some() && first != second, "{file}");
    }
    for source in [json!({"url": "http://localhost/"}), json!({"executable": {"command": "x"}}), json!({})] {
        assert_eq!(subject_files(&account(source.clone())), None, "{source}");
        let nested = json!({"type": "impersonated_service_account", "source_credentials": account(source)});
        assert_eq!(subject_files(&nested), None);
    }
}

/// conf: I31
#[test]
fn another_login_with_gcloud_is_another_identity() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let settings = |variable: &str| {
        let (name, value) = variable.split_once('=').unwrap();
        let variables = [(OsString::from(name), OsString::from(value))];
        name_of_gcloud(folder.path(), &variables)
    };
    let usual = "CLOUDSDK_CORE_PROJECT=p";
    let mut seen = vec![settings(usual)];
    fs::create_dir(at("configurations")).unwrap();
    for (file, content) in [
        ("active_config", "default"),
        ("credentials.db", "a login"),
        ("credentials.db", "another login"),
        ("configurations/config_default", "[core]\naccount = a@example.com"),
        ("configurations/config_default", "[core]\naccount = b@example.com"),
    ] {
        fs::write(at(file), content).unwrap();
        seen.push(settings(usual));
        assert_eq!(settings(usual), seen[seen.len() - 1], "nothing has changed");
    }
    seen.push(settings("CLOUDSDK_CORE_ACCOUNT=c@example.com"));
    for (index, name) in seen.iter().enumerate() {
        assert!(name.is_some() && !seen[index + 1..].contains(name), "{index}: {seen:?}");
    }
    // Another file decides then, and may change.
    assert_eq!(settings("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=/token"), None);
    fs::write(at("configurations/config_default"), "[auth]\ncredential_file_override = /key").unwrap();
    assert_eq!(settings(usual), None);
}

fn name_of_gcloud(folder: &Path, variables: &[(OsString, OsString)]) -> Option<String> {
    name(SourceIdentity::new(Digest::new()).with_gcloud_settings(folder, variables))
}
