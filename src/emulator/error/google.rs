//! Google's errors, word for word.

use std::collections::HashMap;

use tonic::Code;
use tonic_types::{ErrorDetails, FieldViolation};

use super::{ApiError, shorten};
use crate::emulator::called_method::CalledMethod;

/// The domain in the `ErrorInfo` of most errors.
pub(crate) const GOOGLE_DOMAIN: &str = "googleapis.com";

/// The domain in the `ErrorInfo` of missing grants.
pub(super) const IAM_DOMAIN: &str = "iam.googleapis.com";

/// The service's name in error details.
const SERVICE: &str = "iamcredentials.googleapis.com";

/// The reason if a request has no bearer token.
pub(super) const CREDENTIALS_MISSING: &str = "CREDENTIALS_MISSING";

/// The reason if the token's scopes don't suffice.
pub(super) const SCOPE_INSUFFICIENT: &str = "ACCESS_TOKEN_SCOPE_INSUFFICIENT";

/// The service's name in messages.
const SERVICE_TITLE: &str = "IAM Service Account Credentials API";

impl ApiError {
    /// An argument is invalid, and Google doesn't say which one.
    pub(crate) fn invalid_argument() -> Self {
        Self::new(Code::InvalidArgument, "Request contains an invalid argument.")
    }

    /// An argument is invalid, and Google names it.
    pub(crate) fn invalid_field(field: &str, description: &str) -> Self {
        let details = ErrorDetails::with_bad_request_violation(field, description);
        Self::with_details(Code::InvalidArgument, description, details)
    }

    /// Several arguments are invalid: for each, its field or an empty text, and a description. Those that a
    /// reader won't look at are left out.
    pub(crate) fn invalid_fields(problems: &[(&str, String)]) -> Self {
        const SHOWN: usize = 10;
        let problems = &problems[..problems.len().min(SHOWN)];
        let violations =
            problems.iter().map(|(field, problem)| FieldViolation::new(*field, problem.as_str()));
        let details = ErrorDetails::with_bad_request(violations.collect::<Vec<_>>());
        let descriptions: Vec<_> = problems.iter().map(|(_, problem)| problem.as_str()).collect();
        Self::with_details(Code::InvalidArgument, descriptions.join("\n"), details)
    }

    pub(crate) fn malformed_account(account: &str) -> Self {
        let account = shorten(account);
        Self::new(
            Code::InvalidArgument,
            format!(
                "Invalid form of account ID {account}. Should be [Gaia ID |Email |Unique ID |] of the account"
            ),
        )
    }

    pub(crate) fn unknown_account(account: &str) -> Self {
        Self::new(Code::NotFound, format!("Not found; Gaia id not found for email {}", shorten(account)))
    }

    /// A grant is missing. `hop` counts the links of the chain from 0.
    pub(crate) fn permission_denied(permission: &str, hop: usize) -> Self {
        let mut error = Self::with_reason(
            Code::PermissionDenied,
            format!("Permission '{permission}' denied on resource (or it may not exist)."),
            "IAM_PERMISSION_DENIED",
            IAM_DOMAIN,
            [("permission", permission.to_owned())],
        );
        error.0.hop = Some(hop);
        error
    }

    pub(crate) fn credentials_missing(method: CalledMethod) -> Self {
        Self::with_reason(
            Code::Unauthenticated,
            "Request is missing required authentication credential. Expected OAuth 2 access token, login \
             cookie or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
            CREDENTIALS_MISSING,
            GOOGLE_DOMAIN,
            service_and_method(method),
        )
    }

    /// The request has an API key and no token.
    pub(crate) fn api_key_unsupported(method: CalledMethod) -> Self {
        Self::with_reason(
            Code::Unauthenticated,
            "API keys are not supported by this API. Expected OAuth2 access token or other authentication \
             credentials that assert a principal. See https://cloud.google.com/docs/authentication",
            CREDENTIALS_MISSING,
            GOOGLE_DOMAIN,
            service_and_method(method),
        )
    }

    /// The bearer token isn't an access token, or it is unknown.
    pub(crate) fn unsupported_token(method: CalledMethod) -> Self {
        Self::invalid_token(method, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
    }

    /// The service account of the bearer token is disabled.
    pub(crate) fn disabled_principal(method: CalledMethod) -> Self {
        Self::invalid_token(method, "ACCOUNT_STATE_INVALID")
    }

    pub(crate) fn expired_token(method: CalledMethod) -> Self {
        Self::invalid_token(method, "ACCESS_TOKEN_EXPIRED")
    }

    fn invalid_token(method: CalledMethod, reason: &str) -> Self {
        Self::with_reason(
            Code::Unauthenticated,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie \
             or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
            reason,
            GOOGLE_DOMAIN,
            service_and_method(method),
        )
    }

    pub(crate) fn scope_insufficient(method: CalledMethod) -> Self {
        Self::with_reason(
            Code::PermissionDenied,
            "Request had insufficient authentication scopes.",
            SCOPE_INSUFFICIENT,
            GOOGLE_DOMAIN,
            service_and_method(method),
        )
    }

    /// The API isn't enabled in the project of that number.
    pub(crate) fn service_disabled(number: u64) -> Self {
        let url =
            format!("https://console.developers.google.com/apis/api/{SERVICE}/overview?project={number}");
        let mut error = Self::with_reason(
            Code::PermissionDenied,
            format!(
                "{SERVICE_TITLE} has not been used in project {number} before or it is disabled. Enable it \
                 by visiting {url} then retry. If you enabled this API recently, wait a few minutes for the \
                 action to propagate to our systems and retry."
            ),
            "SERVICE_DISABLED",
            GOOGLE_DOMAIN,
            [
                ("service", SERVICE.to_owned()),
                ("serviceTitle", SERVICE_TITLE.to_owned()),
                ("consumer", format!("projects/{number}")),
                ("containerInfo", number.to_string()),
                ("activationUrl", url.clone()),
            ],
        );
        error.0.details.add_help_link("Google developers console API activation", url);
        error
    }

    /// The principal may not use that project as its quota project.
    pub(crate) fn user_project_denied(project: &str) -> Self {
        let project = shorten(project);
        let url = format!("https://console.developers.google.com/iam-admin/iam/project?project={project}");
        let mut error = Self::with_reason(
            Code::PermissionDenied,
            format!(
                "Caller does not have required permission to use project {project}. Grant the caller the \
                 roles/serviceusage.serviceUsageConsumer role, or a custom role with the \
                 serviceusage.services.use permission, by visiting {url} and then retry. Propagation of the \
                 new permission may take a few minutes."
            ),
            "USER_PROJECT_DENIED",
            GOOGLE_DOMAIN,
            [("service", SERVICE.to_owned()), ("consumer", format!("projects/{project}"))],
        );
        error.0.details.add_help_link("Google developer console IAM admin", url);
        error
    }

    pub(super) fn with_reason(
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
}

fn service_and_method(method: CalledMethod) -> [(&'static str, String); 2] {
    [("service", method.service.to_owned()), ("method", format!("{}.{}", method.interface, method.method))]
}
