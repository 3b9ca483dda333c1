//! `iamcreds kubelet-credential`: the credentials with which a node of Kubernetes pulls images.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, Token};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cached_token::{HelperArguments, Wanted, fetch};
use crate::chain::{Chain, account};
use crate::docker_credential::is_registry;
use crate::failure::Failure;
use crate::hosts::{Hosts, USERNAME, host_of};
use crate::input::read_text;
use crate::output;
use crate::token_cache::Minted;

const EXAMPLES: &str = "\
Examples:
  iamcreds kubelet-credential --target puller@my-project.iam.gserviceaccount.com < request.json
  iamcreds kubelet-credential < request.json --provider \\
    //iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/POOL/providers/PROVIDER

docs/iamcreds.md shows the kubelet's configuration.";

const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

/// The annotation of a Kubernetes service account that names the account to act as. GKE uses the same one.
const ANNOTATION: &str = "iam.gke.io/gcp-service-account";

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Answers the kubelet as an image credential provider, for gcr.io, *.pkg.dev and the hosts in your settings.
///
/// The request is read from standard input. If it has a token of the pod's service account, that is exchanged
/// at --provider. Then the account in the annotation iam.gke.io/gcp-service-account pulls the image, else
/// --target, else the federated identity itself.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The provider of the workload identity pool that accepts the pods' tokens
    #[arg(long, value_name = "//iam.googleapis.com/…")]
    provider: Option<String>,
    /// The URL of the token service; default: Google's
    #[arg(long, value_name = "URL", requires = "provider")]
    sts_url: Option<String>,
    #[command(flatten)]
    helper: HelperArguments,
}

/// What the kubelet asks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    api_version: String,
    image: String,
    #[serde(default)]
    service_account_token: String,
    #[serde(default)]
    service_account_annotations: BTreeMap<String, String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = Request::parse(&read_text(Path::new("-"))?)?;
    let hosts = Hosts::read(arguments.helper.chain.chain())?;
    let host = host_of(&request.image);
    let reply = match host.and_then(|host| Some((hosts.chain_for(&host, is_registry)?, host))) {
        Some((chain, host)) => {
            let token = token(arguments, &request, chain.as_ref())?;
            response(&host, &token, SystemTime::now())
        }
        None => json!({"auth": {}, "cacheKeyType": "Image"}),
    };
    output::print(format!("{}\n", with_header(reply)).as_bytes())
}

/// Returns a token of the pod, or of this node's own source.
fn token(arguments: &Arguments, request: &Request, chain: Option<&Chain>) -> Result<Token, Failure> {
    let annotated = request.annotated_chain()?;
    let chain = annotated.as_ref().or(chain);
    let wanted = Wanted { chain, scopes: &[CLOUD_PLATFORM.to_owned()] };
    match (request.service_account_token.as_str(), &arguments.provider) {
        ("", None) => arguments.helper.token(wanted),
        ("", Some(_)) => Err(Failure::usage("--provider needs a service account's token in the request")
            .fix_by("add tokenAttributes to the provider in the kubelet's configuration")),
        (_, None) => Err(Failure::usage(
            "the request has a service account's token, and nothing says where it is accepted",
        )
        .fix_by("add --provider //iam.googleapis.com/projects/…/providers/… to the provider's args")),
        (subject, Some(provider)) => federated_token(arguments, provider, subject, wanted),
    }
}

fn federated_token(
    arguments: &Arguments,
    provider: &str,
    subject: &str,
    wanted: Wanted<'_>,
) -> Result<Token, Failure> {
    let source = &arguments.helper.source;
    let mut builder = source.credentials_options()?;
    if let Some(url) = &arguments.sts_url {
        builder = builder.token_url(url);
    }
    let supplied = subject.to_owned();
    let federated = builder.external_account(provider, JWT, move |_| {
        let subject = supplied.clone();
        async move { Ok(subject) }
    })?;
    let credentials = match wanted.chain {
        Some(chain) => {
            let client = source.client_options()?.credentials(federated).build()?;
            chain.impersonation(&client).access_token(wanted.scopes)?
        }
        None => federated,
    };
    cached(arguments, subject, wanted, &credentials)
}

/// Fetches a token through the cache. Its identity is the pod's token itself, which differs from pod to pod.
fn cached(
    arguments: &Arguments,
    subject: &str,
    wanted: Wanted<'_>,
    credentials: &Credentials,
) -> Result<Token, Failure> {
    let (provider, sts_url) = (arguments.provider.as_deref(), arguments.sts_url.as_deref());
    let identity = arguments.helper.source.identity_of_secrets(&[
        ("provider", provider.unwrap_or_default()),
        ("token service", sts_url.unwrap_or_default()),
        ("subject token", subject),
    ]);
    let mint = |limit| fetch(credentials, limit).map(Minted::Keep);
    arguments.helper.cache().token(&wanted.identity(&identity), mint)
}

impl Request {
    fn parse(text: &str) -> Result<Self, Failure> {
        let unusable = |what: String| Failure::usage(format!("standard input: {what}"));
        // The text of an error would show a part of the request, which may be the pod's token.
        let request: Self = serde_json::from_str(text).map_err(|error| {
            unusable(format!(
                "no CredentialProviderRequest, at line {} column {}",
                error.line(),
                error.column()
            ))
        })?;
        if request.api_version != API_VERSION {
            let fix =
                format!("set apiVersion: {API_VERSION} for the provider in the kubelet's configuration");
            return Err(unusable(format!("unknown version {}", request.api_version)).fix_by(fix));
        }
        Ok(request)
    }

    /// Returns the account that the pod's service account names.
    fn annotated_chain(&self) -> Result<Option<Chain>, Failure> {
        let Some(target) = self.service_account_annotations.get(ANNOTATION) else { return Ok(None) };
        let target = account(target)
            .map_err(|problem| Failure::usage(format!("annotation {ANNOTATION}: {problem}")))?;
        Ok(Some(Chain { target, delegates: Vec::new() }))
    }
}

/// Returns the credentials for all images of a host, for as long as the token is fresh.
fn response(host: &str, token: &Token, now: SystemTime) -> Value {
    let left = token.expires_at().and_then(|expiry| expiry.duration_since(now).ok()).unwrap_or_default();
    let fresh = left.saturating_sub(Credentials::REFRESH_AHEAD.min(left / 4)).min(Duration::from_secs(3600));
    json!({
        "cacheKeyType": "Registry",
        "cacheDuration": format!("{}s", fresh.as_secs()),
        "auth": {host: {"username": USERNAME, "password": token.secret()}},
    })
}

fn with_header(mut reply: Value) -> Value {
    reply["apiVersion"] = API_VERSION.into();
    reply["kind"] = "CredentialProviderResponse".into();
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: I39
    #[test]
    fn a_request_that_cannot_be_read_is_not_quoted() {
        let problem = |text: &str| Request::parse(text).err().unwrap().to_string();
        for text in [r#"{"serviceAccountToken": eyJsecret"#, r#"{"serviceAccountToken": ["eyJsecret"]}"#, ""]
        {
            let problem = problem(text);
            assert!(problem.contains("line") && !problem.contains("eyJ"), "{problem}");
        }
        let old =
            problem(r#"{"apiVersion": "credentialprovider.kubelet.k8s.io/v1alpha1", "image": "gcr.io/a"}"#);
        assert!(old.contains("v1alpha1") && old.contains("fix: set apiVersion"), "{old}");
    }

    /// conf: I39
    #[test]
    fn the_kubelet_keeps_credentials_for_as_long_as_they_are_fresh() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        for (life, kept) in [(3600, "3375s"), (400, "300s"), (0, "0s"), (43_200, "3600s")] {
            let token = Token::new("t", now + Duration::from_secs(life)).unwrap();
            assert_eq!(response("gcr.io", &token, now)["cacheDuration"], kept);
        }
        let endless = response("gcr.io", &Token::new("t", None).unwrap(), now);
        assert_eq!(endless["cacheDuration"], "0s");
        assert_eq!(endless["auth"]["gcr.io"]["username"], "oauth2accesstoken");
    }
}
