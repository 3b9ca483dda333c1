//! Errors as Google words them, the same for gRPC and REST.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::emulator::method::Method;
use crate::error::code_name;

/// The service's name in error details.
const SERVICE: &str = "iamcredentials.googleapis.com";
const GOOGLE: &str = "googleapis.com";
const IAM: &str = "iam.googleapis.com";

/// A request refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    message: String,
    details: ErrorDetails,
    /// The hop of the chain that lacks a grant.
    hop: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::with_details(code, message, ErrorDetails::new())
    }

    pub(crate) fn with_details(code: Code, message: impl Into<String>, details: ErrorDetails) -> Self {
        Self(Box::new(Inner { code, message: message.into(), details, hop: None }))
    }

    fn with_reason(
        code: Code,
        message: impl Into<String>,
        reason: &str,
        domain: &str,
        metadata: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self::with_details(code, message, ErrorDetails::with_error_info(reason, domain, metadata))
    }

    /// The emulator's own failure.
    pub(crate) fn internal(message: &'static str) -> Self {
        Self::new(Code::Internal, message)
    }

    /// What Google says of most bad arguments, and all that it says.
    pub(crate) fn invalid_argument() -> Self {
        Self::new(Code::InvalidArgument, "Request contains an invalid argument.")
    }

    /// A bad argument that Google names.
    pub(crate) fn bad_field(field: &str, description: &str) -> Self {
        let details = ErrorDetails::with_bad_request_violation(field, description);
        Self::with_details(Code::InvalidArgument, description, details)
    }

    pub(crate) fn malformed_account(account: &str) -> Self {
        Self::new(
            Code::InvalidArgument,
            format!(
                "Invalid form of account ID {}. Should be [Gaia ID |Email |Unique ID |] of the account",
                shorten(account)
            ),
        )
    }

    pub(crate) fn unknown_account(account: &str) -> Self {
        Self::new(Code::NotFound, format!("Not found; Gaia id not found for email {}", shorten(account)))
    }

    /// A grant is missing. `hop` counts the links of the chain from 0.
    pub(crate) fn permission_denied(permission: &str, hop: usize) -> Self {
        let mut refusal = Self::with_reason(
            Code::PermissionDenied,
            format!("Permission '{permission}' denied on resource (or it may not exist)."),
            "IAM_PERMISSION_DENIED",
            IAM,
            [("permission", permission.to_owned())],
        );
        refusal.0.hop = Some(hop);
        refusal
    }

    pub(crate) fn credentials_missing(method: Method) -> Self {
        Self::with_reason(
            Code::Unauthenticated,
            "Request is missing required authentication credential. Expected OAuth 2 access token, login \
             cookie or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
            "CREDENTIALS_MISSING",
            GOOGLE,
            service_and_method(method),
        )
    }

    /// A bearer that is no access token, or none that the emulator knows.
    pub(crate) fn unsupported_token(method: Method) -> Self {
        Self::bad_token(method, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    }

    /// The bearer's service account is disabled.
    pub(crate) fn disabled_caller(method: Method) -> Self {
        Self::bad_token(method, "ACCOUNT_STATE_INVALID")
    }

    /// The API is not enabled in the project of that number.
    pub(crate) fn service_disabled(number: u64) -> Self {
        let url =
            format!("https://console.developers.google.com/apis/api/{SERVICE}/overview?project={number}");
        let mut refusal = Self::with_reason(
            Code::PermissionDenied,
            format!(
                "IAM Service Account Credentials API has not been used in project {number} before or it is \
                 disabled. Enable it by visiting {url} then retry. If you enabled this API recently, wait a \
                 few minutes for the action to propagate to our systems and retry."
            ),
            "SERVICE_DISABLED",
            GOOGLE,
            [
                ("service", SERVICE.to_owned()),
                ("serviceTitle", "IAM Service Account Credentials API".to_owned()),
                ("consumer", format!("projects/{number}")),
                ("containerInfo", number.to_string()),
                ("activationUrl", url.clone()),
            ],
        );
        refusal.0.details.add_help_link("Google developers console API activation", url);
        refusal
    }

    /// The caller may not name that project as quota project.
    pub(crate) fn user_project_denied(project: &str) -> Self {
        let project = shorten(project);
        let url = format!("https://console.developers.google.com/iam-admin/iam/project?project={project}");
        let mut refusal = Self::with_reason(
            Code::PermissionDenied,
            format!(
                "Caller does not have required permission to use project {project}. Grant the caller the \
                 roles/serviceusage.serviceUsageConsumer role, or a custom role with the \
                 serviceusage.services.use permission, by visiting {url} and then retry. Propagation of the \
                 new permission may take a few minutes."
            ),
            "USER_PROJECT_DENIED",
            GOOGLE,
            [("service", SERVICE.to_owned()), ("consumer", format!("projects/{project}"))],
        );
        refusal.0.details.add_help_link("Google developer console IAM admin", url);
        refusal
    }

    pub(crate) fn expired_token(method: Method) -> Self {
        Self::bad_token(method, "ACCESS_TOKEN_EXPIRED")
    }

    fn bad_token(method: Method, reason: &str) -> Self {
        Self::with_reason(
            Code::Unauthenticated,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie \
             or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
            reason,
            GOOGLE,
            service_and_method(method),
        )
    }

    pub(crate) fn scope_insufficient(method: Method) -> Self {
        Self::with_reason(
            Code::PermissionDenied,
            "Request had insufficient authentication scopes.",
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            GOOGLE,
            service_and_method(method),
        )
    }

    /// Adds the least wait before another attempt.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.details.set_retry_info(Some(wait));
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.0.details.error_info().map(|info| info.reason.as_str())
    }

    pub(crate) fn hop(&self) -> Option<usize> {
        self.0.hop
    }

    pub(crate) fn to_status(&self) -> Status {
        Status::with_error_details(self.0.code, self.0.message.clone(), self.0.details.clone())
    }

    pub(crate) fn http_status(&self) -> http::StatusCode {
        http_status(self.0.code)
    }

    /// Google's JSON shape of an error.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({
            "code": self.http_status().as_u16(),
            "message": self.0.message,
            "status": code_name(self.0.code),
        });
        let details = details_json(&self.0.details);
        if !details.is_empty() {
            error["details"] = details.into();
        }
        json!({ "error": error })
    }
}

fn service_and_method(method: Method) -> [(&'static str, String); 2] {
    [
        ("service", SERVICE.to_owned()),
        ("method", format!("google.iam.credentials.v1.IAMCredentials.{}", method.as_str())),
    ]
}

fn details_json(details: &ErrorDetails) -> Vec<Value> {
    let mut list = Vec::new();
    let mut add = |name: &str, mut value: Value| {
        value["@type"] = format!("type.googleapis.com/google.rpc.{name}").into();
        list.push(value);
    };
    if let Some(info) = details.error_info() {
        add("ErrorInfo", json!({"reason": info.reason, "domain": info.domain, "metadata": info.metadata}));
    }
    if let Some(retry) = details.retry_info() {
        let delay =
            crate::emulator::protocol::proto_json::duration_text(retry.retry_delay.unwrap_or_default());
        add("RetryInfo", json!({ "retryDelay": delay }));
    }
    if let Some(help) = details.help() {
        let links: Vec<_> =
            help.links.iter().map(|link| json!({"description": link.description, "url": link.url})).collect();
        add("Help", json!({ "links": links }));
    }
    if let Some(bad) = details.bad_request() {
        let violations: Vec<_> = bad
            .field_violations
            .iter()
            .map(|violation| {
                let mut entry = json!({ "description": violation.description });
                if !violation.field.is_empty() {
                    entry["field"] = violation.field.clone().into();
                }
                entry
            })
            .collect();
        add("BadRequest", json!({ "fieldViolations": violations }));
    }
    if let Some(debug) = details.debug_info() {
        add("DebugInfo", json!({"stackEntries": debug.stack_entries, "detail": debug.detail}));
    }
    list
}

/// The HTTP status that Google sends for a code.
pub(crate) fn http_status(code: Code) -> http::StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    http::StatusCode::from_u16(number).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
}

/// Keeps an answer readable when the input is not.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 120;
    if text.chars().nth(SHOWN).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN).collect();
    short.push('…');
    short
}
