//! gcloud-sdk: its gRPC client of the API, and its middleware over google-cloud-auth's credentials.

use std::sync::Arc;

use gcloud_sdk::google::iam::credentials::v1::GenerateAccessTokenRequest;
use gcloud_sdk::google::iam::credentials::v1::iam_credentials_client::IamCredentialsClient;
use gcloud_sdk::{GoogleApi, GoogleAuthHeaders, GoogleAuthMiddleware, GoogleAuthMiddlewareLayer};
use google_cloud_auth::credentials::user_account;
use http::HeaderMap;
use tower::{Layer, ServiceExt};

use super::google_cloud_auth::impersonated;
use crate::BoxError;
use crate::peer::{Identity, Inject, Inner, Peer, Place, SCOPE, email, user_file};

pub struct GcloudSdk {
    place: Place,
    api: tokio::sync::OnceCell<GoogleApi<IamCredentialsClient<GoogleAuthMiddleware>>>,
}

#[derive(Debug, Clone)]
pub struct Headers(Arc<GoogleAuthHeaders>);

impl Peer for GcloudSdk {
    const NAME: &'static str = "gcloud-sdk";
    const ACTS_AS: &'static str = "calls by gRPC; impersonates through google-cloud-auth";
    // google-cloud-auth's.
    const BEFORE_REFRESH: (u64, u64) = (243, 2);

    type Identity = Headers;

    async fn connect(place: &Place) -> Result<Self, BoxError> {
        Ok(Self { place: place.clone(), api: tokio::sync::OnceCell::new() })
    }

    async fn identity(&self, number: usize) -> Result<Headers, BoxError> {
        Ok(Headers(Arc::new(GoogleAuthHeaders::from(impersonated(&self.place, number)?))))
    }

    async fn call(&self) -> Result<(), BoxError> {
        let api = self.api.get_or_try_init(|| api(&self.place)).await?;
        let request = GenerateAccessTokenRequest {
            name: format!("projects/-/serviceAccounts/{}", email(0)),
            scope: vec![SCOPE.to_owned()],
            ..GenerateAccessTokenRequest::default()
        };
        api.get().generate_access_token(request).await?;
        Ok(())
    }

    fn service(identity: Headers) -> impl Inject {
        let layer = GoogleAuthMiddlewareLayer::new(identity.0, None);
        layer.expect("the layer adds no header of the program").layer(Inner).map_err(BoxError::from)
    }
}

async fn api(place: &Place) -> Result<GoogleApi<IamCredentialsClient<GoogleAuthMiddleware>>, BoxError> {
    let source = user_account::Builder::new(user_file(place)).build()?;
    let api = GoogleApi::from_function_with_credentials(IamCredentialsClient::new, &place.url, None, source);
    Ok(api.await?)
}

impl Identity for Headers {
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        let current = self.0.headers().await?;
        headers.extend(current.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(())
    }
}
