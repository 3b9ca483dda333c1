//! The OAuth token endpoint: `POST /token`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Code;

use crate::scopes;

use crate::emulator::api::Recorder;
use crate::emulator::api::context::Visit;
use crate::emulator::error::Refusal;
use crate::emulator::iam::account::{Account, unique_id_of};
use crate::emulator::iam::jwt::Parsed;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;
use crate::emulator::protocol::rest::Json;
use crate::emulator::server::exchange::Exchange;
use crate::emulator::state::{IdClaims, World};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const REFRESH_TOKEN: &str = "refresh_token";

/// How long an access token from this endpoint lives.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The longest an assertion may live, in seconds.
const LONGEST_ASSERTION: i64 = 3600;

/// How far a caller's clock may be off, in seconds.
const CLOCK_SKEW: i64 = 300;

/// The audiences of Google's own token endpoints, which libraries write down without looking at the
/// key file.
const GOOGLE_AUDIENCES: [&str; 4] = [
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v3/token",
    "https://www.googleapis.com/oauth2/v4/token",
];

/// The scopes that a user consented to, for want of a consent page.
const CONSENTED: [&str; 3] = ["openid", scopes::USERINFO_EMAIL, scopes::CLOUD_PLATFORM];

/// The form of a request for tokens.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct TokenForm {
    grant_type: String,
    assertion: String,
    refresh_token: String,
    client_id: String,
    client_secret: String,
    scope: String,
}

/// An OAuth error.
#[derive(Clone, Debug)]
pub(crate) struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl OauthError {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    fn grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    fn client(error: &'static str, description: &str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error, description: description.to_owned() }
    }

    fn code(&self) -> Code {
        match self.status {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            _ => Code::Internal,
        }
    }
}

impl From<Refusal> for OauthError {
    /// For faults, and for failures of the emulator itself.
    fn from(refusal: Refusal) -> Self {
        let error = match refusal.code() {
            Code::Unavailable => "temporarily_unavailable",
            Code::PermissionDenied => "access_denied",
            Code::InvalidArgument => "invalid_request",
            Code::Unauthenticated => "invalid_grant",
            _ => "server_error",
        };
        Self { status: refusal.http_status(), error, description: refusal.message().to_owned() }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response<Body> {
        let body = json!({"error": self.error, "error_description": self.description});
        (self.status, Json(body)).into_response()
    }
}

/// Answers `POST /token`.
pub(crate) async fn token(
    world: &World,
    headers: &HeaderMap,
    exchange: &Exchange,
    form: TokenForm,
) -> Response<Body> {
    let assertion = Parsed::from_token(&form.assertion);
    let claim = |name| assertion.as_ref().and_then(|assertion| assertion.text(name));
    let visit = Visit {
        world,
        headers,
        exchange,
        method: Method::Token,
        name: claim("iss").unwrap_or_default(),
        fields: RequestFields {
            scopes: split(claim("scope").unwrap_or(&form.scope)),
            audience: claim("target_audience").map(str::to_owned),
            grant_type: Some(form.grant_type.clone()),
            ..RequestFields::default()
        },
    };
    let mut record = match visit.begin().await {
        Ok(record) => record,
        Err(refusal) => return OauthError::from(refusal).into_response(),
    };
    match grant(world, &form, assertion.as_ref(), &mut record).await {
        Ok(body) => {
            record.finish(None);
            Json(body).into_response()
        }
        Err(error) => {
            record.finish_with(error.code(), Some(error.error.to_owned()), Some(error.description.clone()));
            error.into_response()
        }
    }
}

async fn grant(
    world: &World,
    form: &TokenForm,
    assertion: Option<&Parsed<'_>>,
    record: &mut Recorder<'_>,
) -> Result<Value, OauthError> {
    match form.grant_type.as_str() {
        JWT_BEARER => {
            let unreadable = || OauthError::grant("Invalid JWT: it cannot be read, or is not RS256.");
            jwt_bearer(world, assertion.ok_or_else(unreadable)?, record).await
        }
        REFRESH_TOKEN => refresh(world, form, record).await,
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
        let wanted = IdClaims {
            audience,
            subject: account.unique_id(),
            azp: account.email(),
            email: Some(account.email()),
            organization: None,
        };
        return Ok(json!({ "id_token": world.id_token(&wanted).await? }));
    }
    let scopes = split(assertion.text("scope").unwrap_or_default());
    if scopes.is_empty() {
        return Err(OauthError::new("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    let principal = match assertion.text("sub") {
        Some(user) if user != account.email() => {
            check_delegation(world, &account, &scopes)?;
            format!("user:{user}").into()
        }
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
        .filter(|account| world.policy().is_none_or(|rules| rules.policy.knows(account.email())))
        .ok_or_else(|| OauthError::grant("Invalid grant: account not found"))?;
    if world.policy().is_some_and(|rules| rules.policy.is_disabled(account.email())) {
        return Err(OauthError::grant("Invalid grant: account disabled"));
    }
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

/// Whether the account may act as a user of its domain.
fn check_delegation(world: &World, account: &Account, scopes: &[String]) -> Result<(), OauthError> {
    match world.policy() {
        Some(rules) if !rules.policy.may_act_as_users(account.email(), scopes) => Err(OauthError::client(
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method, or client not authorized \
             for any of the scopes requested.",
        )),
        _ => Ok(()),
    }
}

async fn refresh(world: &World, form: &TokenForm, record: &mut Recorder<'_>) -> Result<Value, OauthError> {
    if form.client_id.is_empty() || form.client_secret.is_empty() {
        return Err(OauthError::client("invalid_client", "The OAuth client was not found."));
    }
    let user = world
        .user_of(&form.refresh_token)
        .ok_or_else(|| OauthError::grant("Token has been expired or revoked."))?;
    let principal: Arc<str> = format!("user:{user}").into();
    record.caller = Some(principal.to_string());
    let scopes = match split(&form.scope) {
        none if none.is_empty() => CONSENTED.map(str::to_owned).to_vec(),
        wanted => wanted,
    };
    let wants_id = scopes.iter().any(|scope| scope == "openid");
    let (token, _) = world.issue(&principal, scopes.clone().into(), LIFETIME)?;
    let mut reply = json!({
        "access_token": token,
        "expires_in": LIFETIME.as_secs() - 1,
        "scope": scopes.join(" "),
        "token_type": "Bearer",
    });
    if wants_id {
        let wanted = IdClaims {
            audience: &form.client_id,
            subject: &unique_id_of(&user),
            azp: &form.client_id,
            email: Some(&user),
            organization: None,
        };
        reply["id_token"] = world.id_token(&wanted).await?.into();
    }
    Ok(reply)
}

/// What a token is good for, as `/tokeninfo` tells it. Values are text there, numbers included.
pub(crate) fn token_info(world: &World, access_token: &str, id_token: &str) -> Result<Value, OauthError> {
    let now = world.clock.now();
    if let Some(record) = world.tokens.find(access_token).filter(|record| record.expires > now) {
        let (kind, email) = record.principal.split_once(':').unwrap_or_default();
        let id = match kind {
            "serviceAccount" => world.accounts.get(email).unique_id().to_owned(),
            _ => unique_id_of(email),
        };
        let left = record.expires.duration_since(now).unwrap_or_default().as_secs();
        let mut info = json!({
            "azp": id,
            "aud": id,
            "sub": id,
            "scope": record.scopes.join(" "),
            "exp": crate::emulator::clock::unix(world.clock.shown(record.expires)).to_string(),
            "expires_in": left.to_string(),
            "access_type": "online",
        });
        if record.scopes.iter().any(|scope| scope == scopes::USERINFO_EMAIL || scope == "email") {
            info["email"] = email.into();
            info["email_verified"] = "true".into();
        }
        return Ok(info);
    }
    let parsed = Parsed::from_token(id_token);
    let claims = world.id_token_claims(id_token);
    let expires = claims.as_ref().and_then(|claims| claims.get("exp")).and_then(Value::as_i64);
    match (parsed, claims) {
        (Some(parsed), Some(claims)) if expires.unwrap_or_default() > world.clock.shown_unix() => {
            let text = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let mut info: Value =
                claims.into_iter().map(|(name, value)| (name, Value::String(text(value)))).collect();
            info["alg"] = "RS256".into();
            info["typ"] = "JWT".into();
            info["kid"] = parsed.key_id.into();
            Ok(info)
        }
        _ => Err(OauthError::new("invalid_token", "Invalid Value")),
    }
}

fn split(scopes: &str) -> Vec<String> {
    scopes.split_whitespace().map(str::to_owned).collect()
}
