//! gcp-iam-credentials: one client for all, and a pool of identities.

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, ImpersonationPool};
use http::HeaderMap;
use tower::Layer;

use crate::BoxError;
use crate::peer::{Identity, Inject, Inner, Peer, Place, email, user_file};

#[derive(Debug)]
pub struct Ours {
    client: IamCredentialsClient,
    pool: ImpersonationPool,
}

impl Peer for Ours {
    const NAME: &'static str = "gcp-iam-credentials";
    const ACTS_AS: &'static str = "impersonates by gRPC, cached";
    // Refreshed between 210 s and 225 s: the margin is relative, up to 270 s of an hour.
    const BEFORE_REFRESH: (u64, u64) = (300, 205);

    type Identity = Credentials;

    async fn connect(place: &Place) -> Result<Self, BoxError> {
        let source = Credentials::from_json(&user_file(place).to_string())?;
        let client = IamCredentialsClient::builder().credentials(source).endpoint(&place.url).build()?;
        let pool =
            ImpersonationPool::builder(client.clone()).capacity(20_000).max_fetches_per_minute(0).build();
        Ok(Self { client, pool })
    }

    async fn identity(&self, number: usize) -> Result<Credentials, BoxError> {
        Ok(self.pool.impersonate(email(number)).access_token([CLOUD_PLATFORM])?)
    }

    async fn call(&self) -> Result<(), BoxError> {
        self.client.generate_access_token(email(0), [CLOUD_PLATFORM]).await?;
        Ok(())
    }

    fn service(identity: Credentials) -> impl Inject {
        identity.layer().layer(Inner)
    }
}

impl Identity for Credentials {
    async fn authorize(&self, headers: &mut HeaderMap) -> Result<(), BoxError> {
        Ok(self.apply(headers).await?)
    }
}
