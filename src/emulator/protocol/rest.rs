//! The API as REST with JSON: `POST /v1/projects/-/serviceAccounts/{account}:{method}`.

pub(crate) mod allowed_locations;
mod messages;
pub(super) mod system_parameters;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::request::Parts;
use http::{HeaderMap, Request, Response, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tonic::Code;

use self::messages::Message;
use self::system_parameters::SystemParameters;
use super::proto_json::Fields;
use crate::emulator::api;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::api::request::RequestOptions;
use crate::emulator::error::{ApiError, shorten};
use crate::emulator::journal::Protocol;
use crate::emulator::state::EmulatorState;
use crate::proto::{GenerateAccessTokenRequest, GenerateIdTokenRequest, SignBlobRequest, SignJwtRequest};

/// A custom method on a resource: `/v1/{name}:{verb}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    name: String,
    verb: String,
}

impl Target {
    /// Returns `None` if the path has another form. It is split at its last colon, because the account may
    /// contain one too.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v1/")?;
        let (parent, last) = rest.rsplit_once('/')?;
        let (account, verb) = last.rsplit_once(':')?;
        let name = percent_decode_str(&format!("{parent}/{account}")).decode_utf8().ok()?.into_owned();
        Some(Self { name, verb: verb.to_owned() })
    }
}

/// Handles a custom method.
pub(crate) async fn handle(
    state: Arc<EmulatorState>,
    target: Target,
    request: Request<Body>,
) -> Response<Body> {
    let Target { name, verb } = target;
    let (mut head, body) = request.into_parts();
    let parameters = SystemParameters::read(&mut head);
    let request = RestRequest { head, body, parameters: &parameters };
    let result = match verb.as_str() {
        "generateAccessToken" => call::<GenerateAccessTokenRequest>(state, name, request).await,
        "generateIdToken" => call::<GenerateIdTokenRequest>(state, name, request).await,
        "signBlob" => call::<SignBlobRequest>(state, name, request).await,
        "signJwt" => call::<SignJwtRequest>(state, name, request).await,
        _ => Err(unknown_verb(&verb)),
    };
    parameters.respond(result)
}

/// A request, and what its query says about it.
struct RestRequest<'a> {
    head: Parts,
    body: Body,
    parameters: &'a SystemParameters,
}

fn unknown_verb(verb: &str) -> ApiError {
    let verb = shorten(verb);
    ApiError::new(Code::NotFound, format!("Not found: there is no method {verb:?} on service accounts"))
}

async fn call<Q: Message>(
    state: Arc<EmulatorState>,
    name: String,
    request: RestRequest<'_>,
) -> Result<Value, ApiError> {
    let RestRequest { head, body, parameters } = request;
    let mut options = RequestOptions::default();
    let message = read::<Q>(&head, body, parameters, name.clone(), &mut options).await;
    let context = RequestContext::new(state, head.headers, Protocol::Rest, &head.extensions)?;
    match message {
        Ok(message) => api::handle(&context, options, message).await.map(Q::write),
        Err(error) => {
            context.record(RequestSummary::of_name(Q::METHOD, &name)).finish(Some(&error));
            Err(error)
        }
    }
}

async fn read<Q: Message>(
    head: &Parts,
    body: Body,
    parameters: &SystemParameters,
    name: String,
    options: &mut RequestOptions,
) -> Result<Q, ApiError> {
    let mut fields = read_fields(head, body, parameters, Q::REPLY_FIELDS).await?;
    let message = Q::read(name, &mut fields, options)?;
    fields.finish()?;
    Ok(message)
}

async fn read_fields(
    head: &Parts,
    body: Body,
    parameters: &SystemParameters,
    reply_fields: &[&str],
) -> Result<Fields, ApiError> {
    if head.method != http::Method::POST {
        return Err(ApiError::new(Code::NotFound, "Not found: only POST is allowed here"));
    }
    parameters.check(reply_fields)?;
    read_body(&head.headers, body, parameters).await
}

/// Reads the fields in the body of a request.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    parameters: &SystemParameters,
) -> Result<Fields, ApiError> {
    let in_header = || headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if !parameters.content_type().or_else(in_header).is_none_or(is_json) {
        return Err(ApiError::new(Code::InvalidArgument, "The content type must be application/json."));
    }
    // The server has read the whole body, within its limits.
    let body = to_bytes(body, usize::MAX).await;
    Fields::parse(&body.map_err(|_| ApiError::internal("the request's body is gone"))?)
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_at_its_last_colon() {
        let split = |path| Target::from_path(path).map(|target| (target.name, target.verb));
        let is = |name: &str, verb: &str| Some((name.to_owned(), verb.to_owned()));
        assert_eq!(
            split("/v1/projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com:signBlob"),
            is("projects/-/serviceAccounts/sa@p.iam.gserviceaccount.com", "signBlob")
        );
        assert_eq!(
            split("/v1/projects/-/serviceAccounts/sa%40p.example.com%3aq.iam:signJwt"),
            is("projects/-/serviceAccounts/sa@p.example.com:q.iam", "signJwt")
        );
        assert_eq!(split("/v1/projects/-/serviceAccounts/a:b:c"), is("projects/-/serviceAccounts/a:b", "c"));
        for path in ["/", "/v1", "/v1/a:b", "/v2/projects/-/serviceAccounts/a:b", "/v1/x/y", "/v1/x/%ff:y"] {
            assert_eq!(split(path), None, "{path}");
        }
    }
}
