//! google-cloud-iam-credentials-v1: the official REST client of the API.
//!
//! It keeps no tokens: each token is a call, and the program keeps what it needs.

use std::sync::{Arc, Mutex, PoisonError};

use google_cloud_auth::credentials::user_account;
use google_cloud_iam_credentials_v1::client::IAMCredentials;
use http::HeaderMap;

use crate::BoxError;
use crate::measurement::Measurement;
use crate::peer::{Identity, Peer, Place, SCOPE, email, set_bearer, user_file};

#[derive(Debug)]
pub struct IamCredentialsV1 {
    client: IAMCredentials,
}

/// An account, and the token that the program keeps.
#[derive(Debug, Clone)]
pub struct Account {
    client: IAMCredentials,
    name: String,
    token: Arc<Mutex<String>>,
}

impl Peer for IamCredentialsV1 {
    const NAME: &'static str = "google-cloud-iam-credentials-v1";
    const ACTS_AS: &'static str = "calls by REST, no cache";
    // That of its source, which is google-cloud-auth's.
    const BEFORE_REFRESH: (u64, u64) = (243, 2);

    type Identity = Account;

    fn missing(measurement: Measurement) -> Option<&'static str> {
        (measurement == Measurement::Inject).then_some("keeps no token")
    }

    async fn connect(place: &Place) -> Result<Self, BoxError> {
        let source = user_account::Builder::new(user_file(place)).build()?;
        let client =
            IAMCredentials::builder().with_endpoint(&place.url).with_credentials(source).build().await?;
        Ok(Self { client })
    }

    async fn identity(&self, number: usize) -> Result<Account, BoxError> {
        let name = format!("projects/-/serviceAccounts/{}", email(number));
        Ok(Account { client: self.client.clone(), name, token: Arc::default() })
    }

    async fn call(&self) -> Result<(), BoxError> {
        self.identity(0).await?.mint().await?;
        Ok(())
    }
}

impl Account {
    async fn mint(&self) -> Result<String, BoxError> {
        let call = self.client.generate_access_token().set_name(&self.name).set_scope([SCOPE]);
        Ok(call.send().await?.access_token)
    }
}

impl Identity for Account {
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        let token = self.mint().await?;
        set_bearer(headers, &token)?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }
}
