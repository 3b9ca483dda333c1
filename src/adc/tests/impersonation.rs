//! Files of the type `impersonated_service_account`. Nothing is sent.

use std::time::Duration;

use super::*;
use crate::Impersonation;
use crate::source::Hop;

const DEFAULT: &str = "https://www.googleapis.com/auth/cloud-platform";

fn only_hop(credentials: &Credentials) -> Hop {
    let explained = credentials.explain();
    assert_eq!(explained.info().hops().len(), 1, "{explained}");
    explained.info().hops()[0].clone()
}

/// conf: P55, P56, G60, G61, P54
#[test]
fn a_file_says_all_of_the_chain() {
    let bare = read(&impersonated(user())).unwrap();
    let hop = only_hop(&bare);
    assert_eq!((hop.target(), hop.endpoint()), (TARGET, Some("https://iamcredentials.googleapis.com")));
    assert_eq!((hop.scopes(), hop.delegates()), (&[DEFAULT.to_owned()][..], &[][..]));
    assert_eq!(hop.lifetime(), Some(Impersonation::LIFETIME));
    let explained = bare.explain();
    assert_eq!(
        (explained.info().principal(), explained.info().source_principal()),
        (Some(TARGET), Some(USER))
    );
    assert_eq!(explained.info().universe_domain(), Some("googleapis.com"));
    assert_eq!(explained.info().reason(), Some("the program contains its content"));
    assert!(explained.info().description().unwrap().contains("authorized_user"), "{explained}");

    let full = with(
        impersonated(user()),
        json!({
            "delegates": ["b@p.com", "projects/-/serviceAccounts/a@p.com"],
            "scopes": ["email", "openid"],
            "service_account_impersonation": {"token_lifetime_seconds": 600},
            "quota_project_id": "billing",
            "universe_domain": "googleapis.com",
        }),
    );
    let full = read(&full).unwrap();
    let hop = only_hop(&full);
    assert_eq!(
        (hop.delegates(), hop.scopes()),
        (&["b@p.com", "a@p.com"].map(String::from)[..], &["email", "openid"].map(String::from)[..])
    );
    assert_eq!(hop.lifetime(), Some(Duration::from_secs(600)));
    assert_eq!(full.info().quota_project(), Some("billing"));
    assert_eq!(full.info().principal(), Some(TARGET));
    assert_eq!(full.clone().explain(), full.explain());
}

/// conf: P54, P10, G62, G64
#[test]
fn the_programs_scopes_come_before_the_files_and_neither_reaches_the_source() {
    let file = with(impersonated(impersonated(user())), json!({"scopes": ["email"]}));
    let file =
        with(file, json!({"source_credentials": with(impersonated(user()), json!({"scopes": ["profile"]}))}));
    let scopes = |credentials: &Credentials| -> Vec<Vec<String>> {
        credentials.info().hops().iter().map(|hop| hop.scopes().to_vec()).collect()
    };
    assert_eq!(scopes(&read(&file).unwrap()), [[DEFAULT], ["email"]]);
    let asked = builder().scopes(["openid"]).quota_project("mine").json(&file.to_string()).unwrap();
    assert_eq!(scopes(&asked), [[DEFAULT], ["openid"]]);
    assert_eq!(asked.info().scopes(), ["openid"]);
}

/// conf: P57, M27, G71
#[test]
fn eight_impersonations_nest_and_a_ninth_is_an_error() {
    let nested = |depth| (0..depth).fold(user(), |source, _| impersonated(source));
    let explained = read(&nested(8)).unwrap().explain();
    assert_eq!(explained.info().hops().len(), 8);
    assert_eq!(explained.info().source_principal(), Some(USER));
    for depth in [9, 20, 30] {
        let text = assert_refused(&nested(depth), &format!("{}type", "source_credentials.".repeat(8)));
        assert!(text.contains("at most 8"), "{text}");
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
        (json!({"source_credentials": {"type": "external_account"}}), "source_credentials.audience"),
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
        (json!({"scopes": ["email", 7]}), "scopes[1]"),
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
    let endpoint = |credentials: Credentials| only_hop(&credentials).endpoint().unwrap().to_owned();
    assert_eq!(endpoint(read(&named(regional)).unwrap()), format!("https://{regional}"));
    let private = named("iam.corp.example:8443").to_string();
    assert!(builder().json(&private).is_err());
    let allowed = builder().allow_hosts(["*.corp.example"]).json(&private).unwrap();
    assert_eq!(endpoint(allowed), "https://iam.corp.example:8443");
    let path = "https://iam.corp.example/proxy/v9/accounts/target%40p.com:generateAccessToken";
    let other = with(impersonated(user()), json!({"service_account_impersonation_url": path}));
    let allowed = builder().allow_hosts(["*.corp.example"]).json(&other.to_string()).unwrap();
    assert_eq!(only_hop(&allowed).target(), "target@p.com");
}

/// conf: P8
#[test]
fn the_universe_is_the_sources_and_the_programs() {
    let of = |outer: Value, inner: Value| {
        let host = json!({"service_account_impersonation_url": url("iamcredentials.tpc.example", TARGET)});
        with(with(impersonated(with(user(), inner)), host), outer)
    };
    let tpc = json!({"universe_domain": "tpc.example"});
    let builder = || builder().universe_domain("tpc.example");
    let read = |object: Value| builder().json(&object.to_string());
    for (outer, inner) in [(tpc.clone(), tpc.clone()), (json!({}), tpc.clone())] {
        let credentials = read(of(outer, inner)).unwrap();
        assert_eq!(credentials.info().universe_domain(), Some("tpc.example"));
        assert_eq!(only_hop(&credentials).endpoint().unwrap(), "https://iamcredentials.tpc.example");
    }
    let error = read(of(tpc.clone(), json!({}))).unwrap_err();
    assert_eq!(error.field(), Some("universe_domain"), "{error}");

    let environment = Environment {
        variables: |name| (name == UNIVERSE_VARIABLE).then(|| "tpc.example".into()),
        ..nothing()
    };
    let builder = Credentials::builder().in_environment(environment);
    let credentials = builder.json(&of(json!({}), tpc).to_string()).unwrap();
    assert_eq!(only_hop(&credentials).endpoint().unwrap(), "https://iamcredentials.tpc.example");
}

/// conf: M33
#[test]
fn the_emulators_variable_takes_the_place_of_the_usual_server_alone() {
    let here = Environment {
        variables: |name| (name == "IAM_CREDENTIALS_EMULATOR_HOST").then(|| "127.0.0.1:8095".into()),
        ..nothing()
    };
    let read = |object: &Value, environment: Environment| {
        let builder = Credentials::builder().in_environment(environment);
        builder.json(&object.to_string())
    };
    let usual = impersonated(user());
    let regional =
        json!({"service_account_impersonation_url": url("iamcredentials.eu.rep.googleapis.com", TARGET)});
    let credentials = read(&usual, here.clone()).unwrap();
    assert_eq!(only_hop(&credentials).endpoint().unwrap(), "http://127.0.0.1:8095");
    let credentials = read(&with(usual.clone(), regional), here).unwrap();
    assert_eq!(only_hop(&credentials).endpoint().unwrap(), "https://iamcredentials.eu.rep.googleapis.com");
    let afar = Environment {
        variables: |name| (name == "IAM_CREDENTIALS_EMULATOR_HOST").then(|| "emulator.internal:8095".into()),
        ..nothing()
    };
    let error = read(&usual, afar).unwrap_err();
    assert_eq!(error.field(), Some("IAM_CREDENTIALS_EMULATOR_HOST"), "{error}");
}

/// conf: F9
#[test]
fn the_impersonation_in_a_file_has_all_verbs_and_the_files_options() {
    let object = with(
        impersonated(user()),
        json!({
            "delegates": ["b@p.com"],
            "service_account_impersonation": {"token_lifetime_seconds": 7200},
            "quota_project_id": "billing",
        }),
    );
    let impersonation = builder().json_impersonation(&object.to_string()).unwrap();
    let hop = |credentials: Credentials| only_hop(&credentials);
    let access = impersonation.access_token(["email"]).unwrap();
    assert_eq!(
        (access.info().quota_project(), access.info().scopes()),
        (Some("billing"), &["email".into()][..])
    );
    assert_eq!(hop(access).lifetime(), Some(Duration::from_secs(7200)));
    let id_token = impersonation.id_token("https://audience").unwrap();
    assert_eq!(hop(id_token).audience(), Some("https://audience"));
    let own = impersonation.self_signed_jwt("https://pubsub.googleapis.com/").unwrap();
    assert_eq!(hop(own).lifetime(), Some(Impersonation::LIFETIME));
    assert_eq!(impersonation.signer().unwrap().email(), TARGET);
    let shorter = impersonation.lifetime(Duration::from_secs(60)).access_token(["email"]).unwrap();
    assert_eq!(hop(shorter).lifetime(), Some(Duration::from_secs(60)));
}

/// conf: F9
#[test]
fn a_file_without_an_impersonation_is_refused_where_one_is_needed() {
    let federated = json!({"type": "external_account"});
    for (object, field) in [
        (user(), "type"),
        (json!({"type": "magic"}), "type"),
        (json!({}), "type"),
        (federated, "service_account_impersonation_url"),
        (with(impersonated(user()), json!({"source_credentials": null})), "source_credentials"),
    ] {
        let error = builder().json_impersonation(&object.to_string()).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
    }
    let error = builder().application_default_impersonation().unwrap_err();
    assert_eq!(error.field(), Some("credentials"), "{error}");
}
