//! The control pages under `/emulator/`, for tests in any language.

mod external_account;
mod requests;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

use self::requests::{CheckDocument, ClockDocument, FaultDocument, GrantDocument, ImpersonatedDocument};
use super::commands::{Check, Commands, KeyOwner};
use super::page::{self, PageQuery};
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::faults::FaultId;
use crate::emulator::iam::key_ring::blocking;
use crate::emulator::iam::policy::Policy;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;

type Reply = Result<Json, ApiError>;

/// The pages and what they do, for `GET /emulator/`.
const INDEX: [(&str, &str); 24] = [
    ("GET /emulator/", "this page; in a browser, a page for people"),
    ("GET /emulator/journal", "the newest requests, with secrets hashed; ?method=SignBlob for one method"),
    ("DELETE /emulator/journal", "empties the journal"),
    ("GET /emulator/faults", "the faults in force"),
    ("POST /emulator/faults", "injects a fault"),
    ("DELETE /emulator/faults", "ends all faults"),
    ("DELETE /emulator/faults/{id}", "ends one fault"),
    ("GET /emulator/clock", "the time that clients are told"),
    ("POST /emulator/clock", "{\"advance\": \"3600s\"} or {\"skew\": \"-600s\"}"),
    ("GET /emulator/policy", "the policy in force"),
    ("PUT /emulator/policy", "replaces the policy; null removes it"),
    ("POST /emulator/grants", "{\"member\", \"role\", \"serviceAccount\", \"propagation\"}"),
    ("DELETE /emulator/grants", "revokes a grant, with the same body"),
    (
        "POST /emulator/check",
        "{\"principal\", \"serviceAccount\", \"delegates\", \"method\"}: whether it is allowed",
    ),
    (
        "POST /emulator/keys/{account}/rotate",
        "replaces a signing key; \"google\" is the account that signs ID tokens",
    ),
    ("GET /emulator/fixtures/service_account/{email}", "a key file"),
    ("GET /emulator/fixtures/authorized_user/{email}", "a user's credential file"),
    ("POST /emulator/fixtures/impersonated_service_account", "{\"source\", \"target\", \"delegates\"}"),
    (
        "GET /emulator/fixtures/external_account/{name}",
        "a credential file; ?source=url, file (and path), githubActions, azure, executable, aws or awsImdsV1, \
         target, lifetime, userProject",
    ),
    (
        "GET /emulator/fixtures/external_account_authorized_user/{name}",
        "the credential file of a person who signed in with a workforce pool",
    ),
    ("GET /emulator/fixtures/login_config/{name}", "where a person signs in, for gcloud's --login-config"),
    ("GET /emulator/external_accounts/{name}/token", "a token of the external account"),
    ("GET /emulator/ca.pem", "the certificate authority of the TLS certificate"),
    ("POST /emulator/reset", "restores the state at the start, except keys"),
];

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    let pages = Router::new()
        .route("/journal", get(journal).delete(clear_journal))
        .route("/faults", get(faults).post(inject_fault).delete(clear_faults))
        .route("/faults/{id}", delete(clear_fault))
        .route("/clock", get(clock).post(move_clock))
        .route("/policy", get(policy).put(set_policy))
        .route("/grants", post(grant).delete(revoke))
        .route("/check", post(check))
        .route("/keys/{account}/rotate", post(rotate_key))
        .route("/fixtures/service_account/{email}", get(service_account_file))
        .route("/fixtures/authorized_user/{email}", get(authorized_user_file))
        .route("/fixtures/impersonated_service_account", post(impersonated_file))
        .route("/fixtures/external_account/{name}", get(external_account::file))
        .route("/fixtures/external_account_authorized_user/{name}", get(external_account::authorized_user))
        .route("/fixtures/login_config/{name}", get(external_account::login_config))
        .route("/ca.pem", get(ca_pem))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/reset", post(reset));
    // A nested router serves its root only without the trailing slash.
    Router::new().route("/emulator", get(index)).route("/emulator/", get(index)).nest("/emulator", pages)
}

fn empty() -> Reply {
    Ok(Json(json!({})))
}

async fn index(
    State(commands): State<Commands>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response<Body> {
    if page::is_wanted(&headers) {
        return page::reply(&commands, &query, &INDEX);
    }
    let pages: serde_json::Map<String, Value> =
        INDEX.iter().map(|(page, about)| ((*page).to_owned(), (*about).into())).collect();
    let index = json!({"about": "an emulator of the IAM Service Account Credentials API",
        "version": env!("CARGO_PKG_VERSION"), "endpoint": commands.state().endpoint, "pages": pages});
    ([(header::VARY, "Accept")], Json(index)).into_response()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JournalQuery {
    method: String,
}

async fn journal(State(commands): State<Commands>, Query(query): Query<JournalQuery>) -> Reply {
    let method = match query.method.as_str() {
        "" => None,
        method => Some(requests::method(method)?),
    };
    let entries: Vec<_> = commands.journal(method).iter().map(views::journal_entry).collect();
    Ok(Json(json!({ "entries": entries })))
}

async fn clear_journal(State(commands): State<Commands>) -> Reply {
    commands.clear_journal();
    empty()
}

async fn faults(State(commands): State<Commands>) -> Reply {
    let faults: Vec<_> = commands.faults().iter().map(views::fault).collect();
    Ok(Json(json!({ "faults": faults })))
}

async fn inject_fault(State(commands): State<Commands>, body: Bytes) -> Reply {
    let fault = requests::read::<FaultDocument>(&body)?.into_fault()?;
    Ok(Json(json!({ "id": commands.inject_fault(fault).number() })))
}

async fn clear_faults(State(commands): State<Commands>) -> Reply {
    commands.clear_faults();
    empty()
}

async fn clear_fault(State(commands): State<Commands>, Path(id): Path<String>) -> Reply {
    match id.parse() {
        Ok(number) if commands.clear_fault(FaultId::from_number(number)) => empty(),
        _ => Err(ApiError::new(Code::NotFound, format!("Not found: fault {} is not in force", shorten(&id)))),
    }
}

async fn clock(State(commands): State<Commands>) -> Reply {
    Ok(Json(views::clock(commands.clock())))
}

async fn move_clock(State(commands): State<Commands>, body: Bytes) -> Reply {
    let document: ClockDocument = requests::read(&body)?;
    if let Some(by) = document.advance()? {
        commands.advance_clock(by);
    }
    if let Some(skew) = document.skew()? {
        commands.set_clock_skew(skew);
    }
    Ok(Json(views::clock(commands.clock())))
}

async fn policy(State(commands): State<Commands>) -> Reply {
    match serde_json::to_value(commands.policy()) {
        Ok(policy) => Ok(Json(policy)),
        Err(_) => Err(ApiError::internal("the policy cannot be written")),
    }
}

async fn set_policy(State(commands): State<Commands>, body: Bytes) -> Reply {
    let text = std::str::from_utf8(&body).map_err(|error| ApiError::invalid_field("", &error.to_string()))?;
    let policy = match text.trim() {
        "null" => None,
        text => Some(Policy::from_json(text)?),
    };
    commands.set_policy(policy)?;
    empty()
}

async fn grant(State(commands): State<Commands>, body: Bytes) -> Reply {
    let GrantDocument { member, role, service_account, propagation } = requests::read(&body)?;
    let propagation = requests::duration("propagation", &propagation)?;
    commands.grant(propagation, member, role, &service_account)?;
    empty()
}

async fn revoke(State(commands): State<Commands>, body: Bytes) -> Reply {
    let GrantDocument { member, role, service_account, .. } = requests::read(&body)?;
    if commands.revoke(&member, &role, &service_account)? {
        empty()
    } else {
        Err(ApiError::new(Code::NotFound, "Not found: there is no such grant"))
    }
}

/// Returns whether a principal may do something. If not, returns the hop and the missing permission.
async fn check(State(commands): State<Commands>, body: Bytes) -> Reply {
    let document: CheckDocument = requests::read(&body)?;
    let result = commands.check(&Check {
        principal: &document.principal,
        method: requests::method(&document.method)?,
        service_account: &document.service_account,
        delegates: &document.delegates,
    })?;
    Ok(Json(match result {
        Ok(target) => json!({"allowed": true, "serviceAccount": target.email()}),
        Err(error) => json!({"allowed": false, "hop": error.hop(), "error": error.to_json()["error"]}),
    }))
}

async fn rotate_key(State(commands): State<Commands>, Path(account): Path<String>) -> Reply {
    let owner = match account.as_str() {
        "google" => KeyOwner::Google,
        account => KeyOwner::Account(account),
    };
    Ok(Json(json!({ "keyId": commands.rotate_key(owner).await? })))
}

async fn service_account_file(State(commands): State<Commands>, Path(email): Path<String>) -> Reply {
    blocking(move || commands.service_account_file(&email)).await.map(Json)
}

async fn authorized_user_file(State(commands): State<Commands>, Path(email): Path<String>) -> Reply {
    Ok(Json(commands.authorized_user_file(&email)))
}

async fn impersonated_file(State(commands): State<Commands>, body: Bytes) -> Reply {
    let ImpersonatedDocument { source, target, delegates } = requests::read(&body)?;
    let delegates: Vec<&str> = delegates.iter().map(String::as_str).collect();
    Ok(Json(commands.impersonated_file(source, &target, &delegates)))
}

async fn ca_pem(State(commands): State<Commands>) -> Response<Body> {
    let pem = commands.state().ca_pem.clone();
    ([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response()
}

async fn reset(State(commands): State<Commands>) -> Reply {
    commands.reset();
    empty()
}
