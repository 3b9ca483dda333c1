//! The pages of public keys: JSON Web Key Sets, certificates, and raw numbers; and the page that says where
//! "Google's" are.

pub(super) mod certificate;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Response, header};
use serde_json::{Map, Value, json};

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::id_tokens::ISSUER;
use crate::emulator::iam::key::SigningKey;
use crate::emulator::iam::key_ring::{KeyRing, blocking};
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;

/// The name in the certificates of "Google's" own keys.
const GOOGLE: &str = "federated-signon.system.gserviceaccount.com";

/// How long clients may keep public keys. Google advises 15 min.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=900, must-revalidate, no-transform");

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
        .route("/.well-known/openid-configuration", get(openid_configuration))
        .route("/oauth2/v3/certs", get(|context| of_google(context, Form::Jwk)))
        .route("/oauth2/v1/certs", get(|context| of_google(context, Form::X509)))
        .route("/service_accounts/v1/metadata/{form}/{email}", get(of_account))
        .route("/robot/v1/metadata/{form}/{email}", get(of_account))
}

/// Returns "Google's" own keys, which sign ID tokens.
async fn of_google(context: RequestContext, form: Form) -> Response<Body> {
    let ring = Arc::clone(context.state.identities.google.keys());
    let reply = key_set(&context.state, ring, GOOGLE.to_owned(), form);
    cacheable(context.reply_json(RequestSummary::of_name(Method::Keys, ""), reply).await)
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
    cacheable(context.reply_json(RequestSummary::of_name(Method::Keys, &email), reply).await)
}

/// Returns the discovery document of OpenID Connect. The issuer is Google, as in its ID tokens; the URLs are
/// the emulator's.
async fn openid_configuration(context: RequestContext) -> Response<Body> {
    let endpoint = &context.state.endpoint;
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{endpoint}/o/oauth2/v2/auth"),
        "token_endpoint": format!("{endpoint}/token"),
        "userinfo_endpoint": format!("{endpoint}/v1/userinfo"),
        "revocation_endpoint": format!("{endpoint}/revoke"),
        "jwks_uri": format!("{endpoint}/oauth2/v3/certs"),
        "response_types_supported": ["code", "token", "id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "sub"],
        "grant_types_supported": ["refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
    });
    let reply = async { Ok(document) };
    cacheable(context.reply_json(RequestSummary::of_name(Method::Keys, ""), reply).await)
}

/// Lets clients keep a page, unless it is an error.
fn cacheable(mut response: Response<Body>) -> Response<Body> {
    if response.status().is_success() {
        response.headers_mut().insert(header::CACHE_CONTROL, CACHED);
        // Go's library keeps nothing without it.
        response.headers_mut().insert(header::AGE, HeaderValue::from_static("0"));
    }
    response
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
