//! The API as REST with JSON: `POST /v1/projects/-/serviceAccounts/{account}:{method}`.

use axum::body::{Body, to_bytes};
use axum::response::IntoResponse;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tonic::Code;

use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

use crate::emulator::api::context::Visit;
use crate::emulator::api::{self, ApiRequest, Arrival, Options};
use crate::emulator::error::Refusal;
use crate::emulator::iam::authorization;
use crate::emulator::journal::{Protocol, RequestFields};
use crate::emulator::protocol::grpc::MAX_MESSAGE;
use crate::emulator::protocol::proto_json::Fields;
use crate::emulator::server::exchange::Exchange;
use crate::emulator::state::World;

/// The largest body taken: the largest message, in base64 and with some room for the rest.
pub(crate) const MAX_BODY: usize = MAX_MESSAGE / 3 * 4 + 64 * 1024;

/// The query parameters that every Google API takes. They change nothing here.
const SYSTEM_PARAMETERS: [&str; 12] = [
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
    "userProject",
    "xgafv",
    "access_token",
];

/// A reply in JSON, laid out for people as Google's is.
#[derive(Debug)]
pub(crate) struct Json(pub(crate) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response<Body> {
        let kind = HeaderValue::from_static("application/json; charset=UTF-8");
        ([(header::CONTENT_TYPE, kind)], format!("{:#}\n", self.0)).into_response()
    }
}

/// A custom method on a resource: `/v1/{name}:{verb}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) verb: String,
}

impl Target {
    /// `None` where the path is of another kind. The account may hold a colon, so the last one counts.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v1/")?;
        let (parent, last) = rest.rsplit_once('/')?;
        let (account, verb) = last.rsplit_once(':')?;
        let name = percent_decode_str(&format!("{parent}/{account}")).decode_utf8().ok()?.into_owned();
        Some(Self { name, verb: verb.to_owned() })
    }
}

/// A request of the API in JSON, and its reply.
trait Message: ApiRequest {
    fn read(name: String, fields: &mut Fields, options: &mut Options) -> Result<Self, Refusal>;
    fn write(reply: Self::Reply) -> Value;
}

/// Answers a custom method.
pub(crate) async fn answer(world: &World, target: Target, request: Request<Body>) -> Response<Body> {
    let Target { name, verb } = target;
    let result = match verb.as_str() {
        "generateAccessToken" => call::<GenerateAccessTokenRequest>(world, name, request).await,
        "generateIdToken" => call::<GenerateIdTokenRequest>(world, name, request).await,
        "signBlob" => call::<SignBlobRequest>(world, name, request).await,
        "signJwt" => call::<SignJwtRequest>(world, name, request).await,
        "testIamPermissions" => test_permissions(world, &name, request).await,
        _ => Err(no_such_method(&verb)),
    };
    result.map(Json).into_response()
}

fn no_such_method(verb: &str) -> Refusal {
    let verb = crate::emulator::error::shorten(verb);
    Refusal::new(Code::NotFound, format!("Not found: there is no method {verb:?} on service accounts"))
}

async fn call<Q: Message>(world: &World, name: String, request: Request<Body>) -> Result<Value, Refusal> {
    let (head, body) = request.into_parts();
    let exchange = exchange(&head)?;
    let mut options = Options::default();
    match read::<Q>(&head, body, name.clone(), &mut options).await {
        Ok(message) => {
            let (headers, protocol) = (&head.headers, Protocol::Rest);
            let arrival = Arrival { headers, exchange, protocol, options };
            api::answer(world, arrival, message).await.map(Q::write)
        }
        Err(refusal) => {
            let (headers, method, fields) = (&head.headers, Q::METHOD, RequestFields::default());
            Visit { world, headers, exchange, method, name: &name, fields }.refuse(&refusal);
            Err(refusal)
        }
    }
}

async fn read<Q: Message>(
    head: &Parts,
    body: Body,
    name: String,
    options: &mut Options,
) -> Result<Q, Refusal> {
    let mut fields = open(head, body).await?;
    let message = Q::read(name, &mut fields, options)?;
    fields.finish()?;
    Ok(message)
}

fn exchange(head: &Parts) -> Result<&Exchange, Refusal> {
    head.extensions.get().ok_or_else(|| Refusal::internal("the request came by no connection"))
}

/// Which of some permissions the caller has on an account. Google has it in another API, IAM's own.
async fn test_permissions(world: &World, name: &str, request: Request<Body>) -> Result<Value, Refusal> {
    let (head, body) = request.into_parts();
    let mut fields = open(&head, body).await?;
    let permissions = fields.texts("permissions")?;
    fields.finish()?;
    let held = authorization::held_permissions(world, &head.headers, name, permissions)?;
    Ok(if held.is_empty() { json!({}) } else { json!({ "permissions": held }) })
}

async fn open(head: &Parts, body: Body) -> Result<Fields, Refusal> {
    if head.method != http::Method::POST {
        return Err(Refusal::new(Code::NotFound, "Not found: only POST is understood here"));
    }
    check_query(&head.uri)?;
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE)
        && !is_json(kind)
    {
        return Err(Refusal::new(Code::InvalidArgument, "The content type must be application/json."));
    }
    Fields::parse(&read_body(body).await?)
}

/// A whole body, unless it is too large.
async fn read_body(body: Body) -> Result<bytes::Bytes, Refusal> {
    to_bytes(body, MAX_BODY).await.map_err(|_| {
        Refusal::new(
            Code::InvalidArgument,
            format!("Request payload could not be read, or exceeds the limit: {MAX_BODY} bytes."),
        )
    })
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn check_query(uri: &Uri) -> Result<(), Refusal> {
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let name = percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy();
        let bare = name.trim_start_matches('$').trim_start_matches('.');
        if !SYSTEM_PARAMETERS.contains(&bare) {
            let name = crate::emulator::error::shorten(&name);
            let problem = format!(
                "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field \
                 '{name}' could not be found in request message."
            );
            return Err(Refusal::bad_field("", &problem));
        }
    }
    Ok(())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = (self.http_status(), Json(self.to_json())).into_response();
        if self.code() == Code::Unauthenticated {
            let challenge = HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl Message for GenerateAccessTokenRequest {
    fn read(name: String, fields: &mut Fields, _: &mut Options) -> Result<Self, Refusal> {
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            scope: fields.texts("scope")?,
            lifetime: fields.duration("lifetime")?,
        })
    }

    fn write(reply: GenerateAccessTokenResponse) -> Value {
        let expires = reply.expire_time.map(|time| time.to_string());
        json!({"accessToken": reply.access_token, "expireTime": expires})
    }
}

impl Message for GenerateIdTokenRequest {
    fn read(name: String, fields: &mut Fields, options: &mut Options) -> Result<Self, Refusal> {
        options.email_azp = fields.flag("useEmailAzp")?;
        options.organization = fields.flag("organizationNumberIncluded")?;
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            audience: fields.text("audience")?,
            include_email: fields.flag("includeEmail")?,
        })
    }

    fn write(reply: GenerateIdTokenResponse) -> Value {
        json!({ "token": reply.token })
    }
}

impl Message for SignBlobRequest {
    fn read(name: String, fields: &mut Fields, _: &mut Options) -> Result<Self, Refusal> {
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            payload: fields.bytes("payload")?,
        })
    }

    fn write(reply: SignBlobResponse) -> Value {
        json!({"keyId": reply.key_id, "signedBlob": BASE64_STANDARD.encode(reply.signed_blob)})
    }
}

impl Message for SignJwtRequest {
    fn read(name: String, fields: &mut Fields, _: &mut Options) -> Result<Self, Refusal> {
        Ok(Self {
            name: path_name(name, fields)?,
            delegates: fields.texts("delegates")?,
            payload: fields.text("payload")?,
        })
    }

    fn write(reply: SignJwtResponse) -> Value {
        json!({"keyId": reply.key_id, "signedJwt": reply.signed_jwt})
    }
}

/// The name of the path; one in the body is read and counts for nothing.
fn path_name(name: String, fields: &mut Fields) -> Result<String, Refusal> {
    fields.text("name")?;
    Ok(name)
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
