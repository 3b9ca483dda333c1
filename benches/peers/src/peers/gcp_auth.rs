//! gcp_auth: a service account's own key. It can't impersonate.
//!
//! Each identity is a key file. All have the same key, which is made when the measurement starts.

use std::sync::{Arc, OnceLock};

use gcp_auth::{CustomServiceAccount, TokenProvider};
use http::HeaderMap;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::BoxError;
use crate::measurement::Measurement;
use crate::peer::{Identity, Peer, Place, SCOPE, email, set_bearer};

#[derive(Debug)]
pub struct GcpAuth {
    place: Place,
    key: &'static str,
}

static KEY: OnceLock<String> = OnceLock::new();

#[derive(Debug, Clone)]
pub struct Account(Arc<CustomServiceAccount>);

impl Peer for GcpAuth {
    const NAME: &'static str = "gcp_auth";
    const ACTS_AS: &'static str = "the account's own key, cached; no impersonation";
    // Not used in its last 20 s.
    const BEFORE_REFRESH: (u64, u64) = (23, 2);

    type Identity = Account;

    fn missing(measurement: Measurement) -> Option<&'static str> {
        (measurement == Measurement::Calls).then_some("no client of the API")
    }

    fn prepare() -> Result<(), BoxError> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        KEY.get_or_init(|| key.serialize_pem());
        Ok(())
    }

    async fn connect(place: &Place) -> Result<Self, BoxError> {
        Ok(Self { place: place.clone(), key: KEY.get().ok_or("no key was made")? })
    }

    async fn identity(&self, number: usize) -> Result<Account, BoxError> {
        let file = serde_json::json!({
            "type": "service_account",
            "project_id": "project-of-ours",
            "private_key": self.key,
            "client_email": email(number),
            "token_uri": format!("{}/token", self.place.url),
        });
        Ok(Account(Arc::new(CustomServiceAccount::from_json(&file.to_string())?)))
    }
}

impl Identity for Account {
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        let token = self.0.token(&[SCOPE]).await?;
        set_bearer(headers, token.as_str())
    }
}
