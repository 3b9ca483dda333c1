use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::jwt::{Parts, encode};

const AUDIENCE: &str =
    "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/p";
const NOW: SystemTime = UNIX_EPOCH;

fn now() -> SystemTime {
    NOW + Duration::from_secs(1_800_000_000)
}

fn token(claims: &Value) -> String {
    format!("{}.{}.{}", encode("{}"), encode(claims.to_string()), encode("hidden-signature"))
}

fn claims() -> Value {
    json!({"iss": "https://issuer.example", "aud": "https://aud.example", "sub": "repo:octo/app",
        "iat": 1_799_999_000, "exp": 1_800_001_000})
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn facts(token: &str, description: Option<&Value>) -> FederationFacts {
    FederationFacts {
        provider: ProviderName::of_audience(AUDIENCE),
        subject: SubjectFacts::of(Parts::split(token).and_then(|parts| parts.claims()).as_ref()),
        origin: "the file /token".to_owned(),
        description: description.map(|json| ProviderDescription::parse(&json.to_string()).unwrap()),
    }
}

fn provider() -> Value {
    json!({
        "name": "projects/12/locations/global/workloadIdentityPools/ci/providers/p",
        "state": "ACTIVE",
        "attributeMapping": {"google.subject": "assertion.sub", "attribute.owner": "assertion.owner"},
        "attributeCondition": "assertion.owner == 'octo'",
        "oidc": {"issuerUri": "https://issuer.example/", "allowedAudiences": ["https://aud.example"]},
    })
}

fn refusal(code: &str, text: &str, claims: &Value, description: Option<&Value>) -> FederationRefusal {
    FederationRefusal::new(code, text, facts(&token(claims), description), now())
}

/// conf: F7
#[test]
fn the_reply_names_the_cause() {
    use FederationCause::*;
    for (code, text, cause) in [
        ("invalid_target", "The target service is invalid.", UnknownProvider),
        ("unauthorized_client", "rejected by the attribute condition.", ConditionRefused),
        ("invalid_scope", "Invalid OAuth scope.", WrongScope),
        (
            "invalid_request",
            "The size of mapped attribute google.subject exceeds the 127 bytes limit.",
            MappingTooLong,
        ),
        ("invalid_request", "Could not obtain a value for google.subject.", MappingFailed),
        ("invalid_request", "Invalid options.", Other),
        ("invalid_grant", "ID Token issued at 5 is stale to sign-in.", Stale),
        ("invalid_grant", "ID Token issued at 5 is not valid yet.", NotYetValid),
        (
            "invalid_grant",
            "The audience in ID Token [x] does not match the expected audience.",
            WrongAudience,
        ),
        ("invalid_grant", "The issuer in ID Token x does not match the expected ones.", WrongIssuer),
        ("invalid_grant", "Error connecting to the given credential's issuer.", IssuerUnreachable),
        ("invalid_grant", "The signature of the ID Token could not be verified.", WrongSignature),
        ("invalid_grant", "The subject token is not a valid JWT.", NotAToken),
        ("invalid_grant", "Something new.", Other),
        ("unsupported_grant_type", "no", Other),
    ] {
        let refusal = refusal(code, text, &claims(), None);
        assert_eq!(refusal.cause, cause, "{code}: {text}");
        assert_eq!(refusal.advice(now()).starts_with("likely "), !refusal.is_certain);
    }
}

/// conf: F7
#[test]
fn what_the_reply_does_not_say_is_seen_in_the_token_and_is_likely() {
    use FederationCause::*;
    for (changed, cause) in [
        (claims(), Other),
        (with(claims(), "exp", json!(1_799_999_999)), Expired),
        (with(claims(), "nbf", json!(1_800_000_300)), NotYetValid),
        (with(claims(), "iss", json!("https://other.example")), WrongIssuer),
        (with(claims(), "aud", json!(["https://other.example"])), WrongAudience),
    ] {
        let refusal = refusal("invalid_grant", "Invalid token.", &changed, Some(&provider()));
        assert_eq!((refusal.cause, refusal.is_certain), (cause, false), "{changed}");
    }
    let expired = with(claims(), "exp", json!(1_799_999_990));
    let refusal = refusal("invalid_grant", "ID Token issued at 5 is stale to sign-in.", &expired, None);
    assert!(refusal.is_certain && refusal.advice(now()).contains("it expired 10 s ago"));
}

const NAME: &str = "projects/12/locations/global/workloadIdentityPools/ci/providers/p";

fn update(flag: &str) -> String {
    format!("gcloud iam workload-identity-pools providers update-oidc {NAME} {flag}")
}

fn assert_command(refusal: &FederationRefusal, command: &str) {
    assert_eq!(refusal.command().as_deref(), Some(command));
    assert!(refusal.advice(now()).ends_with(command));
}

/// conf: F7
#[test]
fn a_command_keeps_what_the_description_says() {
    let other_audience = with(claims(), "aud", json!("https://new.example"));
    let default =
        "https://iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/p";
    for (description, audiences) in [
        (Some(&provider()), "https://aud.example,https://new.example".to_owned()),
        (None, format!("{default},https://new.example")),
    ] {
        let refusal = refusal("invalid_grant", "The audience does not match.", &other_audience, description);
        assert_command(&refusal, &update(&format!("--allowed-audiences={audiences}")));
    }
    let condition = r"'--attribute-condition=(assertion.owner == '\''octo'\'') || assertion.sub == '\''repo:octo/app'\'''";
    assert_command(&refusal("unauthorized_client", "", &claims(), Some(&provider())), &update(condition));
    let mapping = "--attribute-mapping=google.subject=assertion.CLAIM,attribute.owner=assertion.owner";
    let too_long = "The size of mapped attribute exceeds";
    assert_command(&refusal("invalid_request", too_long, &claims(), Some(&provider())), &update(mapping));
}

/// conf: F7
#[test]
fn no_claim_adds_a_word_or_a_value_to_a_command() {
    let words = |claims: &Value, code: &str, text: &str| {
        let command = refusal(code, text, claims, Some(&provider())).command();
        command.map(|command| shlex::split(&command).unwrap())
    };
    let hostile = "x' || true, $(reboot)\n\u{202e} --member=evil";
    let audience = with(claims(), "aud", json!(hostile));
    let command = words(&audience, "invalid_grant", "The audience does not match.").unwrap();
    assert_eq!(command.last().unwrap(), "--allowed-audiences=https://aud.example");
    let subject = with(claims(), "sub", json!(hostile));
    let command = words(&subject, "unauthorized_client", "").unwrap();
    let condition = command.last().unwrap().split_once(" || assertion.sub == '").unwrap().1;
    assert!(condition.starts_with(r"x\' || true, $(reboot)\n") && condition.ends_with('\''), "{condition}");
    for issuer in ["file:///etc/passwd", "-K/etc/curlrc", "http://issuer.example"] {
        let issuer = with(claims(), "iss", json!(issuer));
        assert_eq!(
            words(&issuer, "invalid_grant", "Error connecting to the given credential's issuer."),
            None
        );
    }
}

/// conf: F7, I56
#[test]
fn a_provider_that_cannot_be_used_is_shown_enabled_or_restored() {
    let command = |verb: &str| format!("gcloud iam workload-identity-pools providers {verb} {NAME}");
    let disabled = with(provider(), "disabled", json!(true));
    let deleted = with(provider(), "state", json!("DELETED"));
    for (description, command) in [
        (None, command("describe") + " --format=json"),
        (Some(&disabled), update("--no-disabled")),
        (Some(&deleted), command("undelete")),
    ] {
        assert_command(&refusal("invalid_target", "", &claims(), description), &command);
    }
}

/// conf: F7
#[test]
fn no_part_of_the_token_is_shown_and_each_claim_is_short() {
    let long = "x".repeat(10_000);
    let hostile = json!({"iss": long, "aud": [long, long, long, long, long], "sub": format!("a\nfix: rm{long}"),
        "exp": 1e300, "iat": -5});
    for token in [token(&hostile), "not-a-jwt-hidden".to_owned(), "a.b.c".to_owned(), String::new()] {
        let facts = facts(&token, None);
        let refusal = FederationRefusal::new("invalid_grant", "stale", facts, now());
        let shown = format!("{} {} {refusal:?}", refusal.subject_token(now()), refusal.advice(now()));
        assert!(!shown.contains("hidden") && !shown.contains(&encode("hidden")), "{shown}");
        let texts = [refusal.subject_token(now()), refusal.advice(now())];
        assert!(texts.iter().all(|text| text.len() < 1500), "{texts:?}");
    }
    let refusal = FederationRefusal::new("invalid_grant", "", facts("opaque", None), now());
    assert!(refusal.subject_token(now()).contains("not a JWT"));
}

/// conf: F7
#[test]
fn the_principal_is_certain_only_if_the_mapping_is_known() {
    let principal = "principal://iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/subject/repo:octo/app";
    let token = token(&claims());
    assert_eq!(facts(&token, None).principal(), Some((principal.to_owned(), false)));
    assert_eq!(facts(&token, Some(&provider())).principal(), Some((principal.to_owned(), true)));
    let mapped = with(provider(), "attributeMapping", json!({"google.subject": "assertion.owner"}));
    let unknown = principal.replace("repo:octo/app", "SUBJECT");
    assert_eq!(facts(&token, Some(&mapped)).principal(), Some((unknown, false)));
    assert_eq!(facts("opaque", None).principal(), None);
    let person =
        ProviderName::of_audience("//iam.googleapis.com/locations/global/workforcePools/w/providers/x");
    assert_eq!(
        person.unwrap().principal("me"),
        "principal://iam.googleapis.com/locations/global/workforcePools/w/subject/me"
    );
}

/// conf: F7
#[test]
fn a_description_of_something_else_is_refused() {
    for json in ["", "{}", "[]", r#"{"name":"projects/1"}"#, r#"{"name":7}"#] {
        let error = ProviderDescription::parse(json).unwrap_err();
        assert_eq!(error.field(), Some("provider_description"), "{json}");
    }
    let description = ProviderDescription::parse(&provider().to_string()).unwrap();
    let name = |audience| ProviderName::of_audience(audience);
    assert!(description.check(name(AUDIENCE).as_ref()).is_ok());
    assert!(description.check(name(&AUDIENCE.replace("/ci/", "/cd/")).as_ref()).is_err());
    assert!(description.check(None).is_err());
}
