//! Files of the type `external_account`. Nothing is sent.

use super::*;

const AUDIENCE: &str =
    "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/p";
const STAFF: &str = "//iam.googleapis.com/locations/global/workforcePools/staff/providers/okta";
const URL: &str = "service_account_impersonation_url";

fn federated() -> Value {
    json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "token_info_url": "https://sts.googleapis.com/v1/introspect",
        "credential_source": {"file": "/var/run/secrets/token"},
    })
}

fn of_url() -> Value {
    let source = json!({
        "url": "https://issuer.example/token?audience=x",
        "headers": {"Authorization": "Bearer hidden"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    });
    with(federated(), json!({"credential_source": source}))
}

/// conf: F1, F2
#[test]
fn a_file_says_who_is_federated_and_where_the_subject_tokens_come_from() {
    let credentials = read(&federated()).unwrap();
    let text = credentials.explain().to_string();
    for part in ["the file /var/run/secrets/token", "endpoint: https://sts.googleapis.com/v1/token"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(credentials.info().universe_domain(), Some("googleapis.com"));
    assert_eq!(credentials.info().scopes(), ["https://www.googleapis.com/auth/cloud-platform"]);

    let text = read(&of_url()).unwrap().explain().to_string();
    assert!(text.contains("a URL of issuer.example") && !text.contains("hidden"), "{text}");

    let bare = with(federated(), json!({"token_url": null, "token_info_url": null}));
    assert_eq!(read(&bare).unwrap().info().endpoint(), Some("https://sts.googleapis.com/v1/token"));
    let elsewhere = with(bare, json!({"universe_domain": "tpc.example"}));
    let credentials = builder().universe_domain("tpc.example").json(&elsewhere.to_string()).unwrap();
    assert_eq!(credentials.info().endpoint(), Some("https://sts.tpc.example/v1/token"));
}

/// conf: F8, F9
#[test]
fn a_file_that_impersonates_asks_the_token_service_for_the_scope_of_iam_alone() {
    let changes = json!({
        URL: url("iamcredentials.googleapis.com", TARGET),
        "service_account_impersonation": {"token_lifetime_seconds": 600},
        "scopes": ["email"],
        "quota_project_id": "billing",
    });
    let acting = read(&with(federated(), changes)).unwrap();
    let info = acting.info();
    assert_eq!((info.principal(), info.scopes()), (Some(TARGET), &["email".to_owned()][..]));
    assert_eq!(info.hops()[0].lifetime(), Some(std::time::Duration::from_secs(600)));
    assert_eq!(info.quota_project(), Some("billing"));
    let text = acting.explain().to_string();
    assert!(text.contains("\nscopes: https://www.googleapis.com/auth/iam\n"), "{text}");

    let nested = impersonated(federated());
    let info = read(&nested).unwrap().info();
    assert_eq!((info.principal(), info.hops().len()), (Some(TARGET), 1));
    let inner = with(federated(), json!({URL: url("iamcredentials.googleapis.com", "first@p.com")}));
    let chain = read(&impersonated(inner)).unwrap().info();
    let targets: Vec<&str> = chain.hops().iter().map(crate::source::Hop::target).collect();
    assert_eq!(targets, ["first@p.com", TARGET]);
}

/// conf: F1, F2, F8, F11
#[test]
fn each_field_of_a_federated_identity_is_checked_before_anything_is_sent() {
    let staff = json!({"audience": STAFF, "workforce_pool_user_project": "billing"});
    assert!(read(&with(federated(), staff)).is_ok());
    let client = json!({"client_id": "id", "client_secret": ""});
    assert!(read(&with(federated(), client)).is_ok());
    for (changes, field) in [
        (json!({"audience": null}), "audience"),
        (json!({"audience": ""}), "audience"),
        (json!({"audience": 7}), "audience"),
        (json!({"audience": "two words"}), "audience"),
        (json!({"audience": "hidden\n"}), "audience"),
        (json!({"audience": "a".repeat(1025)}), "audience"),
        (json!({"subject_token_type": null}), "subject_token_type"),
        (json!({"subject_token_type": ["urn:x"]}), "subject_token_type"),
        (json!({"subject_token_type": "jwt"}), "subject_token_type"),
        (json!({"subject_token_type": "urn:hidden hidden"}), "subject_token_type"),
        (json!({"token_url": 7}), "token_url"),
        (json!({"token_url": ""}), "token_url"),
        (json!({"token_url": "hidden"}), "token_url"),
        (json!({"token_url": "https://evil.example/v1/token"}), "token_url"),
        (json!({"token_url": "https://storage.googleapis.com/v1/token"}), "token_url"),
        (json!({"token_url": "http://sts.googleapis.com/v1/token"}), "token_url"),
        (json!({"token_info_url": {}}), "token_info_url"),
        (json!({"token_info_url": "https://evil.example/v1/introspect"}), "token_info_url"),
        (json!({URL: 7}), URL),
        (json!({URL: ""}), URL),
        (json!({URL: "hidden"}), URL),
        (json!({URL: url("evil.example", TARGET)}), URL),
        (json!({URL: url("sts.googleapis.com", TARGET)}), URL),
        (json!({URL: url("iamcredentials.googleapis.com", "no-name")}), URL),
        (json!({"service_account_impersonation": "hidden"}), "service_account_impersonation"),
    ] {
        assert_refused(&with(federated(), changes), field);
    }
}

/// conf: F1, F2, F8
#[test]
fn each_other_field_of_a_federated_identity_is_checked_too() {
    for (changes, field) in [
        (json!({"client_secret": "hidden"}), "client_id"),
        (json!({"client_id": 7}), "client_id"),
        (json!({"client_id": ""}), "client_id"),
        (json!({"client_id": "id", "client_secret": ["hidden"]}), "client_secret"),
        (json!({"client_id": "i:d", "client_secret": "hidden"}), "client_id"),
        (json!({"workforce_pool_user_project": "billing"}), "workforce_pool_user_project"),
        (json!({"audience": STAFF, "workforce_pool_user_project": 7}), "workforce_pool_user_project"),
        (json!({"audience": STAFF, "workforce_pool_user_project": "a b"}), "workforce_pool_user_project"),
        (json!({"quota_project_id": "hidden project"}), "quota_project_id"),
        (json!({"universe_domain": "evil.example"}), "universe_domain"),
        (json!({"universe_domain": {"hidden": 1}}), "universe_domain"),
        (json!({"scopes": "hidden"}), "scopes"),
        (json!({"scopes": ["hidden scope"]}), "scopes[0]"),
    ] {
        assert_refused(&with(federated(), changes), field);
    }
}

/// conf: F1, F8
#[test]
fn exactly_one_source_of_subject_tokens_and_a_legal_lifetime_are_needed() {
    for (changes, field) in [
        (json!({"credential_source": null}), "credential_source"),
        (json!({"credential_source": "hidden"}), "credential_source"),
        (json!({"credential_source": []}), "credential_source"),
        (json!({"credential_source": {}}), "credential_source"),
        (json!({"credential_source": {"hidden": "hidden"}}), "credential_source"),
        (json!({"credential_source": {"file": "/t", "url": "https://issuer.example"}}), "credential_source"),
        (json!({"credential_source": {"file": "/t", "environment_id": "aws1"}}), "credential_source"),
        (json!({"credential_source": {"file": "/t", "certificate": {}}}), "credential_source"),
        (json!({"credential_source": {"file": "/t", "executable": {}}}), "credential_source"),
    ] {
        assert_refused(&with(federated(), changes), field);
    }
    for seconds in [json!(599), json!(43_201), json!(-1), json!(600.5), json!("600"), json!(true)] {
        let lifetime = json!({"token_lifetime_seconds": seconds});
        let changes = json!({
            URL: url("iamcredentials.googleapis.com", TARGET),
            "service_account_impersonation": lifetime,
        });
        let field = "service_account_impersonation.token_lifetime_seconds";
        assert_refused(&with(federated(), changes), field);
    }
}

/// conf: F1, F2, F11
#[test]
fn each_field_of_a_file_or_a_url_is_checked_before_anything_is_sent() {
    let file = |change: Value| with(json!({"file": "/token"}), change);
    let url = |change: Value| with(json!({"url": "https://issuer.example/"}), change);
    let format = |format: Value| file(json!({"format": format}));
    let sized = |name: &str| url(json!({"headers": {name: "hidden"}}));
    for (source, field) in [
        (file(json!({"file": 7})), "file"),
        (file(json!({"file": ""})), "file"),
        (format(json!("json")), "format"),
        (format(json!({"type": 7})), "format.type"),
        (format(json!({"type": ""})), "format.type"),
        (format(json!({"type": "hidden"})), "format.type"),
        (format(json!({"type": "json"})), "format.subject_token_field_name"),
        (format(json!({"type": "json", "subject_token_field_name": ""})), "format.subject_token_field_name"),
        (
            format(json!({"type": "json", "subject_token_field_name": ["hidden"]})),
            "format.subject_token_field_name",
        ),
        (format(json!({"type": "text", "subject_token_field_name": 7})), "format.subject_token_field_name"),
        (url(json!({"url": 7})), "url"),
        (url(json!({"url": ""})), "url"),
        (url(json!({"url": "hidden"})), "url"),
        (url(json!({"url": "http://issuer.example/hidden"})), "url"),
        (url(json!({"url": "https://me:hidden@issuer.example/"})), "url"),
        (url(json!({"url": "file:///hidden"})), "url"),
        (url(json!({"headers": "hidden"})), "headers"),
        (url(json!({"headers": ["hidden"]})), "headers"),
        (url(json!({"headers": {"a": 7}})), "headers"),
        (url(json!({"headers": {"hidden name": "x"}})), "headers"),
        (url(json!({"headers": {"a": "hidden\r\nb: c"}})), "headers"),
        (url(json!({"headers": {"Metadata": "x", "metadata": "hidden"}})), "headers"),
        (sized("Content-Length"), "headers"),
        (sized("transfer-encoding"), "headers"),
        (url(json!({"format": []})), "format"),
    ] {
        let object = with(federated(), json!({"credential_source": source}));
        assert_refused(&object, &format!("credential_source.{field}"));
        let nested = impersonated(object);
        assert_refused(&nested, &format!("source_credentials.credential_source.{field}"));
    }
}

/// conf: F3
#[test]
fn a_command_runs_only_with_the_consent_of_whoever_runs_the_program() {
    let of = |variables: fn(&str) -> Option<String>| {
        let environment = Environment { variables, ..nothing() };
        Credentials::builder().in_environment(environment).json(&of_command(json!({})).to_string())
    };
    const VARIABLE: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
    assert!(of(|name| (name == VARIABLE).then(|| "1".into())).is_ok());
    let others: [fn(&str) -> Option<String>; 4] = [
        |_| None,
        |name| (name == VARIABLE).then(|| "true".into()),
        |name| (name == VARIABLE).then(|| "01".into()),
        |name| (name == VARIABLE).then(|| "1 ".into()),
    ];
    for variables in others {
        let error = of(variables).unwrap_err();
        assert_eq!(error.field(), Some("credential_source.executable"), "{error}");
        assert!(error.to_string().contains(VARIABLE) && error.hint().unwrap().contains(VARIABLE), "{error}");
    }
}

fn of_command(changes: Value) -> Value {
    let command = with(json!({"command": "/usr/bin/helper --key 'a b'"}), changes);
    with(federated(), json!({"credential_source": {"executable": command}}))
}

/// conf: F3
#[test]
fn each_field_of_a_command_is_checked_before_anything_is_run() {
    let environment = Environment {
        variables: |name| (name == "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES").then(|| "1".into()),
        ..nothing()
    };
    let read =
        |object: &Value| Credentials::builder().in_environment(environment.clone()).json(&object.to_string());
    let limits =
        json!({"timeout_millis": 5000, "interactive_timeout_millis": 1_800_000, "output_file": "/o"});
    let explained = read(&of_command(limits)).unwrap().explain().to_string();
    assert!(explained.contains("the command /usr/bin/helper") && !explained.contains("key"), "{explained}");
    for (changes, field) in [
        (json!({"command": null}), "command"),
        (json!({"command": ""}), "command"),
        (json!({"command": "  "}), "command"),
        (json!({"command": "'' hidden"}), "command"),
        (json!({"command": "helper 'hidden"}), "command"),
        (json!({"command": "helper \"hidden"}), "command"),
        (json!({"command": "helper hidden\\"}), "command"),
        (json!({"command": ["helper"]}), "command"),
        (json!({"timeout_millis": 4999}), "timeout_millis"),
        (json!({"timeout_millis": 120_001}), "timeout_millis"),
        (json!({"timeout_millis": -1}), "timeout_millis"),
        (json!({"timeout_millis": "30000"}), "timeout_millis"),
        (json!({"interactive_timeout_millis": 29_999}), "interactive_timeout_millis"),
        (json!({"interactive_timeout_millis": 1_800_001}), "interactive_timeout_millis"),
        (json!({"output_file": ""}), "output_file"),
        (json!({"output_file": ["hidden"]}), "output_file"),
    ] {
        let error = read(&of_command(changes)).unwrap_err();
        assert_eq!(error.field(), Some(&*format!("credential_source.executable.{field}")), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
    for object in [
        with(federated(), json!({"credential_source": {"executable": "helper"}})),
        with(of_command(json!({})), json!({"subject_token_type": "urn:ietf:params:oauth:token-type:mtls"})),
    ] {
        let error = read(&object).unwrap_err();
        assert_eq!(error.field(), Some("credential_source.executable"), "{error}");
    }
}

/// conf: F5
#[test]
fn what_the_program_says_in_place_of_a_file_is_checked_too() {
    const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
    let supply = |_| async { Ok("token".to_owned()) };
    let credentials = builder().external_account(AUDIENCE, JWT, supply).unwrap();
    let text = credentials.explain().to_string();
    assert!(
        text.contains("a closure in the program") && text.contains("https://sts.googleapis.com"),
        "{text}"
    );
    let full = builder()
        .scopes(["email"])
        .quota_project("billing")
        .token_url("https://sts.corp.example/v1/token")
        .workforce_user_project("staff-project")
        .impersonate(TARGET)
        .external_account(STAFF, JWT, supply)
        .unwrap();
    let info = full.info();
    assert_eq!((info.principal(), info.scopes()), (Some(TARGET), &["email".to_owned()][..]));
    assert_eq!(info.quota_project(), Some("billing"));
    assert!(full.explain().to_string().contains("https://sts.corp.example/v1/token"));
    let elsewhere = builder().universe_domain("tpc.example").external_account(AUDIENCE, JWT, supply).unwrap();
    assert_eq!(elsewhere.info().endpoint(), Some("https://sts.tpc.example/v1/token"));
    for (builder, audience, kind, field) in [
        (builder(), "", JWT, "audience"),
        (builder(), "two words", JWT, "audience"),
        (builder(), AUDIENCE, "", "subject_token_type"),
        (builder(), AUDIENCE, "jwt", "subject_token_type"),
        (builder().token_url("sts"), AUDIENCE, JWT, "token_url"),
        (builder().token_url("http://sts.googleapis.com/v1/token"), AUDIENCE, JWT, "token_url"),
        (builder().workforce_user_project("p"), AUDIENCE, JWT, "workforce_user_project"),
        (builder().workforce_user_project("a b"), STAFF, JWT, "workforce_user_project"),
        (builder().impersonate("nobody"), AUDIENCE, JWT, "target"),
        (builder().scopes(["two words"]), AUDIENCE, JWT, "scopes[0]"),
    ] {
        let error = builder.external_account(audience, kind, supply).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
    }
    for (builder, option) in [
        (builder().token_url("https://sts.googleapis.com/v1/token"), "token_url"),
        (builder().workforce_user_project("p"), "workforce_user_project"),
        (builder().impersonate(TARGET), "impersonate"),
    ] {
        let error = builder.json(&user().to_string()).unwrap_err();
        assert_eq!(error.field(), Some(option), "{error}");
    }
}
