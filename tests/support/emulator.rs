//! What the emulator's own tests share.

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::proto::GenerateAccessTokenRequest;
use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
use gcp_iam_credentials::{scopes, service_account_path};
use tonic::Request;
use tonic::transport::Channel;

pub(crate) const EMAIL: &str = "sa@project.iam.gserviceaccount.com";

/// The generated stub: nothing of the crate's own client is in the way.
pub(crate) fn stub(emulator: &Emulator) -> IamCredentialsClient<Channel> {
    let endpoint = Channel::from_shared(emulator.endpoint().to_owned()).unwrap();
    IamCredentialsClient::new(endpoint.connect_lazy())
}

/// A request with that bearer token.
pub(crate) fn with_bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A good request for an access token.
pub(crate) fn access_token(account: &str) -> GenerateAccessTokenRequest {
    GenerateAccessTokenRequest {
        name: service_account_path("-", account),
        scope: vec![scopes::CLOUD_PLATFORM.to_owned()],
        ..GenerateAccessTokenRequest::default()
    }
}
