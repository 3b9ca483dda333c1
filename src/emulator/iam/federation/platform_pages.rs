//! The pages at which external accounts get their tokens, as their platforms have them.

use crate::emulator::fingerprint;

/// The path of the pages, before the name of the account.
const ROOT: &str = "/emulator/external_accounts";

/// A token as text, as Kubernetes projects it into a file.
pub(crate) const TOKEN: &str = "token";

/// The token endpoint of GitHub Actions.
pub(crate) const GITHUB_ACTIONS: &str = "github_actions";

/// The token page of Azure's metadata server (IMDS).
pub(crate) const AZURE: &str = "metadata/identity/oauth2/token";

/// The roles of AWS's metadata server (IMDS), and after a slash their credentials.
pub(crate) const AWS_ROLES: &str = "latest/meta-data/iam/security-credentials";

/// The page with the tokens of AWS's metadata server (IMDSv2).
pub(crate) const AWS_TOKEN: &str = "latest/api/token";

/// The availability zone in AWS.
pub(crate) const AWS_ZONE: &str = "latest/meta-data/placement/availability-zone";

/// The region in AWS.
pub(crate) const AWS_REGION: &str = "latest/meta-data/placement/region";

/// A token as an executable of a credential file prints it.
pub(crate) const EXECUTABLE: &str = "executable";

/// The variables that the platform sets, as lines.
pub(crate) const ENVIRONMENT: &str = "environment";

/// The page at which a person signs in.
pub(crate) const AUTHORIZE: &str = "authorize";

/// The configuration of the issuer.
pub(crate) const DISCOVERY: &str = ".well-known/openid-configuration";

/// The public keys of the issuer.
pub(crate) const KEYS: &str = "jwks";

/// Returns the pattern of the route of a page.
pub(crate) fn route(page: &str) -> String {
    format!("{ROOT}/{{name}}/{page}")
}

/// Returns the URL of a page of an account.
pub(crate) fn url(endpoint: &str, account: &str, page: &str) -> String {
    format!("{endpoint}{ROOT}/{account}/{page}")
}

/// Returns the value of `ACTIONS_ID_TOKEN_REQUEST_URL`, to which clients append `&audience=…`.
pub(crate) fn github_request_url(endpoint: &str, account: &str) -> String {
    format!("{}?api-version=2.0", url(endpoint, account, GITHUB_ACTIONS))
}

/// Returns the value of `ACTIONS_ID_TOKEN_REQUEST_TOKEN`: the bearer token of requests for tokens.
pub(crate) fn github_request_token(account: &str) -> String {
    format!("request-{}", fingerprint::hex(account.as_bytes(), 12))
}
