//! `docs/policy_complete.json`: it has every field that a policy can have, and each of them does something.

use std::collections::{BTreeMap, BTreeSet};

use gcp_iam_credentials::emulator::{Emulator, Policy};
use serde_json::{Value, json as value};

use crate::support::emulator::{json, now, rest, text};

const POLICY: &str = include_str!("../../docs/policy_complete.json");
const PAGE: &str = include_str!("../../docs/emulator-reference.md");

const BUILDER: &str = "builder@shop.iam.gserviceaccount.com";
const DEPLOYER: &str = "deployer@shop.iam.gserviceaccount.com";

async fn start() -> Emulator {
    Emulator::builder().policy(Policy::from_json(POLICY).unwrap()).start().await.unwrap()
}

/// Sends a form to a token endpoint.
async fn post_form(emulator: &Emulator, path: &str, form: &str) -> (u16, Value) {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    json("POST", &format!("{}{path}", emulator.endpoint()), &headers, form.to_owned()).await
}

/// Returns whether the policy allows a method on the builder.
async fn allows(emulator: &Emulator, user: &str, method: &str) -> bool {
    let body = value!({"principal": format!("user:{user}@example.com"), "method": method, "serviceAccount": BUILDER});
    let url = format!("{}/emulator/check", emulator.endpoint());
    let (status, reply) = json("POST", &url, &[], body.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    reply["allowed"].as_bool().unwrap()
}

/// Returns what a policy may have at a place, according to the error about `unknown` there: its kind (`field` or
/// `variant`), and the names. Returns `None` if any name is accepted there.
fn known_at(document: &Value) -> Option<(&'static str, BTreeSet<String>)> {
    let error = Policy::from_json(&document.to_string()).err()?.to_string();
    let kind =
        ["field", "variant"].into_iter().find(|kind| error.contains(&format!("unknown {kind} `unknown`")))?;
    let (_, names) = error.split_once("`unknown`").unwrap();
    // An example follows in a line of its own.
    let names = names.lines().next().unwrap().split('`').skip(1).step_by(2).map(str::to_owned);
    Some((kind, names.collect()))
}

/// Returns the places of all values in a document, as JSON pointers.
fn places(value: &Value, place: &str, found: &mut Vec<String>) {
    found.push(place.to_owned());
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, value)| places(value, &format!("{place}/{}", escaped(name)), found));
        }
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(index, value)| places(value, &format!("{place}/{index}"), found));
        }
        _ => {}
    }
}

/// A field that is added to a policy must be added to the file and to the page.
#[test]
fn the_complete_policy_has_every_field_and_the_page_describes_it() {
    let document: Value = serde_json::from_str(POLICY).unwrap();
    let mut all = Vec::new();
    places(&document, "", &mut all);
    // The fields of each type, and those that its objects in the file have.
    let mut fields: BTreeMap<BTreeSet<String>, BTreeSet<String>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for place in all {
        let mut changed = document.clone();
        let value = changed.pointer_mut(&place).unwrap();
        let seen: BTreeSet<String> =
            value.as_object().iter().flat_map(|object| object.keys().cloned()).collect();
        match value {
            Value::Object(object) => {
                object.insert("unknown".to_owned(), Value::Null);
            }
            Value::String(text) => "unknown".clone_into(text),
            _ => continue,
        }
        let Some((kind, known)) = known_at(&changed) else { continue };
        named.extend(known.clone());
        if kind == "field" {
            fields.entry(known).or_default().extend(seen);
        }
    }
    assert!(fields.len() >= 14, "types that the file has: {:?}", fields.keys());
    let missing: Vec<Vec<&String>> =
        fields.iter().map(|(known, seen)| known.difference(seen).collect()).collect();
    assert!(missing.iter().all(Vec::is_empty), "not in docs/policy_complete.json: {missing:?}");

    let unnamed: Vec<&String> = named
        .iter()
        .filter(|name| {
            let forms = ["`{}`", ".{}`", "`{}.", ".{}."].map(|form| form.replace("{}", name));
            !forms.iter().any(|form| PAGE.contains(form))
        })
        .collect();
    assert!(unnamed.is_empty(), "not in docs/emulator-reference.md: {unnamed:?}");
}

#[tokio::test]
async fn projects_and_accounts_are_as_the_complete_policy_says() {
    let emulator = start().await;
    let (status, refused) =
        rest(&emulator, "worker@closed.iam.gserviceaccount.com", "signBlob", "alice-token", "{}").await;
    assert_eq!(status, 403);
    let details = &refused["error"]["details"][0];
    assert_eq!(details["reason"], "SERVICE_DISABLED", "{refused}");
    assert_eq!(details["metadata"]["consumer"], "projects/431234567890", "{refused}");

    let read = async |path: &str| {
        let url = format!("{}/v1/{path}", emulator.endpoint());
        json("GET", &url, &[("authorization", "Bearer admin-token")], "").await.1
    };
    let builder = read(&format!("projects/shop/serviceAccounts/{BUILDER}")).await;
    assert_eq!(
        (&builder["displayName"], &builder["description"]),
        (&"The builder".into(), &"Builds releases.".into())
    );
    let deployer = read(&format!("projects/shop/serviceAccounts/{DEPLOYER}")).await;
    assert_eq!(deployer["uniqueId"], "115512345678901234567", "{deployer}");
    let project = read("projects/shop").await;
    assert_eq!(project["projectNumber"], "421234567890", "{project}");
    let body = r#"{"audience": "a", "organizationNumberIncluded": true}"#;
    let (_, reply) = rest(&emulator, BUILDER, "generateIdToken", "alice-token", body).await;
    let claims: Value = emulator.verify_id_token(reply["token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["google"]["organization_number"], 123_456_789_012_u64, "{claims}");

    let (status, _) =
        rest(&emulator, "retired@shop.iam.gserviceaccount.com", "signBlob", "alice-token", "{}").await;
    assert_eq!(status, 403, "a disabled account");
    let body = r#"{"scope": ["https://www.googleapis.com/auth/cloud-platform"], "lifetime": "43200s",
        "delegates": ["projects/-/serviceAccounts/builder@shop.iam.gserviceaccount.com"]}"#;
    assert_eq!(
        rest(&emulator, DEPLOYER, "generateAccessToken", "alice-token", body).await.0,
        200,
        "12 hours"
    );
    let body = body.replace("deployer", "builder").replace(
        r#""delegates": ["projects/-/serviceAccounts/builder@shop.iam.gserviceaccount.com"]"#,
        r#""delegates": []"#,
    );
    assert_eq!(rest(&emulator, BUILDER, "generateAccessToken", "alice-token", &body).await.0, 400);
    let (status, refused) = rest(&emulator, BUILDER, "signBlob", "narrow-token", "{}").await;
    assert_eq!(
        (status, &refused["error"]["details"][0]["reason"]),
        (403, &"ACCESS_TOKEN_SCOPE_INSUFFICIENT".into())
    );
}

#[tokio::test]
async fn grants_are_in_force_as_the_complete_policy_says() {
    let emulator = start().await;
    assert!(allows(&emulator, "alice", "signBlob").await, "a role");
    assert!(allows(&emulator, "bob", "signBlob").await, "a custom role, and a group in a group");
    assert!(!allows(&emulator, "bob", "generateAccessToken").await, "not in the custom role");
    assert!(allows(&emulator, "dave", "signBlob").await, "a condition that holds");
    assert!(allows(&emulator, "eve", "generateIdToken").await, "a single permission");
    assert!(!allows(&emulator, "eve", "signBlob").await, "another permission");
    assert!(!allows(&emulator, "carol", "signBlob").await, "propagation");
    emulator.clock().advance(std::time::Duration::from_secs(121));
    assert!(allows(&emulator, "carol", "signBlob").await, "propagation");
    emulator.clock().advance(std::time::Duration::from_secs(20 * 365 * 86400));
    assert!(!allows(&emulator, "dave", "signBlob").await, "a condition that doesn't hold any more");
}

#[tokio::test]
async fn users_and_domain_wide_delegation_are_as_the_complete_policy_says() {
    let emulator = start().await;
    let form = "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=1//alice";
    assert_eq!(post_form(&emulator, "/token", form).await.0, 200, "the refresh token");

    for (scope, expected) in [("cloud-platform", 200), ("drive", 401)] {
        let claims = value!({
            "iss": DEPLOYER, "sub": "user@corp.example", "aud": "https://oauth2.googleapis.com/token",
            "scope": format!("https://www.googleapis.com/auth/{scope}"), "iat": now(), "exp": now() + 600,
        });
        let body = value!({"payload": claims.to_string(),
            "delegates": [format!("projects/-/serviceAccounts/{BUILDER}")]});
        let (status, signed) = rest(&emulator, DEPLOYER, "signJwt", "alice-token", &body.to_string()).await;
        assert_eq!(status, 200, "{signed}");
        let jwt = signed["signedJwt"].as_str().unwrap();
        let form = format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={jwt}");
        let (status, reply) = post_form(&emulator, "/token", &form).await;
        assert_eq!(status, expected, "{scope}: {reply}");
    }
}

#[tokio::test]
async fn platforms_are_as_the_complete_policy_says() {
    let emulator = start().await;
    let page = async |path: &str| {
        let url = format!("{}/emulator/external_accounts/{path}", emulator.endpoint());
        text("GET", &url, &[], "").await
    };
    let pools = "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools";
    let (_, standard) = page("job/token").await;
    let (_, other) = page("job/token?audience=ci-audience").await;
    let (_, wrong) = page("job/token?audience=nobody").await;
    for (provider, token, expected) in [
        ("ci/providers/github", &standard, None),
        ("ci/providers/github", &other, None),
        ("ci/providers/github", &wrong, Some("invalid_grant")),
        ("ci/providers/cluster", &standard, Some("invalid_grant")),
        ("ci/providers/old", &standard, Some("invalid_target")),
        ("closed/providers/github", &standard, Some("invalid_target")),
    ] {
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&audience={pools}/{provider}\
             &requested_token_type=urn:ietf:params:oauth:token-type:access_token\
             &subject_token_type=urn:ietf:params:oauth:token-type:jwt&subject_token={token}\
             &scope=https://www.googleapis.com/auth/cloud-platform"
        );
        let (_, reply) = post_form(&emulator, "/v1/token", &form).await;
        assert_eq!(reply["error"].as_str(), expected, "{provider}: {reply}");
        let Some(bearer) = reply["access_token"].as_str() else { continue };
        let body = r#"{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}"#;
        let (status, acting) = rest(&emulator, DEPLOYER, "generateAccessToken", bearer, body).await;
        assert_eq!(status, 200, "{acting}");
    }
    let (_, environment) = page("vm/environment").await;
    assert!(environment.contains("AWS_REGION=us-east-2"), "{environment}");
    assert_eq!(page("vm/latest/meta-data/placement/region").await.0, 401, "IMDSv2 only");
    let (_, file) = text(
        "GET",
        &format!("{}/emulator/fixtures/external_account_authorized_user/ada", emulator.endpoint()),
        &[],
        "",
    )
    .await;
    assert!(file.contains("workforcePools/staff"), "{file}");
}

#[tokio::test]
async fn the_machine_is_as_the_complete_policy_says() {
    let emulator = start().await;
    for (path, expected) in [
        ("instance/service-accounts/default/email", BUILDER),
        ("instance/name", "build-1"),
        ("instance/id", "42"),
        ("instance/zone", "projects/421234567890/zones/europe-west1-b"),
        ("instance/attributes/cluster-name", "blue"),
        ("instance/licenses/0/id", "1000204"),
        ("project/attributes/team", "core"),
        ("project/project-id", "shop"),
    ] {
        let url = format!("{}/computeMetadata/v1/{path}", emulator.endpoint());
        let (_, got) = text("GET", &url, &[("metadata-flavor", "Google")], "").await;
        assert_eq!(got, expected, "{path}");
    }
}
