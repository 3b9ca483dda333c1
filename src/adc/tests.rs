//! Files that are found, read and refused. Nothing is sent.

use serde_json::{Value, json};

use super::search::WELL_KNOWN_FILE;
use super::*;

const USER: &str = "me@example.com";
const TARGET: &str = "target@p.iam.gserviceaccount.com";

fn nothing() -> Environment {
    Environment { file: None, named_folder: None, usual_folder: None, variables: |_| None }
}

fn builder() -> CredentialsBuilder {
    CredentialsBuilder { environment: Some(nothing()), ..CredentialsBuilder::new() }
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
            file: owned(file),
            named_folder: owned(named),
            usual_folder: owned(usual),
            variables: |_| None,
        };
        CredentialsBuilder { environment: Some(environment), ..CredentialsBuilder::new() }
    }

    /// conf: M34
    #[test]
    fn a_file_that_cannot_be_used_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let well_known = folder.path().join(WELL_KNOWN_FILE);
        for content in ["", "{", "[]", "{}", r#"{"type":"authorized_user"}"#, r#"{"type":"magic"}"#] {
            std::fs::write(&well_known, content).unwrap();
            for builder in [
                places(None, None, Some(folder.path())),
                places(None, Some(folder.path()), None),
                places(Some(&well_known), None, None),
            ] {
                let error = builder.application_default().unwrap_err();
                assert!(error.to_string().contains(WELL_KNOWN_FILE), "{content:?}: {error}");
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

        std::fs::create_dir(folder.path().join(WELL_KNOWN_FILE)).unwrap();
        let error = places(None, None, Some(folder.path())).application_default().unwrap_err();
        assert!(error.to_string().contains(WELL_KNOWN_FILE), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere/adc.json", folder.path().join(WELL_KNOWN_FILE)).unwrap();
        let error = places(None, None, Some(folder.path())).application_default().unwrap_err();
        assert!(error.to_string().contains(WELL_KNOWN_FILE), "{error}");
    }

    /// conf: P55
    #[cfg(feature = "gcp-auth")]
    #[test]
    fn the_named_file_comes_before_the_named_folder_and_that_before_the_usual_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let file = path.join(WELL_KNOWN_FILE);
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
            assert_eq!(explained.principal(), Some(principal));
            assert!(explained.reason().unwrap().contains(reason), "{explained}");
            assert!(explained.file().unwrap().ends_with(format!("{principal}/{WELL_KNOWN_FILE}")));
        }
        let explained = builder().file(&usual_file).unwrap().explain();
        assert_eq!(
            (explained.file(), explained.reason()),
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
        assert_eq!(explained.source(), "the metadata server, else the gcloud command");
        assert_eq!((explained.file(), explained.principal()), (None, None));
        assert_eq!(explained.quota_project(), Some("billing"));
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
        let of =
            |environment| CredentialsBuilder { environment: Some(environment), ..CredentialsBuilder::new() };
        for (builder, field) in [
            (builder().scopes([""; 0]), "scopes"),
            (builder().scopes(["good", "not good"]), "scopes[1]"),
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
    #[cfg(feature = "gcp-auth")]
    #[test]
    fn the_programs_quota_project_comes_before_the_variables_and_that_before_the_files() {
        let environment = Environment {
            variables: |name| (name == QUOTA_VARIABLE).then(|| "variable".into()),
            ..nothing()
        };
        let with_variable =
            CredentialsBuilder { environment: Some(environment), ..CredentialsBuilder::new() };
        let bare = user().to_string();
        let billed = with(user(), json!({"quota_project_id": "file"})).to_string();
        for (builder, json, expected) in [
            (builder(), &bare, None),
            (builder(), &billed, Some("file")),
            (with_variable.clone(), &billed, Some("variable")),
            (with_variable.quota_project("program"), &billed, Some("program")),
        ] {
            let credentials = builder.json(json).unwrap();
            assert_eq!(credentials.info().known_quota_project(), expected);
            assert_eq!(credentials.explain().quota_project(), expected);
        }
    }
}

mod types {
    use super::*;

    /// conf: P51, P58
    #[test]
    fn a_type_that_cannot_be_read_is_named_with_what_can_read_it() {
        for kind in ["external_account", "external_account_authorized_user"] {
            let text = assert_refused(&json!({ "type": kind }), "type");
            assert!(text.contains(kind) && text.contains("google-cloud-auth"), "{text}");
            let lifetime =
                json!({"type": kind, "service_account_impersonation": {"token_lifetime_seconds": 599}});
            assert_refused(&lifetime, "service_account_impersonation.token_lifetime_seconds");
        }
        assert!(assert_refused(&json!({"type": "magic_account"}), "type").contains("magic_account"));
        assert_refused(&json!({"type": "AIza-hidden"}), "type");
        assert_refused(&json!({"type": 7}), "type");
        assert_refused(&json!({}), "type");
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
    #[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
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

    #[cfg(not(feature = "gcp-auth"))]
    #[test]
    fn without_the_feature_it_is_named() {
        for object in [user(), impersonated(user())] {
            let error = read(&object).unwrap_err();
            assert!(error.to_string().contains("feature gcp-auth"), "{error}");
        }
        let error = builder().application_default().unwrap_err();
        assert!(error.to_string().contains("feature gcp-auth"), "{error}");
    }
}

#[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
#[cfg(any(feature = "tls-native-roots", feature = "tls-webpki-roots"))]
mod impersonation {
    use std::time::Duration;

    use super::*;
    use crate::{Hop, Impersonation};

    const DEFAULT: &str = "https://www.googleapis.com/auth/cloud-platform";

    fn only_hop(credentials: &Credentials) -> Hop {
        let explained = credentials.explain();
        assert_eq!(explained.hops().len(), 1, "{explained}");
        explained.hops()[0].clone()
    }

    /// conf: P55, P56, G60, G61, P54
    #[test]
    fn a_file_says_all_of_the_chain() {
        let bare = read(&impersonated(user())).unwrap();
        let hop = only_hop(&bare);
        assert_eq!((hop.target(), hop.endpoint()), (TARGET, "https://iamcredentials.googleapis.com"));
        assert_eq!((hop.scopes(), hop.delegates()), (&[DEFAULT.to_owned()][..], &[][..]));
        assert_eq!(hop.lifetime(), Impersonation::LIFETIME);
        let explained = bare.explain();
        assert_eq!((explained.principal(), explained.source_principal()), (Some(TARGET), Some(USER)));
        assert_eq!(explained.universe_domain(), Some("googleapis.com"));
        assert_eq!(explained.reason(), Some("the program holds its content"));
        assert!(explained.source().contains("authorized_user"), "{explained}");

        let full = with(
            impersonated(user()),
            json!({
                "delegates": ["b@p.com", "projects/-/serviceAccounts/a@p.com"],
                "scopes": ["s1", "s2"],
                "service_account_impersonation": {"token_lifetime_seconds": 600},
                "quota_project_id": "billing",
                "universe_domain": "googleapis.com",
            }),
        );
        let full = read(&full).unwrap();
        let hop = only_hop(&full);
        assert_eq!(
            (hop.delegates(), hop.scopes()),
            (&["b@p.com", "a@p.com"].map(String::from)[..], &["s1", "s2"].map(String::from)[..])
        );
        assert_eq!(hop.lifetime(), Duration::from_secs(600));
        assert_eq!(full.info().known_quota_project(), Some("billing"));
        assert_eq!(full.info().known_principal(), Some(TARGET));
        assert_eq!(full.clone().explain(), full.explain());
    }

    /// conf: P54, P10, G62, G64
    #[test]
    fn the_programs_scopes_come_before_the_files_and_neither_reaches_the_source() {
        let file = with(impersonated(impersonated(user())), json!({"scopes": ["file"]}));
        let file = with(
            file,
            json!({"source_credentials": with(impersonated(user()), json!({"scopes": ["inner"]}))}),
        );
        let scopes = |credentials: &Credentials| -> Vec<Vec<String>> {
            credentials.explain().hops().iter().map(|hop| hop.scopes().to_vec()).collect()
        };
        assert_eq!(scopes(&read(&file).unwrap()), [[DEFAULT], ["file"]]);
        let asked = builder().scopes(["asked"]).quota_project("mine").json(&file.to_string()).unwrap();
        assert_eq!(scopes(&asked), [[DEFAULT], ["asked"]]);
        assert_eq!(asked.explain().scopes(), ["asked"]);
    }

    /// conf: P57, M27, G71
    #[test]
    fn eight_impersonations_nest_and_a_ninth_is_an_error() {
        let nested = |depth| (0..depth).fold(user(), |source, _| impersonated(source));
        let explained = read(&nested(8)).unwrap().explain();
        assert_eq!(explained.hops().len(), 8);
        assert_eq!(explained.source_principal(), Some(USER));
        for depth in [9, 20, 30] {
            let text = assert_refused(&nested(depth), &format!("{}type", "source_credentials.".repeat(8)));
            assert!(text.contains("8 are the most"), "{text}");
        }
        let deepest = read(&nested(100)).unwrap_err();
        assert!(!deepest.is_transient(), "{deepest}");
    }

    /// conf: M27
    #[test]
    fn a_file_that_names_itself_as_its_source_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adc.json");
        let own = with(impersonated(user()), json!({"source_credentials": path.to_str().unwrap()}));
        std::fs::write(&path, own.to_string()).unwrap();
        let error = builder().file(&path).unwrap_err();
        assert_eq!(error.field(), Some("source_credentials"), "{error}");
        assert!(error.to_string().contains("adc.json"), "{error}");
    }

    /// conf: P51, P52, P53, G71, M28
    #[test]
    fn a_bad_field_is_refused_wherever_it_stands() {
        let url_field = "service_account_impersonation_url";
        let long = url("iamcredentials.googleapis.com", &format!("{}@p.com", "a".repeat(500)));
        for (changes, field) in [
            (json!({url_field: null}), url_field),
            (json!({url_field: 7}), url_field),
            (json!({url_field: "hidden"}), url_field),
            (json!({url_field: long}), url_field),
            (json!({url_field: url("10.0.0.1", TARGET)}), url_field),
            (json!({url_field: url("iam.corp.example", TARGET)}), url_field),
            (json!({url_field: url("iamcredentials.googleapis.com.evil.example", TARGET)}), url_field),
            (json!({url_field: url("hidden@iamcredentials.googleapis.com", TARGET)}), url_field),
            (
                json!({url_field: url("iamcredentials.googleapis.com", TARGET).replace("https", "http")}),
                url_field,
            ),
            (json!({url_field: url("iamcredentials.googleapis.com", TARGET) + "?key=hidden"}), url_field),
            (json!({"source_credentials": null}), "source_credentials"),
            (json!({"source_credentials": []}), "source_credentials"),
            (json!({"source_credentials": {}}), "source_credentials.type"),
            (json!({"source_credentials": {"type": "external_account"}}), "source_credentials.type"),
            (
                json!({"source_credentials": with(user(), json!({"refresh_token": 7}))}),
                "source_credentials.refresh_token",
            ),
            (
                json!({"source_credentials": with(user(), json!({"token_uri": "https://evil.example"}))}),
                "source_credentials.token_uri",
            ),
            (json!({"delegates": "hidden"}), "delegates"),
            (json!({"delegates": ["hidden"]}), "delegates[0]"),
            (json!({"scopes": "hidden"}), "scopes"),
            (json!({"scopes": ["good", 7]}), "scopes[1]"),
            (json!({"scopes": ["hidden scope"]}), "scopes[0]"),
            (json!({"quota_project_id": "hidden project"}), "quota_project_id"),
            (json!({"universe_domain": "evil.example"}), "universe_domain"),
            (
                json!({"service_account_impersonation": {"token_lifetime_seconds": 1}}),
                "service_account_impersonation.token_lifetime_seconds",
            ),
        ] {
            assert_refused(&with(impersonated(user()), changes), field);
        }
        let wrong = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@p.com:signJwt";
        let text = assert_refused(&with(impersonated(user()), json!({url_field: wrong})), url_field);
        assert!(text.contains(wrong), "{text}");
    }

    /// conf: M28, P11
    #[test]
    fn a_host_of_its_own_is_used_where_it_may_be() {
        let named = |host: &str| {
            with(impersonated(user()), json!({"service_account_impersonation_url": url(host, TARGET)}))
        };
        let regional = "iamcredentials.us-east1.rep.googleapis.com";
        let endpoint = |credentials: Credentials| only_hop(&credentials).endpoint().to_owned();
        assert_eq!(endpoint(read(&named(regional)).unwrap()), format!("https://{regional}"));
        let private = named("iam.corp.example:8443").to_string();
        assert!(builder().json(&private).is_err());
        let allowed = builder().allow_hosts(["*.corp.example"]).json(&private).unwrap();
        assert_eq!(endpoint(allowed), "https://iam.corp.example:8443");
    }

    /// conf: P8
    #[test]
    fn the_universe_is_the_sources_and_the_programs() {
        let of = |outer: Value, inner: Value| {
            let host =
                json!({"service_account_impersonation_url": url("iamcredentials.tpc.example", TARGET)});
            with(with(impersonated(with(user(), inner)), host), outer)
        };
        let tpc = json!({"universe_domain": "tpc.example"});
        let builder = || builder().universe_domain("tpc.example");
        let read = |object: Value| builder().json(&object.to_string());
        for (outer, inner) in [(tpc.clone(), tpc.clone()), (json!({}), tpc.clone())] {
            let credentials = read(of(outer, inner)).unwrap();
            assert_eq!(credentials.info().known_universe_domain(), Some("tpc.example"));
            assert_eq!(only_hop(&credentials).endpoint(), "https://iamcredentials.tpc.example");
        }
        let error = read(of(tpc.clone(), json!({}))).unwrap_err();
        assert_eq!(error.field(), Some("universe_domain"), "{error}");

        let environment = Environment {
            variables: |name| (name == UNIVERSE_VARIABLE).then(|| "tpc.example".into()),
            ..nothing()
        };
        let builder = CredentialsBuilder { environment: Some(environment), ..CredentialsBuilder::new() };
        let credentials = builder.json(&of(json!({}), tpc).to_string()).unwrap();
        assert_eq!(only_hop(&credentials).endpoint(), "https://iamcredentials.tpc.example");
    }

    /// conf: M33
    #[test]
    fn the_emulators_variable_takes_the_place_of_the_usual_server_alone() {
        let here = Environment {
            variables: |name| (name == "IAM_CREDENTIALS_EMULATOR_HOST").then(|| "127.0.0.1:8095".into()),
            ..nothing()
        };
        let read = |object: &Value, environment: Environment| {
            let builder = CredentialsBuilder { environment: Some(environment), ..CredentialsBuilder::new() };
            builder.json(&object.to_string())
        };
        let usual = impersonated(user());
        let regional =
            json!({"service_account_impersonation_url": url("iamcredentials.eu.rep.googleapis.com", TARGET)});
        let credentials = read(&usual, here.clone()).unwrap();
        assert_eq!(only_hop(&credentials).endpoint(), "http://127.0.0.1:8095");
        let credentials = read(&with(usual.clone(), regional), here).unwrap();
        assert_eq!(only_hop(&credentials).endpoint(), "https://iamcredentials.eu.rep.googleapis.com");
        let afar = Environment {
            variables: |name| {
                (name == "IAM_CREDENTIALS_EMULATOR_HOST").then(|| "emulator.internal:8095".into())
            },
            ..nothing()
        };
        let error = read(&usual, afar).unwrap_err();
        assert_eq!(error.field(), Some("IAM_CREDENTIALS_EMULATOR_HOST"), "{error}");
    }
}
