//! `iamcreds verify`: what is accepted, what isn't and why, and what is never shown.

use std::fs;
use std::time::Duration;

use gcp_iam_credentials::emulator::Emulator;
use serde_json::{Value, json};

use crate::program::{ALICE_TOKEN, BUILDER, DEPLOYER, Run, alice, iamcreds, run, run_with_input, shop};
use crate::support::closed_port::ClosedPort;
use crate::support::emulator::{now, rest, text};

const AUDIENCE: &str = "https://my-service.run.app";

/// Verifies what is on standard input with the keys of an emulator. The token must not be in what is printed.
fn verify(emulator: &Emulator, token: &str, arguments: &[&str]) -> Run {
    let mut command = iamcreds(["verify", "-"]);
    command.args(arguments).env("IAM_CREDENTIALS_EMULATOR_HOST", emulator.address().to_string());
    let mut done = run_with_input(&mut command, token.as_bytes());
    let notice = "iamcreds: IAM_CREDENTIALS_EMULATOR_HOST is set: the keys are those of an emulator\n";
    done.stderr = done.stderr.replace(notice, "");
    let secret = token.trim().rsplit(['.', ' ']).next().unwrap();
    assert!(secret.len() < 8 || !format!("{done:?}").contains(secret), "{done:?}");
    done
}

/// Returns the line of a refusal about a claim or the signature, and the advice.
fn not_accepted(done: Run) -> (String, String) {
    let (what, fix) = done.two_lines(4);
    (what.strip_prefix("not accepted: ").unwrap_or_else(|| panic!("{what}")).to_owned(), fix)
}

fn id_token(emulator: &Emulator, more: &str) -> String {
    run(&mut alice(emulator, &format!("id-token --target {BUILDER} --audience {AUDIENCE} {more}"))).ok()
}

/// Returns a JWT that the builder signs.
fn signed_jwt(emulator: &Emulator, claims: &Value) -> String {
    let mut command = alice(emulator, &format!("sign-jwt - --target {BUILDER}"));
    run_with_input(&mut command, claims.to_string().as_bytes()).ok()
}

/// Returns what a method of the API replied two hours ago.
async fn made_long_ago(emulator: &Emulator, method: &str, body: &Value) -> String {
    emulator.clock().run_behind(Duration::from_secs(7200));
    let (status, reply) = rest(emulator, BUILDER, method, ALICE_TOKEN, &body.to_string()).await;
    assert_eq!(status, 200, "{reply}");
    reply["token"].as_str().or(reply["signedJwt"].as_str()).unwrap().to_owned()
}

/// conf: I53
#[tokio::test]
async fn an_id_token_is_verified_with_its_claims_its_signer_and_the_time_that_is_left() {
    let emulator = shop().await;
    let token = id_token(&emulator, "--include-email");
    let shown = verify(&emulator, &token, &["--audience", AUDIENCE, "--email", BUILDER]).ok();
    for part in [
        "valid: signed by Google\nkeys: http://127.0.0.1:",
        "/oauth2/v3/certs\nkey id: ",
        &format!("audience: {AUDIENCE}\nexpires: "),
        "(in 59 min ",
        &format!("\"email\": \"{BUILDER}\""),
    ] {
        assert!(shown.contains(part), "{part:?} isn't in:\n{shown}");
    }
    let header = format!("Authorization: Bearer {token}");
    let shown = verify(&emulator, &header, &["--format", "json"]).ok();
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&value["valid"], &value["audience_checked"]), (&true.into(), &false.into()));
    assert_eq!((&value["claims"]["aud"], &value["signed_by"]), (&AUDIENCE.into(), &"Google".into()));
    assert!((3500..=3600).contains(&value["expires_in"].as_u64().unwrap()), "{value}");
    assert!(value["key_id"].is_string() && value["keys"].is_string() && value["expires_at"].is_string());
    let shown = verify(&emulator, &token, &[]).ok();
    assert!(shown.contains(&format!("audience: {AUDIENCE} (not checked: ")), "{shown}");
    // As an argument, and with keys that are in a file.
    let certs = format!("{}/oauth2/v3/certs", emulator.endpoint());
    let (_, keys) = text("GET", &certs, &[], "").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    fs::write(&file, keys).unwrap();
    let shown = run(&mut iamcreds(["verify", token.trim(), "--keys", file.to_str().unwrap()])).ok();
    assert!(shown.starts_with(&format!("valid: signed by a key of {}\n", file.display())), "{shown}");
}

/// conf: I53
#[tokio::test]
async fn a_refused_id_token_says_what_differs() {
    let emulator = shop().await;
    let (token, with_email) = (id_token(&emulator, ""), id_token(&emulator, "--include-email"));
    for (token, arguments, what, fix) in [
        (
            &token,
            ["--audience", "https://other"],
            format!("`aud`: must be \"https://other\", got \"{AUDIENCE}\""),
            "--audience",
        ),
        (
            &token,
            ["--issuer", "me"],
            "`iss`: must be \"me\", got \"https://accounts.google.com\"".into(),
            "--issuer",
        ),
        (&token, ["--email", BUILDER], "`email`: must be in the token".into(), "--include-email"),
        (
            &with_email,
            ["--email", "a@b.c"],
            format!("`email`: must be \"a@b.c\", got \"{BUILDER}\""),
            "--email",
        ),
    ] {
        let (shown, advice) = not_accepted(verify(&emulator, token, &arguments));
        assert!(shown.contains(&what) && advice.contains(fix), "{arguments:?}: {shown}\n{advice}");
    }
    let changed = token.replacen('.', ".eyJhIjoxfQ", 1);
    assert_eq!(verify(&emulator, &changed, &[]).code, Some(2), "the claims are no JSON any more");
    let (head, signature) = with_email.rsplit_once('.').unwrap();
    let other_signature = token.rsplit_once('.').unwrap().1;
    assert_ne!(signature, other_signature);
    let (shown, advice) = not_accepted(verify(&emulator, &format!("{head}.{other_signature}"), &[]));
    assert!(
        shown.starts_with("invalid `signature`: ") && advice.contains("don't trust"),
        "{shown}\n{advice}"
    );

    let expired = made_long_ago(&emulator, "generateIdToken", &json!({ "audience": AUDIENCE })).await;
    let (shown, advice) = not_accepted(verify(&emulator, &expired, &[]));
    assert!(shown.starts_with("invalid `exp`: must be in the future, got 36"), "{shown}");
    assert_eq!(advice, "get a new token");
}

/// conf: I53
#[tokio::test]
async fn what_an_account_signed_is_verified_with_its_keys() {
    let emulator = shop().await;
    let token = signed_jwt(&emulator, &json!({"iss": BUILDER, "aud": "me", "sub": "x"}));
    let own = ["--service-account", BUILDER];
    let shown = verify(&emulator, &token, &own).ok();
    assert!(shown.starts_with(&format!("valid: signed by {BUILDER}\n")), "{shown}");
    assert!(shown.contains("expires: never, as far as it says\n"), "{shown}");
    verify(&emulator, &token, &[&own[..], &["--audience", "me", "--issuer", BUILDER]].concat()).ok();
    let (shown, _) = not_accepted(verify(&emulator, &token, &[&own[..], &["--audience", "you"]].concat()));
    assert_eq!(shown, "invalid `aud`: must be \"you\", got \"me\"");
    // Keys of others don't know it. Its issuer, which nobody has verified, is only a hint.
    let (shown, advice) = not_accepted(verify(&emulator, &token, &[]));
    assert!(shown.starts_with("invalid `key_id`: must be among the keys"), "{shown}");
    assert_eq!(advice, format!("if {BUILDER} is whom you trust, pass --service-account {BUILDER}"));
    let (_, advice) = not_accepted(verify(&emulator, &token, &["--service-account", DEPLOYER]));
    assert!(advice.starts_with("check --service-account"), "{advice}");

    let arguments = format!("self-signed-jwt --target {BUILDER} --audience https://pubsub.googleapis.com/");
    let bearer = run(&mut alice(&emulator, &arguments)).ok();
    let shown = verify(&emulator, &bearer, &own).ok();
    assert!(shown.contains("audience: https://pubsub.googleapis.com/ (not checked"), "{shown}");
    let claims = json!({"exp": now() - 3600}).to_string();
    let expired = made_long_ago(&emulator, "signJwt", &json!({ "payload": claims })).await;
    let (shown, _) = not_accepted(verify(&emulator, &expired, &own));
    assert!(shown.starts_with("invalid `exp`: must be in the future, got 36"), "{shown}");
}

/// conf: I53
#[tokio::test]
async fn a_signature_of_a_file_is_verified() {
    let emulator = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (document, signature) = (path("document"), path("signature.json"));
    fs::write(&document, "a document").unwrap();
    let signed =
        run(&mut alice(&emulator, &format!("sign-blob {document} --target {BUILDER} --format json"))).ok();
    fs::write(&signature, &signed).unwrap();
    let verify = |more: &[&str]| {
        let mut command = iamcreds(["verify", "--blob", &document, "--signature", &signature]);
        command.args(more).env("IAM_CREDENTIALS_EMULATOR_HOST", emulator.address().to_string());
        let mut done = run(&mut command);
        done.stderr = done
            .stderr
            .lines()
            .filter(|line| !line.contains("is set"))
            .map(|line| format!("{line}\n"))
            .collect();
        done
    };
    let shown = verify(&["--service-account", BUILDER]).ok();
    assert!(
        shown.starts_with(&format!("valid: signed by {BUILDER}\n")) && shown.contains(&document),
        "{shown}"
    );
    fs::write(&document, "another document").unwrap();
    let (shown, _) = not_accepted(verify(&["--service-account", BUILDER]));
    assert!(shown.starts_with("invalid `signature`: "), "{shown}");
    fs::write(&signature, "bm8=").unwrap();
    let (_, advice) = verify(&["--service-account", BUILDER]).two_lines(2);
    assert!(advice.contains("--format json"), "{advice}");
}

/// conf: I53
#[tokio::test]
async fn what_cannot_be_verified_is_said_without_a_request_and_an_outage_is_no_refusal() {
    let emulator = shop().await;
    let opaque = run(&mut alice(&emulator, &format!("access-token --target {BUILDER}"))).ok();
    emulator.journal().clear();
    let (what, fix) = verify(&emulator, &opaque, &[]).two_lines(2);
    assert!(what.contains("opaque") && fix.contains("tokeninfo") && fix.contains("$TOKEN"), "{what}\n{fix}");
    for (token, arguments) in [
        ("", &[][..]),
        ("a.b.c", &[]),
        ("x", &["--service-account", "nobody"]),
        ("x", &["--keys", "http://example.com/keys"]),
        ("x", &["--keys", "/no/such/file"]),
    ] {
        verify(&emulator, token, arguments).two_lines(2);
    }
    assert_eq!(emulator.journal().entries().len(), 0);
    let port = ClosedPort::new();
    let token = id_token(&emulator, "");
    let keys = format!("http://{}/keys", port.address());
    let (what, _) = verify(&emulator, &token, &["--keys", &keys]).two_lines(5);
    assert!(what.contains("127.0.0.1"), "{what}");
}

/// conf: I53
#[tokio::test]
async fn no_claim_controls_the_terminal_or_adds_a_line() {
    let emulator = shop().await;
    let hostile = "x\u{1b}[2J\nvalid: signed by root\u{202e}\u{9b}";
    let token = signed_jwt(&emulator, &json!({"iss": hostile, "aud": hostile, "sub": {hostile: [hostile]}}));
    for arguments in [
        &["--service-account", BUILDER][..],
        &["--service-account", BUILDER, "--format", "json"],
        &["--service-account", BUILDER, "--audience", "other"],
        &["--service-account", BUILDER, "--issuer", hostile],
        &[],
    ] {
        let done = verify(&emulator, &token, arguments);
        let shown = format!("{}{}", done.stdout, done.stderr);
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{arguments:?}: {shown:?}");
        assert!(
            !shown.lines().any(|line| line.starts_with("valid: signed by root")),
            "{arguments:?}: {shown}"
        );
    }
}
