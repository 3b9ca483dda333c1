//! Token exchange as RFC 8693 defines it, for gRPC's `sts` credentials and Istio.
//!
//! The kernel, or the certificate of the connection, tells who the caller is. The standard demands a subject token, and it
//! isn't read.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::body::Body;

use crate::broker::policy::{self, Caller, Protocol, Wanted};
use crate::broker::reply::reply;
use crate::broker::tokens::{Broker, Refusal};
use crate::name::account_in;
use crate::query::pairs;
use crate::sts_protocol::{ACCESS_TOKEN_TYPE, JWT_TYPES, TOKEN_EXCHANGE};

const JSON: &str = "application/json";

/// The start of a resource that is the URL of an account.
const API: &str = "https://iamcredentials.googleapis.com/v1/";

/// The largest form: 64 KiB, more than any subject token.
const MAX_FORM: usize = 64 * 1024;

/// How long a client may take for its form: 10 s.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// An error of OAuth 2.0 (RFC 6749, section 5.2; RFC 8693, section 2.2.2).
struct OauthError {
    status: StatusCode,
    code: &'static str,
    description: &'static str,
}

/// What a form asks for.
#[derive(Default)]
struct Form {
    grant_type: String,
    subject_token: String,
    subject_token_type: String,
    requested_token_type: String,
    resource: String,
    audience: String,
    scopes: Vec<String>,
}

/// Returns the reply to a request for an exchange.
pub(super) async fn exchange(broker: &Broker, caller: &Caller, request: Request<Incoming>) -> Response<Body> {
    let (status, body) = match answer(broker, caller, request).await {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (error.status, json!({"error": error.code, "error_description": error.description})),
    };
    let mut reply = reply(status, JSON, body.to_string());
    reply.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    reply
}

async fn answer(broker: &Broker, caller: &Caller, request: Request<Incoming>) -> Result<Value, OauthError> {
    if request.method() != Method::POST {
        return Err(OauthError { status: StatusCode::METHOD_NOT_ALLOWED, ..invalid("must be a POST") });
    }
    let form = Form::read(request.into_body()).await?;
    let policy = broker.policy();
    let target = match form.target() {
        Some(target) => target.to_owned(),
        None => policy.target_of(caller).unwrap_or_default().to_owned(),
    };
    drop(policy);
    let issued_type = form.issued_type()?;
    let wanted = match issued_type {
        ACCESS_TOKEN_TYPE => Wanted::Access(&form.scopes),
        _ => Wanted::Identity { audience: &form.audience, with_email: true },
    };
    let request = policy::Request { target: &target, wanted, protocol: Protocol::TokenExchange };
    let (token, left) =
        broker.lasting_token(caller, request).await.map_err(|refusal| OauthError::from(&refusal))?;
    // An ID token can't be used as an access token (RFC 8693, section 2.2.1).
    let token_type = if issued_type == ACCESS_TOKEN_TYPE { "Bearer" } else { "N_A" };
    Ok(json!({
        "access_token": token.secret(),
        "issued_token_type": issued_type,
        "token_type": token_type,
        "expires_in": left.as_secs(),
    }))
}

impl Form {
    async fn read(body: Incoming) -> Result<Self, OauthError> {
        let body = timeout(FORM_TIMEOUT, Limited::new(body, MAX_FORM).collect()).await;
        let body = body.ok().and_then(Result::ok).ok_or(invalid("the form is too large or too slow"))?;
        let bytes = body.to_bytes();
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid("the body isn't a form"))?;
        let form = Self::parse(text)?;
        if form.grant_type != TOKEN_EXCHANGE {
            let description = "grant_type must be urn:ietf:params:oauth:grant-type:token-exchange";
            return Err(OauthError { code: "unsupported_grant_type", ..invalid(description) });
        }
        match form.subject_token.is_empty() || form.subject_token_type.is_empty() {
            true => Err(invalid("subject_token and subject_token_type are required")),
            false => Ok(form),
        }
    }

    /// Reads the parameters. Of those that a request must not repeat, a second one is an error.
    fn parse(text: &str) -> Result<Self, OauthError> {
        let mut form = Self::default();
        for (name, value) in pairs(text) {
            let field = match name.as_str() {
                "grant_type" => &mut form.grant_type,
                "subject_token" => &mut form.subject_token,
                "subject_token_type" => &mut form.subject_token_type,
                "requested_token_type" => &mut form.requested_token_type,
                "resource" => &mut form.resource,
                "audience" => &mut form.audience,
                "scope" => {
                    form.scopes.extend(value.split_whitespace().map(str::to_owned));
                    continue;
                }
                _ => continue,
            };
            if !field.is_empty() {
                return Err(invalid("a parameter occurs twice"));
            }
            *field = value;
        }
        Ok(form)
    }

    /// Returns the account that the form names.
    fn target(&self) -> Option<&str> {
        let name = self.resource.strip_prefix(API).unwrap_or(&self.resource);
        Some(account_in(name)).filter(|account| !account.is_empty())
    }

    fn issued_type(&self) -> Result<&'static str, OauthError> {
        let requested = self.requested_token_type.as_str();
        if requested.is_empty() || requested == ACCESS_TOKEN_TYPE {
            return Ok(ACCESS_TOKEN_TYPE);
        }
        let jwt = JWT_TYPES.into_iter().find(|known| *known == requested);
        match jwt {
            Some(_) if self.audience.is_empty() => Err(invalid("an ID token needs an audience")),
            Some(jwt) => Ok(jwt),
            None => Err(invalid("requested_token_type must be that of access tokens, JWTs or ID tokens")),
        }
    }
}

const UNAUTHORIZED: OauthError =
    OauthError { status: StatusCode::BAD_REQUEST, code: "unauthorized_client", description: "not allowed" };

const fn invalid(description: &'static str) -> OauthError {
    OauthError { status: StatusCode::BAD_REQUEST, code: "invalid_request", description }
}

impl From<&Refusal> for OauthError {
    /// Says whether it is worth trying again, and nothing else.
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied(_) => UNAUTHORIZED,
            Refusal::Failed(error) if error.is_transient() => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "temporarily_unavailable",
                description: "try again later",
            },
            Refusal::Failed(_) => {
                Self { status: StatusCode::BAD_GATEWAY, code: "server_error", description: "no identity" }
            }
        }
    }
}
