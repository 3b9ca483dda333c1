//! An emulator with an identity pool, and credential files for it.

use gcp_iam_credentials::emulator::{
    Emulator, EmulatorBuilder, ExternalAccount, ExternalAccountFile, IdentityProvider, Method, Policy,
};
use serde_json::{Value, json};

use super::accounts::TARGET;

pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub(crate) const AUDIENCE: &str =
    "//iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/ci/providers/p";
const PROVIDER: &str = "projects/12/locations/global/workloadIdentityPools/ci/providers/p";
const SUBJECT: &str = "system:serviceaccount:shop:web";

/// The account that the federated identity may impersonate directly, besides [`TARGET`].
pub(crate) const DEPLOYER: &str = "deployer@project.iam.gserviceaccount.com";

/// Starts an emulator with the external account `pod`, which may impersonate [`DEPLOYER`].
/// [`DEPLOYER`] may impersonate [`TARGET`].
pub(crate) async fn start() -> Emulator {
    builder().start().await.unwrap()
}

/// Returns the builder of that emulator.
pub(crate) fn builder() -> EmulatorBuilder {
    let pool = PROVIDER.split_once("/providers").unwrap().0;
    let policy = Policy::new()
        .identity_provider(PROVIDER, IdentityProvider::oidc("https://issuer.example"))
        .external_account("pod", ExternalAccount::new(PROVIDER).claim("sub", SUBJECT))
        .grant(
            format!("principal://iam.googleapis.com/{pool}/subject/{SUBJECT}"),
            "roles/iam.workloadIdentityUser",
            DEPLOYER,
        )
        .grant(format!("serviceAccount:{DEPLOYER}"), "roles/iam.serviceAccountTokenCreator", TARGET);
    Emulator::builder().policy(policy)
}

/// Returns the credential file of `pod`, changed.
pub(crate) fn file(emulator: &Emulator, options: &ExternalAccountFile, changes: &Value) -> String {
    let mut file: Value =
        serde_json::from_str(&emulator.external_account_json("pod", options).unwrap()).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        file[field] = value.clone();
    }
    file.to_string()
}

/// Returns a credential file of `pod` with another source of subject tokens.
pub(crate) fn file_with_source(emulator: &Emulator, source: &Value) -> String {
    file(emulator, &ExternalAccountFile::new(), &json!({ "credential_source": source }))
}

/// Returns how many requests of this kind arrived.
pub(crate) fn count(emulator: &Emulator, method: Method) -> usize {
    emulator.journal().entries().iter().filter(|entry| entry.method() == method).count()
}
