//! google-cloud-auth: impersonated credentials.
//!
//! Only a credential file can name another endpoint than Google's. So each identity has a source
//! of its own, where a program could share one: the table counts the sources' connections apart.

use std::sync::{Arc, PoisonError, RwLock};

use google_cloud_auth::credentials::{CacheableResource, Credentials, EntityTag, impersonated};
use http::{Extensions, HeaderMap};

use crate::BoxError;
use crate::measurement::Measurement;
use crate::peer::{Identity, Peer, Place, SCOPE, email, user_file};

#[derive(Debug)]
pub struct GoogleCloudAuth {
    place: Place,
}

/// Credentials, and the headers that stay right until they report another tag.
#[derive(Debug, Clone)]
pub struct Tagged {
    credentials: Credentials,
    current: Arc<RwLock<Option<(EntityTag, HeaderMap)>>>,
}

impl Peer for GoogleCloudAuth {
    const NAME: &'static str = "google-cloud-auth";
    const ACTS_AS: &'static str = "impersonates by REST, cached";
    // Refreshed 240 s before the end.
    const BEFORE_REFRESH: (u64, u64) = (243, 2);

    type Identity = Tagged;

    fn missing(measurement: Measurement) -> Option<&'static str> {
        (measurement == Measurement::Calls).then_some("no client of the API")
    }

    async fn connect(place: &Place) -> Result<Self, BoxError> {
        Ok(Self { place: place.clone() })
    }

    async fn identity(&self, number: usize) -> Result<Tagged, BoxError> {
        Ok(Tagged { credentials: impersonated(&self.place, number)?, current: Arc::default() })
    }
}

impl Identity for Tagged {
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut extensions = Extensions::new();
        if let Some((tag, _)) = &current {
            extensions.insert(tag.clone());
        }
        match self.credentials.headers(extensions).await? {
            CacheableResource::New { entity_tag, data } => {
                headers.extend(data.clone());
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Some((entity_tag, data));
            }
            CacheableResource::NotModified => {
                headers.extend(current.map(|(_, data)| data).unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// Returns credentials that act as a service account.
pub fn impersonated(place: &Place, number: usize) -> Result<Credentials, BoxError> {
    let url = format!("{}/v1/projects/-/serviceAccounts/{}:generateAccessToken", place.url, email(number));
    let file = serde_json::json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": url,
        "source_credentials": user_file(place),
    });
    Ok(impersonated::Builder::new(file).with_scopes([SCOPE]).build()?)
}
