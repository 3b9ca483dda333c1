//! `iamcreds kubectl-credential`: the token with which kubectl calls a cluster.

use std::env;

use gcp_iam_credentials::Token;
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cached_token::{HelperArguments, Wanted};
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  iamcreds kubectl-credential --target viewer@my-project.iam.gserviceaccount.com
  kubectl config set-credentials viewer --exec-command=iamcreds --exec-api-version=client.authentication.k8s.io/v1 \\
    --exec-interactive-mode=Never --exec-arg=kubectl-credential --exec-arg=--target --exec-arg=T";

/// The cluster reads the account's address from the token, for its roles.
const USERINFO_EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";

/// What kubectl says about the call.
const EXEC_INFO_VARIABLE: &str = "KUBERNETES_EXEC_INFO";

const GROUP: &str = "client.authentication.k8s.io";

/// Prints an access token of the target as an ExecCredential, for kubectl and other clients of Kubernetes.
///
/// The token comes from the cache that all your runs share, if a fresh one is there: see docs/iamcreds.md.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A scope of the token; repeat it for each
    #[arg(long, value_name = "SCOPE", default_values = [CLOUD_PLATFORM, USERINFO_EMAIL])]
    scope: Vec<String>,
    #[command(flatten)]
    helper: HelperArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let version = asked_version(env::var(EXEC_INFO_VARIABLE).ok().as_deref())?;
    let chain = arguments.helper.chain.chain();
    let wanted = Wanted { chain: chain.as_ref(), scopes: &arguments.scope };
    let token = arguments.helper.token(wanted)?;
    output::print(format!("{}\n", exec_credential(version, &token)).as_bytes())
}

/// A version of the protocol. The reply has the version of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V1Beta1,
}

/// The part of the request that decides the reply.
#[derive(Deserialize)]
struct ExecInfo {
    #[serde(rename = "apiVersion")]
    api_version: String,
}

/// Returns the version that kubectl asks for. A person at a terminal gets the newest one.
fn asked_version(info: Option<&str>) -> Result<Version, Failure> {
    let Some(info) = info.filter(|info| !info.is_empty()) else { return Ok(Version::V1) };
    let unusable = |what: String| {
        Failure::usage(format!("{EXEC_INFO_VARIABLE} {what}"))
            .fix_by(format!("set apiVersion: {GROUP}/v1 under users[].user.exec of the kubeconfig"))
    };
    let ExecInfo { api_version } =
        serde_json::from_str(info).map_err(|error| unusable(format!("is no ExecCredential: {error}")))?;
    match api_version.strip_prefix(GROUP) {
        Some("/v1") => Ok(Version::V1),
        Some("/v1beta1") => Ok(Version::V1Beta1),
        _ => Err(unusable(format!("asks for {api_version}: only {GROUP}/v1 and /v1beta1 are known"))),
    }
}

fn exec_credential(version: Version, token: &Token) -> Value {
    let version = match version {
        Version::V1 => "v1",
        Version::V1Beta1 => "v1beta1",
    };
    let mut status = json!({"token": token.secret()});
    if let Some(expires_at) = token.expires_at() {
        status["expirationTimestamp"] = output::rfc3339(expires_at).into();
    }
    json!({"apiVersion": format!("{GROUP}/{version}"), "kind": "ExecCredential", "status": status})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: I35
    #[test]
    fn the_reply_has_the_version_of_the_request() {
        let version = |info: &str| asked_version(Some(info)).map_err(|failure| failure.to_string());
        assert_eq!(asked_version(None).unwrap(), Version::V1);
        assert_eq!(version(""), Ok(Version::V1));
        let request = |version: &str| {
            json!({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": false}})
                .to_string()
        };
        assert_eq!(version(&request("client.authentication.k8s.io/v1")), Ok(Version::V1));
        assert_eq!(version(&request("client.authentication.k8s.io/v1beta1")), Ok(Version::V1Beta1));
        for unknown in
            ["client.authentication.k8s.io/v1alpha1", "v1", "other/v1", "client.authentication.k8s.io/v12"]
        {
            let text = version(&request(unknown)).unwrap_err();
            assert!(text.contains(unknown) && text.contains("fix: set apiVersion"), "{text}");
        }
        assert!(version("{").unwrap_err().contains(EXEC_INFO_VARIABLE));
    }
}
