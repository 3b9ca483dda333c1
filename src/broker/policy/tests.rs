use std::net::IpAddr;

use super::*;

const SHOP: &str = "shop@p.iam.gserviceaccount.com";
const CLOUD: &str = "https://www.googleapis.com/auth/cloud-platform";
const STORAGE: &str = "https://www.googleapis.com/auth/devstorage.read_only";

fn policy(grants: &str) -> Policy {
    Policy::from_json(&format!("{{\"grants\": [{grants}]}}")).expect(grants)
}

fn grant(callers: &str, targets: &str, rest: &str) -> String {
    format!("{{\"callers\": [{callers}], \"targets\": [{targets}], {rest}}}")
}

fn error(json: &str) -> PolicyError {
    Policy::from_json(json).expect_err(json)
}

fn access<'a>(target: &'a str, scopes: &'a [String]) -> Request<'a> {
    Request { target, wanted: Wanted::Access(scopes), protocol: Protocol::Envoy }
}

fn id_token(audience: &str) -> Request<'_> {
    let wanted = Wanted::Identity { audience, with_email: false };
    Request { target: SHOP, wanted, protocol: Protocol::Envoy }
}

fn owned(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}

/// conf: Y2
#[test]
fn what_no_grant_allows_is_refused() {
    let web = Caller::new().with_principal("spiffe://d/ns/shop/sa/web");
    let denied = Policy::default().decide(&web, &access(SHOP, &[])).unwrap_err();
    assert_eq!(denied, Denial::Target);
    let policy = policy(&grant(
        r#"{"principal": "spiffe://d/ns/shop/*"}"#,
        &format!("{SHOP:?}"),
        &format!("\"scopes\": [{STORAGE:?}]"),
    ));
    let [storage, cloud] = [STORAGE, CLOUD].map(|scope| owned(&[scope]));
    let other = Caller::new().with_principal("spiffe://d/ns/shopping/sa/web");
    for (caller, request, expected) in [
        (&web, access(SHOP, &[]), None),
        (&web, access(SHOP, &storage), None),
        (&web, access("other@p.iam.gserviceaccount.com", &storage), Some(Denial::Target)),
        (&other, access(SHOP, &storage), Some(Denial::Caller)),
        (&Caller::new(), access(SHOP, &storage), Some(Denial::Caller)),
        (&web, access(SHOP, &cloud), Some(Denial::Scopes)),
        (&web, access(SHOP, &owned(&[STORAGE, CLOUD])), Some(Denial::Scopes)),
        (&web, id_token("https://a.run.app"), Some(Denial::Audience)),
    ] {
        assert_eq!(policy.decide(caller, &request).err(), expected, "{caller} {request:?}");
    }
}

/// conf: Y2
#[test]
fn the_first_grant_that_allows_a_token_counts() {
    let caller = r#"{"uid": 1}"#;
    let target = format!("{SHOP:?}");
    let policy = policy(
        &[
            grant(r#"{"uid": 2}"#, &target, &format!("\"scopes\": [{CLOUD:?}], \"lifetime\": \"60s\"")),
            grant(caller, &target, &format!("\"scopes\": [{STORAGE:?}], \"lifetime\": \"120s\"")),
            grant(caller, &target, &format!("\"scopes\": [{STORAGE:?}, {CLOUD:?}], \"lifetime\": \"180s\"")),
        ]
        .join(", "),
    );
    let one = Caller::new().with_uid(1);
    for (scopes, expected, seconds) in [
        (vec![], vec![STORAGE], 120),
        (vec![STORAGE], vec![STORAGE], 120),
        (vec![CLOUD, STORAGE], vec![STORAGE, CLOUD], 180),
    ] {
        let scopes = owned(&scopes);
        let allowed = policy.decide(&one, &access(SHOP, &scopes)).unwrap();
        assert_eq!(allowed.scopes, expected);
        assert_eq!(allowed.grant.lifetime().unwrap().as_secs(), seconds, "{scopes:?}");
    }
}

/// conf: Y3
#[test]
fn a_caller_must_have_all_that_a_pattern_names() {
    let web = "spiffe://d/ns/shop/sa/web";
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let full = Caller::new().with_principal(web).with_source(address("10.1.2.3")).with_uid(7);
    for (pattern, caller, expected) in [
        (r#"{"anyone": true}"#, Caller::new(), true),
        (r#"{"uid": 7}"#, full.clone(), true),
        (r#"{"uid": 0}"#, Caller::new(), false),
        (r#"{"uid": 7, "source": "10.0.0.0/8"}"#, full.clone(), true),
        (r#"{"uid": 7, "source": "10.1.2.3"}"#, full.clone(), true),
        (r#"{"uid": 7, "source": "10.2.0.0/16"}"#, full.clone(), false),
        (r#"{"source": "10.0.0.0/8"}"#, Caller::new().with_source(address("::ffff:10.0.0.1")), true),
        (r#"{"source": "::/0"}"#, Caller::new().with_source(address("10.0.0.1")), false),
        (r#"{"source": "0.0.0.0/0"}"#, Caller::new().with_principal(web), false),
        (r#"{"principal": "spiffe://d/ns/shop/sa/web"}"#, full.clone(), true),
        (r#"{"principal": "spiffe://d/ns/shop/sa/web", "uid": 8}"#, full.clone(), false),
        (r#"{"principal": "spiffe://d/ns/shop/sa"}"#, full.clone(), false),
        (r#"{"principal": "spiffe://d/ns/shop/sa/*"}"#, full.clone(), true),
        (r#"{"principal": "spiffe://d/*"}"#, Caller::new().with_principal("spiffe://d/"), false),
        (r#"{"principal": "spiffe://d/*"}"#, Caller::new().with_principal("spiffe://d.evil/x"), false),
        (r#"{"principal": "CN=web"}"#, Caller::new().with_principal("CN=web"), true),
        (r#"{"principal": "*"}"#, Caller::new().with_principal("*"), false),
    ] {
        let read = Policy::from_json(&format!(
            "{{\"grants\": [{}]}}",
            grant(pattern, &format!("{SHOP:?}"), "\"scopes\": [\"email\"]")
        ));
        let allowed = read.is_ok_and(|policy| policy.decide(&caller, &access(SHOP, &[])).is_ok());
        assert_eq!(allowed, expected, "{pattern} {caller}");
    }
}

/// conf: Y4
#[test]
fn a_pattern_of_targets_stays_in_its_project() {
    let policy = policy(&grant(
        r#"{"anyone": true}"#,
        r#""customer-*@p.iam.gserviceaccount.com", "1234567890""#,
        "\"scopes\": [\"email\"]",
    ));
    for (target, expected) in [
        ("customer-1@p.iam.gserviceaccount.com", true),
        ("customer-a-9@p.iam.gserviceaccount.com", true),
        ("1234567890", true),
        ("customer-@p.iam.gserviceaccount.com", false),
        ("customer-1@evil.iam.gserviceaccount.com", false),
        ("customer-1@evil.example@p.iam.gserviceaccount.com", false),
        ("customer-1@p.iam.gserviceaccount.com.evil", false),
        ("customer-1@x@p.iam.gserviceaccount.com", false),
        ("customer-/../a@p.iam.gserviceaccount.com", false),
        ("customer-A@p.iam.gserviceaccount.com", false),
        ("projects/-/serviceAccounts/1234567890", false),
        ("12345678901", false),
    ] {
        assert_eq!(policy.decide(&Caller::new(), &access(target, &[])).is_ok(), expected, "{target}");
    }
}

/// conf: Y5
#[test]
fn a_pattern_of_audiences_stays_in_its_domain() {
    let policy_of = |audience: &str| {
        policy(&grant(r#"{"anyone": true}"#, &format!("{SHOP:?}"), &format!("\"audiences\": [{audience:?}]")))
    };
    for (pattern, audience, expected) in [
        ("https://*.run.app", "https://a.run.app", true),
        ("https://*.run.app", "https://a-1.b.run.app", true),
        ("https://*.run.app", "https://.run.app", false),
        ("https://*.run.app", "https://run.app", false),
        ("https://*.run.app", "http://a.run.app", false),
        ("https://*.run.app", "https://a.run.app/path", false),
        ("https://*.run.app", "https://evil.example/.run.app", false),
        ("https://*.run.app", "https://evil.example#.run.app", false),
        ("https://*.run.app", "https://evil.example\\.run.app", false),
        ("https://*.run.app", "https://a@b.run.app", false),
        ("https://*.run.app", "https://a.run.app.evil.example", false),
        ("https://*.run.app/x", "https://a.run.app/x", true),
        ("client.apps.googleusercontent.com", "client.apps.googleusercontent.com", true),
        ("https://a.run.app", "https://a.run.app/", false),
        ("*", "anything at all", true),
        ("*", "", false),
    ] {
        let policy = policy_of(pattern);
        assert_eq!(
            policy.decide(&Caller::new(), &id_token(audience)).is_ok(),
            expected,
            "{pattern} {audience}"
        );
    }
}

/// conf: Y6
#[test]
fn a_library_gets_the_scopes_of_the_grant_that_it_names() {
    let policy = policy(&grant(
        r#"{"uid": 1}"#,
        &format!("{SHOP:?}"),
        &format!("\"scopes\": [{STORAGE:?}, \"email\"]"),
    ));
    for (requested, expected) in [
        (vec![], Some(vec![STORAGE, "email"])),
        (vec![CLOUD, STORAGE], Some(vec![STORAGE])),
        (vec![CLOUD], None),
    ] {
        let requested = owned(&requested);
        let request =
            Request { target: SHOP, wanted: Wanted::LibraryAccess(&requested), protocol: Protocol::Metadata };
        let allowed = policy.decide(&Caller::new().with_uid(1), &request);
        assert_eq!(allowed.ok().map(|allowed| allowed.scopes), expected, "{requested:?}");
    }
}

/// conf: Y7
#[test]
fn a_caller_that_names_no_target_is_its_only_one() {
    let scopes = "\"scopes\": [\"email\"]";
    let policy = policy(
        &[
            grant(r#"{"uid": 1}"#, r#""one@p.q""#, scopes),
            grant(r#"{"uid": 2}"#, r#""two-*@p.q""#, scopes),
            grant(r#"{"uid": 3}"#, r#""three@p.q", "four@p.q""#, scopes),
            grant(r#"{"uid": 1}, {"uid": 2}, {"uid": 4}"#, r#""last@p.q""#, scopes),
        ]
        .join(", "),
    );
    for (uid, expected) in [(1, Some("one@p.q")), (2, None), (3, None), (4, Some("last@p.q")), (5, None)] {
        assert_eq!(policy.target_of(&Caller::new().with_uid(uid)), expected, "{uid}");
    }
}

/// conf: Y1
#[test]
fn a_mistake_in_a_policy_is_refused_with_its_place_and_an_example() {
    let with_grant = |grant: &str| format!("{{\"grants\": [{grant}]}}");
    let with = |callers: &str, targets: &str, rest: &str| with_grant(&grant(callers, targets, rest));
    let (anyone, shop, scopes) = (r#"{"anyone": true}"#, format!("{SHOP:?}"), "\"scopes\": [\"email\"]");
    for (json, path) in [
        ("", ""),
        ("[]", ""),
        ("{} x", ""),
        (r#"{"grant": []}"#, "grant"),
        (r#"{"peers": "x"}"#, "peers"),
        (r#"{"peers": [{"principal": "a"}, {"principal": "spiffe://*"}]}"#, "peers"),
        (r#"{"peers": [{"principal": "spiffe://d/a*"}]}"#, "peers"),
        (r#"{"peers": [{"uid": 1}, {}]}"#, "peers[1]"),
        (r#"{"peers": [{"anyone": true}]}"#, "peers[0]"),
        (r#"{"peers": [{"source": "10.0.0.0/8"}]}"#, "peers[0]"),
        (r#"{"targetHeader": "a b"}"#, "targetHeader"),
        (r#"{"targetHeader": "authorization"}"#, "targetHeader"),
        (r#"{"targetHeader": "host"}"#, "targetHeader"),
        (&with_grant("[]"), "grants[0]"),
        (&with_grant("{}"), "grants[0]"),
        (&with("", &shop, scopes), "grants[0].callers"),
        (&with("{}", &shop, scopes), "grants[0].callers[0]"),
        (&with(r#"{"anyone": false}"#, &shop, scopes), "grants[0].callers[0]"),
        (&with(r#"{"anyone": true, "uid": 1}"#, &shop, scopes), "grants[0].callers[0]"),
        (&with(r#"{"uid": -1}"#, &shop, scopes), "grants[0].callers"),
        (&with(r#"{"source": "10.0.0.1/8"}"#, &shop, scopes), "grants[0].callers"),
        (&with(r#"{"source": "example.com"}"#, &shop, scopes), "grants[0].callers"),
        (&with(anyone, "", scopes), "grants[0].targets"),
        (&with(anyone, r#""*""#, scopes), "grants[0].targets[0]"),
        (&with(anyone, r#""a@*.iam.gserviceaccount.com""#, scopes), "grants[0].targets[0]"),
        (&with(anyone, r#""a-*-*@p.q""#, scopes), "grants[0].targets[0]"),
        (&with(anyone, r#""projects/-/serviceAccounts/a@p.q""#, scopes), "grants[0].targets[0]"),
        (&with(anyone, &shop, "\"scopes\": []"), "grants[0].scopes"),
        (&with(anyone, &shop, "\"scopes\": [\"email\", \"cloud-platform\"]"), "grants[0].scopes[1]"),
        (&with(anyone, &shop, "\"audiences\": [\"https://*\"]"), "grants[0].audiences[0]"),
        (&with(anyone, &shop, "\"audiences\": [\"https://*.app\"]"), "grants[0].audiences[0]"),
        (&with(anyone, &shop, "\"audiences\": [\"\"]"), "grants[0].audiences[0]"),
        (&with(anyone, &shop, "\"audiences\": [\"https://a.run.app/*\"]"), "grants[0].audiences[0]"),
        (&with(anyone, &shop, &format!("{scopes}, \"lifetime\": \"0s\"")), "grants[0].lifetime"),
        (&with(anyone, &shop, &format!("{scopes}, \"lifetime\": \"43201s\"")), "grants[0].lifetime"),
        (&with(anyone, &shop, &format!("{scopes}, \"lifetime\": 60")), "grants[0].lifetime"),
        (&with(anyone, &shop, &format!("{scopes}, \"delegates\": [\"a b\"]")), "grants[0].delegates[0]"),
    ] {
        let error = error(json);
        assert!(error.path().starts_with(path), "{json}: {error}");
        let has_example = error.to_string().contains("\nfix: write, for example, ");
        assert!(has_example || path.is_empty() || path == "grant", "{error}");
    }
}
