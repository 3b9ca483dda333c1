//! What is checked before anything is sent.

use serde_json::{Value, json};

use super::*;
use crate::environment::{EMULATOR_VARIABLE, Environment};
use crate::source::Hop;
use crate::{Token, TokenSource};

const VIEWER: &str = "roles/storage.objectViewer";

fn rule() -> AccessRule {
    AccessRule::bucket("files").role(VIEWER)
}

fn fixed() -> Credentials {
    Credentials::fixed(Token::new("secret", None).unwrap())
}

/// Credentials that report `info`.
fn reporting(info: SourceInfo) -> Credentials {
    Credentials::from_source(crate::source::FixedToken::with_info(Token::new("secret", None).unwrap(), info))
}

fn builder(variables: fn(&str) -> Option<String>) -> CredentialsBuilder {
    let environment =
        Environment { credential_file: None, chosen_folder: None, default_folder: None, variables };
    Credentials::builder().in_environment(environment)
}

#[track_caller]
fn assert_refused(boundary: AccessBoundary, field: &str) -> String {
    let error = fixed().downscope(boundary).unwrap_err();
    assert_eq!(error.field(), Some(field), "{error}");
    error.to_string()
}

/// conf: F13
#[test]
fn a_boundary_is_sent_in_the_form_of_googles_api() {
    let own = AccessRule::resource("//storage.googleapis.com/projects/_/buckets/b")
        .role("projects/p/roles/custom")
        .role("organizations/1/roles/custom")
        .condition("resource.name == 'x'")
        .title("t")
        .description("d");
    let boundary = AccessBoundary::new().rule(rule()).rule(own).rule(rule().object("a").object("b"));
    let json: Value = serde_json::from_str(&boundary.to_json().unwrap()).unwrap();
    let bucket = "//storage.googleapis.com/projects/_/buckets/files";
    let objects = "resource.name == 'projects/_/buckets/files/objects/a' || \
                   resource.name == 'projects/_/buckets/files/objects/b'";
    let viewer = ["inRole:roles/storage.objectViewer"];
    let expected = json!({"accessBoundary": {"accessBoundaryRules": [
        {"availableResource": bucket, "availablePermissions": viewer},
        {
            "availableResource": "//storage.googleapis.com/projects/_/buckets/b",
            "availablePermissions": ["inRole:projects/p/roles/custom", "inRole:organizations/1/roles/custom"],
            "availabilityCondition": {"expression": "resource.name == 'x'", "title": "t", "description": "d"},
        },
        {
            "availableResource": bucket,
            "availablePermissions": viewer,
            "availabilityCondition": {"expression": objects},
        },
    ]}});
    assert_eq!(json, expected);
}

/// conf: F13
#[test]
fn each_field_of_a_boundary_is_checked_and_named() {
    let named = |name: &str| AccessRule::resource(name).role(VIEWER);
    for (wrong, field) in [
        (AccessRule::bucket("").role(VIEWER), "bucket"),
        (AccessRule::bucket("b/objects/x").role(VIEWER), "bucket"),
        (AccessRule::bucket("gs://files").role(VIEWER), "bucket"),
        (AccessRule::bucket("it's").role(VIEWER), "bucket"),
        (AccessRule::bucket("Files").role(VIEWER), "bucket"),
        (AccessRule::bucket("-files").role(VIEWER), "bucket"),
        (AccessRule::bucket("f".repeat(223)).role(VIEWER), "bucket"),
        (named(""), "resource"),
        (named("files"), "resource"),
        (named("/storage.googleapis.com/projects/_/buckets/b"), "resource"),
        (named("//storage.googleapis.com"), "resource"),
        (named("//storage.googleapis.com/"), "resource"),
        (named("//storage.googleapis.com/a b"), "resource"),
        (AccessRule::bucket("files"), "roles"),
        (rule().role(""), "roles[1]"),
        (rule().role("roles/"), "roles[1]"),
        (rule().role("storage.objectViewer"), "roles[1]"),
        (rule().role("storage.objects.get"), "roles[1]"),
        (rule().role("inRole:roles/storage.objectViewer"), "roles[1]"),
        (rule().role("roles/a b"), "roles[1]"),
        (rule().role("projects//roles/x"), "roles[1]"),
        (rule().folder(""), "folder"),
        (rule().folder("good").folder("/"), "folder"),
        (rule().object(""), "object"),
        (rule().object("a\nb"), "object"),
        (rule().objects_starting_with(""), "objects_starting_with"),
        (rule().objects_starting_with("x".repeat(1025)), "objects_starting_with"),
        (named("//storage.googleapis.com/projects/_/buckets/b").folder("x"), "folder"),
        (rule().condition(" "), "condition"),
        (rule().condition("true").folder("x"), "condition"),
        (rule().title("t"), "title"),
        (rule().folder("x").title(""), "title"),
        (rule().description("d"), "description"),
    ] {
        let boundary = AccessBoundary::new().rule(rule()).rule(wrong);
        assert_refused(boundary, &format!("rules[1].{field}"));
    }
    let text = assert_refused(
        AccessBoundary::new().rule(AccessRule::bucket("files").role("inRole:roles/x")),
        "rules[0].roles[0]",
    );
    assert!(text.contains("leave out `inRole:`"), "{text}");
}

/// conf: F13
#[test]
fn a_boundary_has_up_to_ten_rules_and_2048_characters() {
    let rules = |count| (0..count).fold(AccessBoundary::new(), |boundary, _| boundary.rule(rule()));
    assert!(fixed().downscope(rules(10)).is_ok());
    for count in [0, 11] {
        let text = assert_refused(rules(count), "rules");
        assert!(text.contains(&format!("got {count}")), "{text}");
    }
    let with_title =
        |length| AccessBoundary::new().rule(rule().condition("true").title("\u{e9}".repeat(length)));
    let other = with_title(1).to_json().unwrap().chars().count() - r#"{"accessBoundary":}"#.len() - 1;
    let longest = AccessBoundary::MAX_LENGTH - other;
    assert!(fixed().downscope(with_title(longest)).is_ok());
    let text = assert_refused(with_title(longest + 1), "boundary");
    assert!(text.contains("2048 characters as JSON, got 2049"), "{text}");
}

/// conf: F13
#[test]
fn what_is_downscoped_already_or_has_no_access_tokens_is_refused() {
    struct Wrapper(Credentials);
    impl TokenSource for Wrapper {
        fn fetch<'a>(
            &'a self,
            _request: crate::source::FetchRequest<'a>,
        ) -> crate::source::BoxFuture<'a, Result<Token, Error>> {
            Box::pin(self.0.token())
        }
        fn info(&self) -> SourceInfo {
            self.0.info()
        }
    }
    let boundary = || AccessBoundary::new().rule(rule());
    let narrow = fixed().downscope(boundary()).unwrap();
    let text = narrow.explain().to_string();
    assert!(text.contains("access boundary: roles/storage.objectViewer on //storage"), "{text}");
    assert!(text.contains("(by https://sts.googleapis.com/v1/token)"), "{text}");
    let id_tokens = reporting(SourceInfo::new().with_hop(Hop::new("a@p").with_audience("https://audience")));
    for wrong in [narrow.clone(), Credentials::from_source(Wrapper(narrow.clone())), id_tokens] {
        let error = wrong.downscope(boundary()).unwrap_err();
        assert_eq!(error.field(), Some("credentials"), "{error}");
    }
    // The tokens of an impersonation are not those of its source.
    let acting = reporting(narrow.info().with_hop(Hop::new("a@p")));
    assert!(acting.downscope(boundary()).is_ok());
}

/// conf: F13
#[test]
fn the_token_service_is_that_of_the_source_unless_the_program_or_the_emulator_says_otherwise() {
    let url = |builder: CredentialsBuilder, source: &Credentials| {
        let narrow = builder.downscope(source, AccessBoundary::new().rule(rule()))?;
        let info = narrow.info();
        let (_, end) = info.access_boundary().unwrap().rsplit_once("(by ").unwrap();
        Ok::<_, Error>(end.trim_end_matches(')').to_owned())
    };
    let nothing = || builder(|_| None);
    let emulator = || builder(|name| (name == EMULATOR_VARIABLE).then(|| "127.0.0.1:8095".to_owned()));
    let in_tpc = reporting(SourceInfo::new().with_universe_domain("tpc.example"));
    for (builder, source, expected) in [
        (nothing(), fixed(), "https://sts.googleapis.com/v1/token"),
        (nothing(), in_tpc.clone(), "https://sts.tpc.example/v1/token"),
        (nothing().universe_domain("other.example"), fixed(), "https://sts.other.example/v1/token"),
        (emulator(), fixed(), "http://127.0.0.1:8095/v1/token"),
        (emulator().universe_domain("other.example"), fixed(), "https://sts.other.example/v1/token"),
        (emulator().token_url("https://sts.corp.example/x"), fixed(), "https://sts.corp.example/x"),
    ] {
        assert_eq!(url(builder, &source).unwrap(), expected);
    }
    let away = builder(|name| (name == EMULATOR_VARIABLE).then(|| "http://10.0.0.1:8095".to_owned()));
    for (builder, source, field) in [
        (away, fixed(), EMULATOR_VARIABLE),
        (nothing().token_url("http://sts.googleapis.com/v1/token"), fixed(), "token_url"),
        (nothing().universe_domain("other.example"), in_tpc, "universe_domain"),
        (nothing().universe_domain("a/b"), fixed(), "universe_domain"),
        (nothing().scopes(["email"]), fixed(), "scopes"),
        (nothing().quota_project("a b"), fixed(), "quota_project"),
        (nothing().impersonate("a@p"), fixed(), "impersonate"),
        (nothing().workforce_user_project("p"), fixed(), "workforce_user_project"),
    ] {
        let error = url(builder, &source).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
    }
    let billed = nothing().quota_project("billing").downscope(&fixed(), AccessBoundary::new().rule(rule()));
    assert_eq!(billed.unwrap().info().quota_project(), Some("billing"));
}

/// The condition of a folder, an object or a prefix is true for exactly the names that it should be
/// true for, whatever the name contains.
///
/// conf: F13
#[cfg(feature = "emulator")]
#[test]
fn a_condition_holds_for_its_objects_and_for_no_others() {
    use crate::emulator::cel::Expression;
    use crate::random::Random;

    const LIST: &str = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')";
    let mut random = Random::new(13);
    let mut name = || {
        let length = random.within(1..6);
        (0..length)
            .map(|_| *random.choose(&["'", "\\", "\"", "/", "a", "b", "\u{e9}", " || ", "("]))
            .collect()
    };
    for _ in 0..2_000 {
        let (chosen, other): (String, String) = (name(), name());
        let folder = if chosen.ends_with('/') { chosen.clone() } else { format!("{chosen}/") };
        type Matches<'a> = &'a dyn Fn(&str) -> bool;
        let kinds: [(AccessRule, Matches<'_>, bool); 3] = [
            (rule().folder(&*chosen), &|name| name.starts_with(&folder), true),
            (rule().objects_starting_with(&*chosen), &|name| name.starts_with(&chosen), true),
            (rule().object(&*chosen), &|name| name == chosen, false),
        ];
        for (rule, matches, lists) in kinds {
            let Ok(json) = rule.to_json() else { continue };
            let text = json["availabilityCondition"]["expression"].as_str().unwrap();
            let expression = Expression::parse(&text.replace(LIST, "listed")).unwrap();
            for object in [&other, &chosen, &format!("{chosen}/{other}"), &format!("{chosen}{other}")] {
                let holds = |name: &str, listed: &str| {
                    let variables = [("resource", json!({ "name": name })), ("listed", json!(listed))];
                    expression.evaluate(&variables.into()).unwrap() == true
                };
                let resource = format!("projects/_/buckets/files/objects/{object}");
                assert_eq!(holds(&resource, ""), matches(object), "{text} of {object:?}");
                assert_eq!(holds("projects/_/buckets/files", object), lists && matches(object), "{text}");
                assert!(!holds(&resource.replace("files", "other"), ""), "{text}");
            }
        }
    }
}
