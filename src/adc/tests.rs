//! Files that are found, read and refused. Nothing is sent.

#[cfg(all(feature = "aws", feature = "_tls"))]
#[cfg(any(feature = "tls-native-roots", feature = "tls-webpki-roots"))]
mod aws;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
#[cfg(any(feature = "tls-native-roots", feature = "tls-webpki-roots"))]
mod certificate;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
#[cfg(any(feature = "tls-native-roots", feature = "tls-webpki-roots"))]
mod external_account;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
#[cfg(any(feature = "tls-native-roots", feature = "tls-webpki-roots"))]
mod impersonation;
#[cfg(all(feature = "credential-files", feature = "_tls"))]
#[cfg(any(feature = "tls-native-roots", feature = "tls-webpki-roots"))]
mod workforce_user;

use serde_json::{Value, json};

use super::found_file::GCLOUD_FILE;
use super::*;
use crate::environment::{QUOTA_VARIABLE, UNIVERSE_VARIABLE};

const USER: &str = "me@example.com";
const TARGET: &str = "target@p.iam.gserviceaccount.com";

fn nothing() -> Environment {
    Environment { credential_file: None, chosen_folder: None, default_folder: None, variables: |_| None }
}

fn builder() -> CredentialsBuilder {
    Credentials::builder().in_environment(nothing())
}

fn user() -> Value {
    json!({
        "type": "authorized_user",
        "account": USER,
        "client_id": "id",
        "client_secret": "hidden-secret",
        "refresh_token": "hidden-token",
    })
}

fn url(host: &str, target: &str) -> String {
    format!("https://{host}/v1/projects/-/serviceAccounts/{target}:generateAccessToken")
}

fn impersonated(source: Value) -> Value {
    json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": url("iamcredentials.googleapis.com", TARGET),
        "source_credentials": source,
    })
}

/// `object` with some of its fields set or, where null, taken out.
fn with(mut object: Value, changes: Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(field)),
            value => object[field] = value.clone(),
        }
    }
    object
}

fn read(object: &Value) -> Result<Credentials, Error> {
    builder().json(&object.to_string())
}

#[track_caller]
fn assert_refused(object: &Value, field: &str) -> String {
    let error = read(object).unwrap_err();
    assert_eq!(error.field(), Some(field), "{error}");
    assert!(error.to_string().contains("the credential file's content"), "{error}");
    assert!(!format!("{error} {error:?} {error:#?}").contains("hidden"), "{error:?}");
    assert!(!error.is_transient());
    error.to_string()
}

mod search {
    use super::*;

    fn places(file: Option<&Path>, named: Option<&Path>, usual: Option<&Path>) -> CredentialsBuilder {
        let owned = |path: Option<&Path>| path.map(Path::to_owned);
        let environment = Environment {
            credential_file: owned(file),
            chosen_folder: owned(named),
            default_folder: owned(usual),
            variables: |_| None,
        };
        Credentials::builder().in_environment(environment)
    }

    /// conf: M34
    #[test]
    fn a_file_that_cannot_be_used_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let well_known = folder.path().join(GCLOUD_FILE);
        for content in ["", "{", "[]", "{}", r#"{"type":"authorized_user"}"#, r#"{"type":"magic"}"#] {
            std::fs::write(&well_known, content).unwrap();
            for builder in [
                places(None, None, Some(folder.path())),
                places(None, Some(folder.path()), None),
                places(Some(&well_known), None, None),
            ] {
                let error = builder.application_default().unwrap_err();
                assert!(error.to_string().contains(GCLOUD_FILE), "{content:?}: {error}");
                assert!(!error.is_transient());
            }
        }
    }

    /// conf: M34
    #[test]
    fn a_file_that_is_named_must_be_there_and_a_place_that_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.json");
        let error = places(Some(&missing), None, None).application_default().unwrap_err();
        assert!(error.to_string().contains("missing.json"), "{error}");

        std::fs::create_dir(folder.path().join(GCLOUD_FILE)).unwrap();
        let error = places(None, None, Some(folder.path())).application_default().unwrap_err();
        assert!(error.to_string().contains(GCLOUD_FILE), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere/adc.json", folder.path().join(GCLOUD_FILE)).unwrap();
        let error = places(None, None, Some(folder.path())).application_default().unwrap_err();
        assert!(error.to_string().contains(GCLOUD_FILE), "{error}");
    }

    /// conf: P55
    #[cfg(feature = "credential-files")]
    #[test]
    fn the_named_file_comes_before_the_named_folder_and_that_before_the_usual_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let file = path.join(GCLOUD_FILE);
            let user = with(user(), json!({"account": name, "token_uri": "http://127.0.0.1:1/token"}));
            std::fs::write(&file, user.to_string()).unwrap();
            (path, file)
        };
        let ((_, file), (named, _), (usual, usual_file)) = (place("file"), place("named"), place("usual"));
        for (builder, principal, reason) in [
            (
                places(Some(&file), Some(&named), Some(&usual)),
                "file",
                "GOOGLE_APPLICATION_CREDENTIALS names it",
            ),
            (places(None, Some(&named), Some(&usual)), "named", "CLOUDSDK_CONFIG names the folder"),
            (places(None, None, Some(&usual)), "usual", "GOOGLE_APPLICATION_CREDENTIALS is not set"),
        ] {
            let explained = builder.application_default().unwrap().explain();
            assert_eq!(explained.info().principal(), Some(principal));
            assert!(explained.info().reason().unwrap().contains(reason), "{explained}");
            assert!(explained.info().file().unwrap().ends_with(format!("{principal}/{GCLOUD_FILE}")));
        }
        let explained = builder().file(&usual_file).unwrap().explain();
        assert_eq!(
            (explained.info().file(), explained.info().reason()),
            (Some(&*usual_file), Some("the program names it"))
        );
    }

    #[cfg(feature = "gcp-auth")]
    #[test]
    fn without_any_file_the_machine_is_asked_later() {
        let folder = tempfile::tempdir().unwrap();
        let credentials =
            places(None, None, Some(folder.path())).quota_project("billing").application_default().unwrap();
        assert!(!credentials.is_valid());
        let explained = credentials.explain();
        assert_eq!(
            explained.info().description().unwrap(),
            "the metadata server, or the gcloud command if there is none"
        );
        assert_eq!((explained.info().file(), explained.info().principal()), (None, None));
        assert_eq!(explained.info().quota_project(), Some("billing"));
    }
}

mod options {
    use super::*;

    #[test]
    fn an_option_or_variable_that_makes_no_sense_is_named() {
        let quota =
            Environment { variables: |name| (name == QUOTA_VARIABLE).then(|| "a b".into()), ..nothing() };
        let universe =
            Environment { variables: |name| (name == UNIVERSE_VARIABLE).then(|| "a/b".into()), ..nothing() };
        let of = |environment| Credentials::builder().in_environment(environment);
        for (builder, field) in [
            (builder().scopes([""; 0]), "scopes"),
            (builder().scopes(["email", "not good"]), "scopes[1]"),
            (builder().universe_domain("https://googleapis.com"), "universe_domain"),
            (builder().quota_project(""), "quota_project"),
            (of(quota), QUOTA_VARIABLE),
            (of(universe), UNIVERSE_VARIABLE),
        ] {
            assert_eq!(builder.clone().json(&user().to_string()).unwrap_err().field(), Some(field));
            assert_eq!(builder.application_default().unwrap_err().field(), Some(field));
        }
    }

    /// conf: P50, G63
    #[cfg(feature = "credential-files")]
    #[test]
    fn the_programs_quota_project_comes_before_the_variables_and_that_before_the_files() {
        let environment = Environment {
            variables: |name| (name == QUOTA_VARIABLE).then(|| "variable".into()),
            ..nothing()
        };
        let with_variable = Credentials::builder().in_environment(environment);
        let user = with(user(), json!({"token_uri": "http://127.0.0.1:1/token"}));
        let bare = user.to_string();
        let billed = with(user, json!({"quota_project_id": "file"})).to_string();
        for (builder, json, expected) in [
            (builder(), &bare, None),
            (builder(), &billed, Some("file")),
            (with_variable.clone(), &billed, Some("variable")),
            (with_variable.quota_project("program"), &billed, Some("program")),
        ] {
            let credentials = builder.json(json).unwrap();
            assert_eq!(credentials.info().quota_project(), expected);
            assert_eq!(credentials.info().quota_project(), expected);
        }
    }
}

mod types {
    use super::*;

    /// conf: P51
    #[test]
    fn a_type_that_cannot_be_read_is_named() {
        assert!(assert_refused(&json!({"type": "magic_account"}), "type").contains("magic_account"));
        assert_refused(&json!({"type": "AIza-hidden"}), "type");
        assert_refused(&json!({"type": 7}), "type");
        assert_refused(&json!({}), "type");
    }

    /// conf: F16
    #[test]
    fn a_service_identity_of_google_distributed_cloud_is_named_with_what_can_read_it() {
        let kind = "gdch_service_account";
        let file = json!({
            "type": kind,
            "format_version": "1",
            "project": "p",
            "name": "identity",
            "private_key_id": "1",
            "private_key": "-----BEGIN EC PRIVATE KEY-----\nhidden\n-----END EC PRIVATE KEY-----\n",
            "ca_cert_path": "ca.pem",
            "token_uri": "https://service-identity.example/authenticate",
        });
        let text = assert_refused(&file, "type");
        for part in [kind, "Google Distributed Cloud", "google-cloud-auth"] {
            assert!(text.contains(part), "{text}");
        }
        assert_refused(&impersonated(file), "source_credentials.type");
    }

    /// conf: P53, M28
    #[test]
    fn a_users_file_with_a_bad_field_is_refused() {
        for (changes, field) in [
            (json!({"client_id": null}), "client_id"),
            (json!({"client_secret": null}), "client_secret"),
            (json!({"refresh_token": null}), "refresh_token"),
            (json!({"refresh_token": ["hidden"]}), "refresh_token"),
            (json!({"client_secret": ""}), "client_secret"),
            (json!({"account": 7}), "account"),
            (json!({"quota_project_id": 7}), "quota_project_id"),
            (json!({"quota_project_id": "hidden project"}), "quota_project_id"),
            (json!({"universe_domain": "evil/hidden"}), "universe_domain"),
            (json!({"universe_domain": "evil.example"}), "universe_domain"),
            (json!({"token_uri": "https://evil.example/token"}), "token_uri"),
            (
                json!({"token_uri": "https://evil.example/token", "universe_domain": "evil.example"}),
                "universe_domain",
            ),
            (json!({"token_uri": "http://oauth2.googleapis.com/token"}), "token_uri"),
            (json!({"token_uri": "https://hidden@oauth2.googleapis.com/token"}), "token_uri"),
            (json!({"token_uri": "hidden"}), "token_uri"),
        ] {
            assert_refused(&with(user(), changes), field);
        }
    }

    /// conf: M28
    #[test]
    fn in_every_build_an_impersonation_of_an_untrusted_api_is_refused() {
        let field = "service_account_impersonation_url";
        for host in ["evil.example", "hidden@iamcredentials.googleapis.com", "10.0.0.1"] {
            assert_refused(&with(impersonated(user()), json!({field: url(host, TARGET)})), field);
        }
    }

    /// conf: M28
    #[test]
    fn a_token_uri_of_another_host_is_refused_in_every_spelling() {
        for uri in [
            "https://evil.example",
            "https://oauth2.googleapis.com.evil.example/token",
            "https://evilgoogleapis.com/token",
            "https://oauth2.googleapis.com@evil.example/token",
            "https://evil.example#.googleapis.com",
            "https://evil.example?.googleapis.com",
            "https://evil.example\\.googleapis.com/",
            "https://evil.example%2f.googleapis.com/",
            "https://oauth2.googleapis.com\n.evil.example/",
            "https://127.0.0.1.evil.example/token",
            "https://127.1/token",
            "https://[::ffff:10.0.0.1]/token",
            "http://localhost.evil.example/token",
            "http://127.0.0.1@evil.example/token",
            "HTTP://oauth2.googleapis.com/token",
            "//oauth2.googleapis.com/token",
            "oauth2.googleapis.com/token",
            "https://",
            "https://:443/token",
            "file:///etc/passwd",
        ] {
            assert_refused(&with(user(), json!({"token_uri": uri})), "token_uri");
        }
    }

    /// conf: M28
    #[test]
    fn content_that_no_tool_writes_is_refused_or_harmless() {
        let duplicate = user().to_string().replacen('{', r#"{"token_uri":"http://127.0.0.1:1/t","#, 1);
        let duplicate = duplicate.replacen('}', r#","token_uri":"https://evil.example/"}"#, 1);
        assert_eq!(builder().json(&duplicate).unwrap_err().field(), Some("token_uri"));
        for object in [
            json!({"type": "authorized_user\u{0}"}),
            json!({"type": "AUTHORIZED_USER"}),
            json!({"type": "x".repeat(100_000)}),
            json!({"type": ["authorized_user"]}),
            json!({"Type": "authorized_user"}),
        ] {
            let text = assert_refused(&object, "type");
            assert!(text.len() < 300, "{text}");
        }
        let error = builder().json(&format!("\u{feff}{}", user())).unwrap_err();
        assert_eq!(error.field(), Some("credential file"), "{error}");
    }

    /// conf: M28
    #[cfg(all(feature = "credential-files", feature = "_tls"))]
    #[test]
    fn a_key_file_with_a_bad_field_is_refused() {
        let pem = "-----BEGIN PRIVATE KEY-----\naGlkZGVu\n-----END PRIVATE KEY-----\n";
        let key = json!({"type": "service_account", "client_email": "a@b.c", "private_key": pem});
        for (changes, field) in [
            (json!({}), "private_key"),
            (json!({"private_key": "hidden"}), "private_key"),
            (json!({"private_key": {"hidden": 1}}), "private_key"),
            (json!({"private_key": null}), "private_key"),
            (json!({"private_key_id": 7}), "private_key_id"),
            (json!({"client_email": null}), "client_email"),
            (json!({"client_email": ["hidden"]}), "client_email"),
            (json!({"token_uri": "https://evil.example/token"}), "token_uri"),
            (json!({"token_uri": "http://oauth2.googleapis.com/token"}), "token_uri"),
            (json!({"universe_domain": "evil/"}), "universe_domain"),
            (json!({"quota_project_id": 7}), "quota_project_id"),
        ] {
            let text = assert_refused(&with(key.clone(), changes), field);
            assert!(!text.contains("aGlk"), "{text}");
        }
        let error = Credentials::from_service_account_json(&user().to_string()).unwrap_err();
        assert_eq!(error.field(), Some("type"), "{error}");
    }

    #[cfg(not(feature = "credential-files"))]
    #[test]
    fn a_file_that_needs_the_missing_feature_is_refused_with_its_name() {
        let key = json!({"type": "service_account", "client_email": "a@b.c", "private_key": "hidden"});
        for object in [user(), key.clone(), impersonated(user()), impersonated(key)] {
            let error = read(&object).unwrap_err();
            assert!(error.to_string().contains("feature"), "{error}");
            assert!(error.hint().unwrap().contains("credential-files"), "{error}");
        }
    }

    #[cfg(not(feature = "gcp-auth"))]
    #[test]
    fn without_a_file_the_feature_of_the_metadata_server_is_named() {
        let error = builder().application_default().unwrap_err();
        assert_eq!(error.field(), Some("credentials"));
        assert!(error.hint().unwrap().contains("feature gcp-auth"), "{error}");
    }
}
