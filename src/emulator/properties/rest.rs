//! What holds for every body of a REST request.

use std::cell::LazyCell;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::in_memory::{InMemory, Reply};
use crate::jwt;
use crate::properties::text_lines;

const ACCOUNT: &str = "sa@project.iam.gserviceaccount.com";

thread_local! {
    static EMULATOR: LazyCell<InMemory> = LazyCell::new(|| InMemory::new(None));
}

/// A body is answered by what it asked for, or refused in Google's form. Names in snake_case mean
/// the same as those in camelCase.
///
/// The input is a method and a body.
pub fn rest_bodies(data: &[u8]) {
    let Some([verb, body]) = text_lines(data) else { return };
    // The verb must not end the path, nor prolong the account.
    if verb.contains(['#', '?', ':']) {
        return;
    }
    EMULATOR.with(|emulator| {
        let Some(reply) = send(emulator, verb, body) else { return };
        reply.assert_is_googles();
        let fields: Option<Map<String, Value>> = serde_json::from_str(body).ok();
        if reply.status.is_success() {
            holds_for_an_answer(verb, &fields.clone().unwrap_or_default(), &reply.json());
        }
        let Some(fields) = fields else { return };
        let has_one_case = fields.keys().all(|name| !name.contains('_') && is_unique(name, &fields));
        if has_one_case {
            let snake = fields.into_iter().map(|(name, value)| (snake_case(&name), value));
            let snake = Value::Object(snake.collect()).to_string();
            let again = send(emulator, verb, &snake).map(|reply| reply.status);
            assert_eq!(again, Some(reply.status), "{snake}");
        }
    });
}

fn send(emulator: &InMemory, verb: &str, body: &str) -> Option<Reply> {
    // The journal and the tokens must not grow during a long run.
    emulator.state.journal.clear();
    emulator.state.identities.forget_tokens();
    let path = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:{verb}");
    emulator.send("POST", &path, "application/json", body.as_bytes())
}

fn holds_for_an_answer(verb: &str, fields: &Map<String, Value>, reply: &Value) {
    let asked = |name: &str| fields.get(name).or_else(|| fields.get(&snake_case(name)));
    let text = |name: &str| asked(name).and_then(Value::as_str).unwrap_or_default();
    match verb {
        "generateAccessToken" => {
            let is_scope =
                |value: &Value| value.is_string() || value.as_array().is_some_and(|list| !list.is_empty());
            assert!(asked("scope").is_some_and(is_scope));
            assert!(reply["accessToken"].is_string() && reply["expireTime"].is_string(), "{reply}");
        }
        "generateIdToken" => {
            let claims = claims_of(&reply["token"]);
            assert_eq!(claims["aud"], text("audience"), "{claims}");
            let wants_email = asked("includeEmail").is_some_and(|flag| *flag == true || *flag == "true");
            assert_eq!(claims.get("email").is_some(), wants_email, "{claims}");
        }
        "signBlob" => {
            let signature = BASE64_STANDARD.decode(reply["signedBlob"].as_str().unwrap_or_default());
            assert_eq!(signature.map(|signature| signature.len()), Ok(256), "{reply}");
        }
        "signJwt" => {
            assert_eq!(Some(claims_of(&reply["signedJwt"])), serde_json::from_str(text("payload")).ok());
        }
        "testIamPermissions" | "getIamPolicy" | "enable" => {}
        _ => panic!("{verb:?} was accepted"),
    }
}

fn claims_of(token: &Value) -> Value {
    let parts = jwt::Parts::split(token.as_str().unwrap_or_default());
    parts.and_then(|parts| parts.claims()).unwrap_or_else(|| panic!("not a JWT: {token}"))
}

fn is_unique(name: &str, fields: &Map<String, Value>) -> bool {
    fields.keys().filter(|other| snake_case(other) == snake_case(name)).count() == 1
}

fn snake_case(camel: &str) -> String {
    camel.chars().fold(String::new(), |mut snake, letter| {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        snake
    })
}
