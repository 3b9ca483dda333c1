//! The values of labels. Each label has a fixed set of them.

use crate::error::{ServiceError, code_name};
use crate::source::FetchReason;
use crate::{Error, ErrorKind};

/// The reasons that Google's services name, and the codes of OAuth. Any other one is [`OTHER`].
const REASONS: [&str; 27] = [
    "ACCESS_TOKEN_EXPIRED",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED",
    "ACCOUNT_STATE_INVALID",
    "API_KEY_INVALID",
    "BILLING_DISABLED",
    "CONSUMER_INVALID",
    "CONSUMER_SUSPENDED",
    "CREDENTIALS_MISSING",
    "IAM_PERMISSION_DENIED",
    "LOCATION_POLICY_VIOLATED",
    "ORG_RESTRICTION_VIOLATION",
    "RATE_LIMIT_EXCEEDED",
    "RESOURCE_QUOTA_EXCEEDED",
    "SECURITY_POLICY_VIOLATED",
    "SERVICE_DISABLED",
    "USER_PROJECT_DENIED",
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_rapt",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
];

/// Any reason that isn't in the list.
const OTHER: &str = "other";

/// There is no reason.
const NONE: &str = "none";

pub(super) fn of_fetch(reason: FetchReason) -> &'static str {
    match reason {
        FetchReason::Empty => "empty",
        FetchReason::Expiring => "expiring",
        FetchReason::Rejected => "rejected",
        FetchReason::Requested => "requested",
    }
}

pub(super) fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::InvalidInput => "invalid_input",
        ErrorKind::Credentials => "credentials",
        ErrorKind::Service => "service",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Transport => "transport",
        ErrorKind::InvalidReply => "invalid_reply",
    }
}

/// Returns the name of the gRPC code; `OK` if there is no failure.
pub(super) fn code(failure: Option<&Error>) -> &'static str {
    failure.map_or("OK", |error| code_name(error.code()))
}

/// Returns the reason of a refusal, if it is one that Google documents.
pub(super) fn reason(error: &Error) -> &'static str {
    let named = error.service().and_then(ServiceError::reason).or_else(|| error.oauth_code());
    let known = |name: &str| REASONS.iter().find(|reason| **reason == name).copied();
    named.map_or(NONE, |name| known(name).unwrap_or(OTHER))
}
