//! What is checked before anything is sent, what a reply may be, and when a lookup is due.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use proptest::prelude::*;

use super::lookup::read;
use super::moment::Moment;
use super::schedule::{FIRST_PAUSE, LIFETIME, LONGEST_PAUSE, LOST_AFTER, REFRESH_AHEAD, Schedule};
use super::*;
use crate::Token;
use crate::downscope::{AccessBoundary, AccessRule};
use crate::environment::{EMULATOR_VARIABLE, Environment};
use crate::http_client::{HttpClient, Reply};
use crate::source::{FixedToken, Hop};

const ACCOUNT: &str = "a@p.iam.gserviceaccount.com";

fn reporting(info: SourceInfo) -> Credentials {
    Credentials::from_source(FixedToken::with_info(Token::new("secret", None).unwrap(), info))
}

fn account() -> SourceInfo {
    SourceInfo::new().with_principal(ACCOUNT)
}

fn builder(variables: fn(&str) -> Option<String>) -> CredentialsBuilder {
    let environment =
        Environment { credential_file: None, chosen_folder: None, default_folder: None, variables };
    Credentials::builder().in_environment(environment)
}

fn field(result: Result<Credentials, Error>) -> Option<String> {
    result.err().and_then(|error| error.field().map(str::to_owned))
}

/// conf: B1
#[test]
fn credentials_without_a_boundary_are_refused() {
    let hop = || Hop::new(ACCOUNT).with_endpoint("https://iamcredentials.googleapis.com");
    for (info, reason) in [
        (SourceInfo::new(), "nothing is known"),
        (SourceInfo::new().with_principal("me@example.com"), "a user"),
        (account().with_hop(hop().with_audience("https://app")), "ID tokens"),
        (account().with_hop(hop().with_subject("me@example.com")), "tokens of a user"),
        (account().with_access_boundary("a bucket"), "downscoped"),
        (account().with_regional_access_boundary("0x1"), "twice"),
    ] {
        let credentials = reporting(info);
        let result = credentials.with_regional_access_boundary();
        assert_eq!(field(result).as_deref(), Some("credentials"), "{reason}");
    }
    assert!(reporting(account().with_hop(hop())).with_regional_access_boundary().is_ok());
    let bounded = reporting(account()).with_regional_access_boundary().unwrap();
    assert!(bounded.with_regional_access_boundary().is_err());
    let rule = AccessRule::bucket("files").role("roles/storage.objectViewer");
    let narrow = reporting(account()).downscope(AccessBoundary::new().rule(rule)).unwrap();
    assert!(narrow.with_regional_access_boundary().is_err());
}

/// conf: B1
#[test]
fn an_option_that_belongs_to_the_source_is_refused() {
    let source = reporting(account());
    let none = |_: &str| None;
    for (builder, name) in [
        (builder(none).scopes(["x"]), "scopes"),
        (builder(none).quota_project("p"), "quota_project"),
        (builder(none).token_url("https://sts.googleapis.com/v1/token"), "token_url"),
        (builder(none).impersonate(ACCOUNT), "impersonate"),
        (builder(none).universe_domain("no domain"), "universe_domain"),
        (builder(none).proxy("no proxy"), "proxy"),
    ] {
        assert_eq!(field(builder.regional_access_boundary(&source)).as_deref(), Some(name));
    }
}

fn origin(
    info: &SourceInfo,
    emulator: Option<&'static str>,
    has_client_identity: bool,
) -> Result<String, Error> {
    let emulator = emulator.map(|text| host::origin(text, EMULATOR_VARIABLE).unwrap());
    let locations = HttpLocations { http: HttpClient::shared(), emulator, has_client_identity };
    locations.origin(info).map(|uri| uri.to_string())
}

/// conf: B4
#[test]
fn the_server_is_the_one_that_impersonates_the_emulator_or_googles() {
    let google = "https://iamcredentials.googleapis.com/";
    let hop = |endpoint: &str| account().with_hop(Hop::new(ACCOUNT).with_endpoint(endpoint));
    assert_eq!(origin(&account(), None, false).unwrap(), google);
    assert_eq!(origin(&account(), None, true).unwrap(), "https://iamcredentials.mtls.googleapis.com/");
    assert_eq!(origin(&account(), Some("http://127.0.0.1:8095"), true).unwrap(), "http://127.0.0.1:8095/");
    let own = "https://iamcredentials.corp.example:8443";
    assert_eq!(origin(&hop(own), None, false).unwrap().trim_end_matches('/'), own);
    // A real token doesn't go to an emulator on another machine, or out in plaintext.
    let far = Some("http://emulator:8095");
    assert_eq!(origin(&account(), far, false).unwrap_err().field(), Some("endpoint"));
    assert_eq!(origin(&hop("http://10.0.0.1"), None, false).unwrap_err().field(), Some("endpoint"));
    // What an emulator made goes back to it.
    assert_eq!(origin(&hop("http://emulator:8095"), far, false).unwrap(), "http://emulator:8095/");
    assert!(origin(&hop("http://emulator:8096"), far, false).is_err());
}

fn boundary_in(body: impl Into<bytes::Bytes>) -> Option<String> {
    let value = read(&Reply::new(StatusCode::OK, body)).ok()?;
    Some(value.to_str().unwrap().to_owned())
}

/// conf: B3
#[test]
fn a_reply_has_a_hexadecimal_number_or_is_a_failed_lookup() {
    for good in ["0x0", "0xA30", "0xffffffffffffffff"] {
        let body = format!(r#"{{"locations": ["us-east1"], "encodedLocations": "{good}"}}"#);
        assert_eq!(boundary_in(body).as_deref(), Some(good));
    }
    let long = format!("0x{}", "f".repeat(513));
    for bad in ["", "0x", "A30", "0xG", "0x1\\r\\nx-injected: 1", "0x 1", "0X1", "-0x1", "0x1\u{e9}", &long] {
        let body = format!(r#"{{"encodedLocations": "{bad}"}}"#);
        assert_eq!(boundary_in(body), None, "{bad}");
    }
    for body in ["", "{}", "[]", "0x0", r#"{"encodedLocations": null}"#, r#"{"encodedLocations": 2608}"#] {
        assert_eq!(boundary_in(body), None, "{body}");
    }
    let body = r#"{"encodedLocations": "0x0"}"#;
    for (status, is_transient) in [(204, false), (302, false), (401, false), (403, false), (503, true)] {
        let error = read(&Reply::new(StatusCode::from_u16(status).unwrap(), body)).unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{status}");
    }
}

proptest! {
    /// conf: B3
    #[test]
    fn whatever_a_server_replies_the_header_is_a_short_hexadecimal_number(
        value in "(0x)?[0-9a-fA-F\\PC\r\n]{0,20}", body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let reply = serde_json::json!({ "encodedLocations": value }).to_string();
        for found in [boundary_in(reply), boundary_in(body)].into_iter().flatten() {
            prop_assert!(found.starts_with("0x") && found.len() > 2);
            prop_assert!(found[2..].bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}

fn at(secs: u64) -> Moment {
    Moment {
        mono: Duration::from_secs(secs),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + secs),
    }
}

/// conf: B2
#[test]
fn a_boundary_is_kept_for_6_hours_and_looked_up_again_after_5() {
    let mut schedule = Schedule::new();
    let id = schedule.begin(at(10)).unwrap();
    assert_eq!(schedule.begin(at(11)), None, "one lookup at a time");
    assert_eq!(schedule.succeed(id, at(12)), Some(at(10).after(LIFETIME)));
    let due = 10 + (LIFETIME - REFRESH_AHEAD).as_secs();
    assert_eq!(schedule.begin(at(due - 1)), None);
    assert!(schedule.has_boundary(at(due)));
    let id = schedule.begin(at(due)).unwrap();
    schedule.fail(id, at(due + 1));
    assert!(schedule.has_boundary(at(10 + LIFETIME.as_secs() - 1)), "a failure doesn't remove it");
    assert!(!schedule.has_boundary(at(10 + LIFETIME.as_secs())));
}

/// conf: B2
#[test]
fn the_pause_after_a_failure_doubles_up_to_6_hours_and_a_success_ends_that() {
    let mut schedule = Schedule::new();
    let (mut now, mut pause) = (0, FIRST_PAUSE);
    for _ in 0..7 {
        let id = schedule.begin(at(now)).unwrap();
        assert_eq!(schedule.fail(id, at(now)), Some(pause));
        assert_eq!(schedule.begin(at(now + pause.as_secs() - 1)), None);
        now += pause.as_secs();
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    assert_eq!(pause, LONGEST_PAUSE);
    let id = schedule.begin(at(now)).unwrap();
    schedule.succeed(id, at(now)).unwrap();
    now += LIFETIME.as_secs();
    let id = schedule.begin(at(now)).unwrap();
    assert_eq!(schedule.fail(id, at(now)), Some(FIRST_PAUSE));
}

/// conf: B2
#[test]
fn a_boundary_that_ends_while_the_machine_is_suspended_is_looked_up_at_the_next_use() {
    let mut schedule = Schedule::new();
    let id = schedule.begin(at(0)).unwrap();
    schedule.succeed(id, at(0)).unwrap();
    let woken = Moment { mono: Duration::from_secs(5), ..at(7 * 3600) };
    assert!(!schedule.has_boundary(woken));
    let id = schedule.begin(woken).unwrap();
    schedule.fail(id, woken);
    assert_eq!(schedule.begin(woken), None, "a failure has its pause all the same");
}

/// conf: B2
#[test]
fn a_lookup_whose_runtime_is_gone_is_replaced_and_what_it_brings_later_is_dropped() {
    let mut schedule = Schedule::new();
    let lost = schedule.begin(at(0)).unwrap();
    assert_eq!(schedule.begin(at(LOST_AFTER.as_secs() - 1)), None);
    let id = schedule.begin(at(LOST_AFTER.as_secs())).unwrap();
    assert_eq!((schedule.succeed(lost, at(70)), schedule.fail(lost, at(70))), (None, None));
    schedule.abandon(id, at(70));
    assert_eq!(schedule.begin(at(70)), None, "not at each use");
    assert!(schedule.begin(at(71)).is_some());
    schedule.close();
    assert_eq!(schedule.begin(at(1_000_000)), None);
}
