//! The OAuth token endpoint: `POST /token`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::api::{self, Recorder};
use super::exchange::Exchange;
use super::journal::{JournalEntry, Protocol, RequestFields, presentable};
use super::jwt::Parsed;
use super::method::Method;
use super::refusal::Refusal;
use super::world::{IdClaims, World};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long an access token from this endpoint lives.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The longest an assertion may live, in seconds.
const LONGEST_ASSERTION: i64 = 3600;

/// How far a caller's clock may be off, in seconds.
const CLOCK_SKEW: i64 = 300;

/// The audiences of Google's own token endpoints, which libraries write down without looking at the key file.
const GOOGLE_AUDIENCES: [&str; 4] = [
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v3/token",
    "https://www.googleapis.com/oauth2/v4/token",
];

/// The form of a request for tokens.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TokenForm {
    grant_type: String,
    assertion: String,
}

/// An OAuth error.
#[derive(Clone, Debug)]
pub(super) struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl OauthError {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    fn grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    fn to_json(&self) -> Value {
        json!({"error": self.error, "error_description": self.description})
    }
}

impl From<Refusal> for OauthError {
    /// For faults, and for failures of the emulator itself.
    fn from(refusal: Refusal) -> Self {
        let error = match refusal.code() {
            tonic::Code::Unavailable => "temporarily_unavailable",
            tonic::Code::PermissionDenied => "access_denied",
            tonic::Code::InvalidArgument => "invalid_request",
            tonic::Code::Unauthenticated => "invalid_grant",
            _ => "server_error",
        };
        Self { status: refusal.http_status(), error, description: refusal.message().to_owned() }
    }
}

/// Answers `POST /token`.
pub(super) async fn token(
    world: &World,
    headers: &HeaderMap,
    exchange: &Exchange,
    form: TokenForm,
) -> Response<Body> {
    let claims = Parsed::from_token(&form.assertion);
    let issuer = claims.as_ref().and_then(|claims| claims.text("iss")).unwrap_or_default().to_owned();
    let sequence = world.journal.begin(JournalEntry {
        sequence: 0,
        received_at: world.clock.now(),
        method: Method::Token,
        protocol: Protocol::Rest,
        connection: exchange.connection(),
        caller: None,
        name: issuer.clone(),
        delegates: Vec::new(),
        fields: RequestFields {
            scopes: scopes(claims.as_ref().and_then(|claims| claims.text("scope"))),
            audience: claims.as_ref().and_then(|claims| claims.text("target_audience")).map(str::to_owned),
            grant_type: Some(form.grant_type.clone()),
            ..RequestFields::default()
        },
        metadata: presentable(headers),
        outcome: None,
    });
    let mut record = Recorder::new(world, sequence);
    let result = match api::suffer(world, exchange, Method::Token, &issuer, &mut record).await {
        Ok(()) => grant(world, &form, claims, &mut record).await,
        Err(refusal) => Err(refusal.into()),
    };
    match result {
        Ok(body) => {
            record.finish(None);
            axum::Json(body).into_response()
        }
        Err(error) => {
            record.finish_oauth(&error);
            (error.status, axum::Json(error.to_json())).into_response()
        }
    }
}

impl Recorder<'_> {
    fn finish_oauth(self, error: &OauthError) {
        let code = match error.status {
            StatusCode::UNAUTHORIZED => tonic::Code::Unauthenticated,
            StatusCode::FORBIDDEN => tonic::Code::PermissionDenied,
            StatusCode::BAD_REQUEST => tonic::Code::InvalidArgument,
            StatusCode::SERVICE_UNAVAILABLE => tonic::Code::Unavailable,
            _ => tonic::Code::Internal,
        };
        self.finish_with(code, Some(error.error.to_owned()), Some(error.description.clone()));
    }
}

async fn grant(
    world: &World,
    form: &TokenForm,
    assertion: Option<Parsed<'_>>,
    record: &mut Recorder<'_>,
) -> Result<Value, OauthError> {
    match form.grant_type.as_str() {
        JWT_BEARER => {
            let assertion = assertion
                .ok_or_else(|| OauthError::grant("Invalid JWT: it cannot be read, or is not RS256."))?;
            jwt_bearer(world, &assertion, record).await
        }
        "" => Err(OauthError::new("invalid_request", "Missing required parameter: grant_type")),
        _ => Err(OauthError::new("unsupported_grant_type", "Invalid grant_type")),
    }
}

async fn jwt_bearer(
    world: &World,
    assertion: &Parsed<'_>,
    record: &mut Recorder<'_>,
) -> Result<Value, OauthError> {
    let account = check_assertion(world, assertion)?;
    record.caller = Some(account.member().to_string());
    if let Some(audience) = assertion.text("target_audience") {
        let wanted = IdClaims { audience, include_email: true, email_azp: true };
        return Ok(json!({ "id_token": world.id_token(&account, &wanted).await? }));
    }
    let scopes = scopes(assertion.text("scope"));
    if scopes.is_empty() {
        return Err(OauthError::new("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    let principal = match assertion.text("sub") {
        Some(user) if user != account.email() => format!("user:{user}").into(),
        _ => Arc::clone(account.member()),
    };
    let (token, _) = world.issue(&principal, scopes.into(), LIFETIME)?;
    Ok(json!({"access_token": token, "expires_in": LIFETIME.as_secs() - 1, "token_type": "Bearer"}))
}

/// Signature, audience and times.
fn check_assertion(world: &World, assertion: &Parsed<'_>) -> Result<Arc<Account>, OauthError> {
    let account = assertion
        .text("iss")
        .and_then(|issuer| world.accounts.find(issuer))
        .ok_or_else(|| OauthError::grant("Invalid grant: account not found"))?;
    let keys = account.keys().published();
    if !assertion.is_signed_by(keys.iter().map(|key| &**key)) {
        return Err(OauthError::grant("Invalid JWT Signature."));
    }
    let audience = assertion.text("aud").unwrap_or_default();
    if audience.strip_suffix("/token") != Some(&world.endpoint) && !GOOGLE_AUDIENCES.contains(&audience) {
        return Err(OauthError::grant("Invalid JWT: Failed audience check."));
    }
    let now = world.clock.shown_unix();
    let timely = match (assertion.seconds("iat"), assertion.seconds("exp")) {
        (Some(iat), Some(exp)) => {
            iat <= now + CLOCK_SKEW && exp > now && exp > iat && exp - iat <= LONGEST_ASSERTION + CLOCK_SKEW
        }
        _ => false,
    };
    if !timely {
        return Err(OauthError::grant(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
             Check your iat and exp values in the JWT claim.",
        ));
    }
    Ok(account)
}

fn scopes(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}
