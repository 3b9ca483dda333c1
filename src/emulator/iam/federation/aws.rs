//! AWS: the credentials of external accounts, and the signed requests that prove them.

pub(crate) mod credentials;
mod signature;
mod signed_request;

use std::time::SystemTime;

use serde_json::{Value, json};

use self::credentials::AwsCredentials;
use self::signed_request::SignedRequest;
use super::names::audience_of;
use crate::emulator::error::{OauthError, shorten};
use crate::emulator::fingerprint;
use crate::emulator::iam::identities::Identities;
use crate::emulator::iam::policy::{ExternalAccount, Policy};

/// How far the date of a request may differ from the time, in seconds: 15 min.
const LONGEST_AGE: u64 = 900;

/// Returns what AWS says about the caller who signed `token`, for the provider `name` of an AWS account.
pub(super) fn caller(
    identities: &Identities,
    policy: &Policy,
    name: &str,
    account_id: &str,
    token: &str,
) -> Result<Value, OauthError> {
    let request = SignedRequest::read(token)?;
    check_target(&request, name)?;
    if request.time.abs_diff(identities.clock.shown_unix()) > LONGEST_AGE {
        return Err(refused("RequestExpired", "the date of the request is more than 15 minutes away"));
    }
    let credentials = identities.aws.find(&request.access_key_id).ok_or_else(|| {
        refused("InvalidClientTokenId", "the emulator has not issued the access key of the request")
    })?;
    check_signature(&request, &credentials, identities.clock.now())?;
    let account = policy.find_external_account(&credentials.account).filter(|it| it.provider == name);
    let caller = account.map(|account| caller_identity(account_id, &credentials.account, account));
    caller.ok_or_else(|| OauthError::grant("The AWS account ID does not match that of the provider."))
}

fn check_target(request: &SignedRequest, name: &str) -> Result<(), OauthError> {
    let (audience, target) = (audience_of(name), &request.target_resource);
    if *target == audience || target.strip_prefix("https:") == Some(&audience) {
        return Ok(());
    }
    let target = shorten(target);
    let problem =
        format!("The header x-goog-cloud-target-resource [{target}] does not match the expected audience.");
    Err(OauthError::grant(problem))
}

fn check_signature(
    request: &SignedRequest,
    credentials: &AwsCredentials,
    now: SystemTime,
) -> Result<(), OauthError> {
    if request.header("x-amz-security-token") != Some(&credentials.session_token) {
        return Err(refused("InvalidClientTokenId", "the security token of the request is invalid"));
    }
    if credentials.expires <= now {
        return Err(refused("ExpiredToken", "the security token of the request has expired"));
    }
    if signature::is_valid(request, &credentials.secret_access_key) {
        return Ok(());
    }
    Err(refused(
        "SignatureDoesNotMatch",
        "the signature is not that of the request with the secret access key",
    ))
}

/// Returns the claims of an assertion: what `GetCallerIdentity` returns.
fn caller_identity(account_id: &str, name: &str, account: &ExternalAccount) -> Value {
    let (role, instance) = (account.aws_role(name), instance_id(name));
    let role_id = fingerprint::hex(role.as_bytes(), 8).to_uppercase();
    json!({
        "account": account_id,
        "arn": format!("arn:aws:sts::{account_id}:assumed-role/{role}/{instance}"),
        "userid": format!("AROA{role_id}:{instance}"),
    })
}

/// Returns the id of the machine of an external account.
fn instance_id(name: &str) -> String {
    format!("i-{}0", fingerprint::hex(name.as_bytes(), 8))
}

/// The error if AWS refuses the request.
fn refused(code: &str, problem: &str) -> OauthError {
    OauthError::grant(format!("AWS refused the request of the subject token: {code}: {problem}."))
}
