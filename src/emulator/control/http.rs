//! The emulator's own pages, under `/emulator/`: what a test in another language steers it with.

mod documents;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::Code;

use self::documents::{CheckDocument, ClockDocument, FaultDocument, GrantDocument, ImpersonatedDocument};
use crate::emulator::control::fixtures;
use crate::emulator::error::Refusal;
use crate::emulator::faults::FaultId;
use crate::emulator::iam::authorization::{self, Chain};
use crate::emulator::iam::key::blocking;
use crate::emulator::iam::policy::{Policy, PolicyError};
use crate::emulator::iam::principal::Caller;
use crate::emulator::protocol::rest::Json;
use crate::emulator::state::World;

type TheWorld = State<Arc<World>>;
pub(crate) type Answer = Result<Json, Refusal>;

/// What there is, for people who look.
const INDEX: [(&str, &str); 20] = [
    ("GET /emulator/", "this page"),
    ("GET /emulator/journal", "the requests so far, secrets hashed; ?method=SignBlob for one kind"),
    ("DELETE /emulator/journal", "empties the journal"),
    ("GET /emulator/faults", "the faults in force"),
    ("POST /emulator/faults", "injects a fault"),
    ("DELETE /emulator/faults", "ends all faults"),
    ("DELETE /emulator/faults/{id}", "ends one fault"),
    ("GET /emulator/clock", "the time that callers are told"),
    ("POST /emulator/clock", "{\"advance\": \"3600s\"} or {\"skew\": \"-600s\"}"),
    ("GET /emulator/policy", "the policy in force"),
    ("PUT /emulator/policy", "another policy; null for none"),
    ("POST /emulator/grants", "{\"member\", \"role\", \"serviceAccount\", \"propagation\"}"),
    ("DELETE /emulator/grants", "takes a grant back, with the same body"),
    (
        "POST /emulator/check",
        "{\"principal\", \"serviceAccount\", \"delegates\", \"method\"}: would it be allowed?",
    ),
    ("POST /emulator/keys/{account}/rotate", "a new signing key; \"google\" for the one of ID tokens"),
    ("GET /emulator/fixtures/service_account/{email}", "a key file"),
    ("GET /emulator/fixtures/authorized_user/{email}", "a user's credential file"),
    ("POST /emulator/fixtures/impersonated_service_account", "{\"source\", \"target\", \"delegates\"}"),
    ("GET /emulator/ca.pem", "the authority of the TLS certificate"),
    ("POST /emulator/reset", "back to the start, but for keys"),
];

/// The pages, to be nested under `/emulator`; its index is apart.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/journal", get(journal).delete(clear_journal))
        .route("/faults", get(faults).post(inject).delete(clear_faults))
        .route("/faults/{id}", delete(clear_fault))
        .route("/clock", get(clock).post(move_clock))
        .route("/policy", get(policy).put(set_policy))
        .route("/grants", post(grant).delete(revoke))
        .route("/check", post(check))
        .route("/keys/{account}/rotate", post(rotate))
        .route("/fixtures/service_account/{email}", get(service_account_file))
        .route("/fixtures/authorized_user/{email}", get(user_file))
        .route("/fixtures/impersonated_service_account", post(impersonated_file))
        .route("/ca.pem", get(ca_pem))
        .route("/reset", post(reset))
}

/// Reads a body. The content type does not matter: `curl -d` sends a wrong one.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    // serde would take a list for the fields in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Refusal::bad_field("", "The body must be a JSON object."));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        Refusal::bad_field(&path, &format!("The body is wrong at {path}: {}", error.inner()))
    })
}

fn empty() -> Answer {
    Ok(Json(json!({})))
}

/// `/emulator/`: nesting would answer it without the last slash only.
pub(crate) async fn index(State(world): TheWorld) -> Answer {
    let pages: serde_json::Map<String, Value> =
        INDEX.iter().map(|(page, about)| ((*page).to_owned(), (*about).into())).collect();
    Ok(Json(json!({"about": "an emulator of the IAM Service Account Credentials API",
        "version": env!("CARGO_PKG_VERSION"), "endpoint": world.endpoint, "pages": pages})))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JournalQuery {
    method: String,
}

async fn journal(State(world): TheWorld, Query(query): Query<JournalQuery>) -> Answer {
    let mut entries = world.journal.entries();
    if !query.method.is_empty() {
        let method = query.method.parse().map_err(|error| bad("method", &error))?;
        entries.retain(|entry| entry.method == method);
    }
    Ok(Json(json!({ "entries": entries.iter().map(documents::journal_entry).collect::<Vec<_>>() })))
}

fn bad(field: &str, error: &dyn std::fmt::Display) -> Refusal {
    Refusal::bad_field(field, &error.to_string())
}

async fn clear_journal(State(world): TheWorld) -> Answer {
    world.journal.clear();
    empty()
}

async fn faults(State(world): TheWorld) -> Answer {
    let list: Vec<_> = world
        .faults
        .list()
        .iter()
        .map(|(id, fault, struck)| json!({"id": id, "struck": struck, "fault": documents::fault(fault)}))
        .collect();
    Ok(Json(json!({ "faults": list })))
}

async fn inject(State(world): TheWorld, body: Bytes) -> Answer {
    let fault = read::<FaultDocument>(&body)?.into_fault()?;
    Ok(Json(json!({ "id": world.faults.inject(fault).number() })))
}

async fn clear_faults(State(world): TheWorld) -> Answer {
    world.faults.clear();
    empty()
}

async fn clear_fault(State(world): TheWorld, Path(id): Path<u64>) -> Answer {
    if world.faults.clear_one(FaultId::from_number(id)) {
        empty()
    } else {
        Err(Refusal::new(Code::NotFound, format!("Not found: fault {id} is not in force")))
    }
}

async fn clock(State(world): TheWorld) -> Answer {
    Ok(Json(documents::clock(&world.clock)))
}

async fn move_clock(State(world): TheWorld, body: Bytes) -> Answer {
    let ClockDocument { advance, skew } = read(&body)?;
    if let Some(text) = advance {
        world.clock.advance(documents::duration("advance", &text)?);
    }
    if let Some(text) = skew {
        let (behind, distance) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        world.clock.skew(documents::duration("skew", distance)?, behind);
    }
    Ok(Json(documents::clock(&world.clock)))
}

async fn policy(State(world): TheWorld) -> Answer {
    let policy = world.policy().map(|rules| serde_json::to_value(&rules.policy));
    match policy.transpose() {
        Ok(policy) => Ok(Json(policy.unwrap_or_default())),
        Err(_) => Err(Refusal::internal("the policy cannot be written")),
    }
}

async fn set_policy(State(world): TheWorld, body: Bytes) -> Answer {
    let text = std::str::from_utf8(&body).map_err(|error| bad("", &error))?;
    let policy = match text.trim() {
        "null" => None,
        text => Some(Policy::from_json(text).map_err(wrong_policy)?),
    };
    world.set_policy(policy);
    empty()
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn wrong_policy(error: PolicyError) -> Refusal {
    Refusal::bad_field(error.path(), &error.to_string())
}

async fn grant(State(world): TheWorld, body: Bytes) -> Answer {
    let wanted: GrantDocument = read(&body)?;
    let propagation = documents::duration("propagation", &wanted.propagation)?;
    world
        .change_policy(|policy, age| {
            let from = if propagation.is_zero() { Duration::ZERO } else { age + propagation };
            policy.add_grant(from, &wanted.member, &wanted.role, &wanted.service_account);
        })
        .map_err(wrong_policy)?;
    empty()
}

async fn revoke(State(world): TheWorld, body: Bytes) -> Answer {
    let GrantDocument { member, role, service_account, .. } = read(&body)?;
    let revoked = world.policy().is_some()
        && world
            .change_policy(|policy, _| policy.remove_grant(&member, &role, &service_account))
            .map_err(wrong_policy)?;
    if revoked { empty() } else { Err(Refusal::new(Code::NotFound, "Not found: there is no such grant")) }
}

/// Whether a principal may do something, and if not, which hop and permission stand in the way.
async fn check(State(world): TheWorld, body: Bytes) -> Answer {
    let wanted: CheckDocument = read(&body)?;
    let method = wanted.method.parse().map_err(|error| bad("method", &error))?;
    let name = crate::service_account_path("-", &wanted.service_account);
    let chain = Chain::parse(&world, &wanted.delegates, &name)?;
    Ok(Json(match authorization::authorise(&world, &Caller::named(&wanted.principal), method, &chain) {
        Ok(target) => json!({"allowed": true, "serviceAccount": target.email()}),
        Err(refusal) => json!({"allowed": false, "hop": refusal.hop(), "error": refusal.to_json()["error"]}),
    }))
}

async fn rotate(State(world): TheWorld, Path(account): Path<String>) -> Answer {
    let ring = match account.as_str() {
        "google" => Arc::clone(&world.google),
        email => {
            let account = world.account(email).ok_or_else(|| Refusal::unknown_account(email))?;
            Arc::clone(account.keys())
        }
    };
    let now = world.clock.now();
    let key = blocking(move || ring.rotate(now)).await?;
    Ok(Json(json!({ "keyId": key.id() })))
}

async fn service_account_file(State(world): TheWorld, Path(email): Path<String>) -> Answer {
    let account = world.account(&email).ok_or_else(|| Refusal::unknown_account(&email))?;
    blocking(move || fixtures::service_account_key(&world, &account)).await.map(Json)
}

async fn user_file(State(world): TheWorld, Path(email): Path<String>) -> Answer {
    Ok(Json(fixtures::authorized_user(&world, &email)))
}

async fn impersonated_file(State(world): TheWorld, body: Bytes) -> Answer {
    let ImpersonatedDocument { source, target, delegates } = read(&body)?;
    let delegates: Vec<&str> = delegates.iter().map(String::as_str).collect();
    Ok(Json(fixtures::impersonated(&world, source, &target, &delegates)))
}

async fn ca_pem(State(world): TheWorld) -> Response<Body> {
    match &world.ca_pem {
        Some(pem) => ([(header::CONTENT_TYPE, "application/x-pem-file")], pem.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, "This emulator speaks plaintext.\n").into_response(),
    }
}

async fn reset(State(world): TheWorld) -> Answer {
    world.reset();
    empty()
}
