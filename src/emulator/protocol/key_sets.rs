//! The pages of public keys: JSON Web Key Sets, certificates, and raw numbers.

mod certificate;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Response;
use serde_json::{Map, Value, json};

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::key::SigningKey;
use crate::emulator::iam::key_ring::{KeyRing, blocking};
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;

/// The name in the certificates of "Google's" own keys.
const GOOGLE: &str = "federated-signon.system.gserviceaccount.com";

/// The format of public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A JSON Web Key Set.
    Jwk,
    /// Certificates in PEM by key id.
    X509,
    /// Modulus and exponent.
    Raw,
}

impl Form {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "jwk" => Some(Self::Jwk),
            "x509" => Some(Self::X509),
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }
}

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new()
        .route("/oauth2/v3/certs", get(|context| of_google(context, Form::Jwk)))
        .route("/oauth2/v1/certs", get(|context| of_google(context, Form::X509)))
        .route("/service_accounts/v1/metadata/{form}/{email}", get(of_account))
        .route("/robot/v1/metadata/{form}/{email}", get(of_account))
}

/// Returns "Google's" own keys, which sign ID tokens.
async fn of_google(context: RequestContext, form: Form) -> Response<Body> {
    let ring = Arc::clone(context.state.identities.google.keys());
    let reply = key_set(&context.state, ring, GOOGLE.to_owned(), form);
    context.reply_json(RequestSummary::of_name(Method::Keys, ""), reply).await
}

/// Returns the keys of an account.
async fn of_account(Path((form, email)): Path<(String, String)>, context: RequestContext) -> Response<Body> {
    let Some(form) = Form::from_name(&form) else {
        return ApiError::unknown_path("GET", &format!("/service_accounts/v1/metadata/{form}"))
            .into_response();
    };
    let reply = async {
        let account = context.state.identities.account(&email);
        let account = account.ok_or_else(|| ApiError::unknown_account(&email))?;
        let ring = Arc::clone(account.keys());
        key_set(&context.state, ring, account.email().to_owned(), form).await
    };
    context.reply_json(RequestSummary::of_name(Method::Keys, &email), reply).await
}

async fn key_set(
    state: &EmulatorState,
    ring: Arc<KeyRing>,
    owner: String,
    form: Form,
) -> Result<Value, ApiError> {
    let now = state.clock.now();
    blocking(move || {
        // Generates the key: a verifier may fetch the keys before the first signature, and cache them.
        ring.current(now)?;
        match form {
            Form::Jwk => Ok(ring.jwks()),
            Form::X509 => x509(&ring.published(), &owner),
            Form::Raw => {
                let keys: Vec<_> = ring.published().iter().map(|key| raw(key)).collect();
                Ok(json!({ "keyvalues": keys }))
            }
        }
    })
    .await
}

fn x509(keys: &[Arc<SigningKey>], owner: &str) -> Result<Value, ApiError> {
    let mut set = Map::new();
    for key in keys {
        set.insert(key.id().to_owned(), certificate::of_key(key, owner)?.into());
    }
    Ok(set.into())
}

fn raw(key: &SigningKey) -> Value {
    json!({
        "algorithm": "RSA",
        "keyid": key.id(),
        "modulus": BASE64_STANDARD.encode(key.modulus()),
        "exponent": BASE64_STANDARD.encode(key.exponent()),
    })
}
