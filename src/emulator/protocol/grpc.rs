//! The API over gRPC.

use std::sync::Arc;

use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status, async_trait};

use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

use self::generated::iam_credentials_server::{IamCredentials, IamCredentialsServer};
use crate::emulator::api;
use crate::emulator::api::context::RequestContext;
use crate::emulator::api::request::{ApiRequest, RequestOptions};
use crate::emulator::journal::Protocol;
use crate::emulator::state::EmulatorState;

#[allow(missing_docs, unreachable_pub, unnameable_types, clippy::all, clippy::pedantic, clippy::restriction)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/server/google.iam.credentials.v1.rs"));
}

/// The largest message that is accepted: 4 MiB.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

pub(crate) type Server = IamCredentialsServer<Service>;

pub(crate) fn server(state: Arc<EmulatorState>) -> Server {
    IamCredentialsServer::new(Service(state))
        .max_decoding_message_size(MAX_MESSAGE)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
}

#[derive(Debug)]
pub(crate) struct Service(Arc<EmulatorState>);

impl Service {
    async fn handle<Q: ApiRequest>(&self, request: Request<Q>) -> Result<Response<Q::Reply>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let (state, headers) = (Arc::clone(&self.0), metadata.into_headers());
        let context = RequestContext::new(state, headers, Protocol::Grpc, &extensions)
            .map_err(|error| error.to_status())?;
        match api::handle(&context, RequestOptions::default(), message).await {
            Ok(reply) => Ok(Response::new(reply)),
            Err(error) => Err(error.to_status()),
        }
    }
}

#[async_trait]
impl IamCredentials for Service {
    async fn generate_access_token(
        &self,
        request: Request<GenerateAccessTokenRequest>,
    ) -> Result<Response<GenerateAccessTokenResponse>, Status> {
        self.handle(request).await
    }

    async fn generate_id_token(
        &self,
        request: Request<GenerateIdTokenRequest>,
    ) -> Result<Response<GenerateIdTokenResponse>, Status> {
        self.handle(request).await
    }

    async fn sign_blob(
        &self,
        request: Request<SignBlobRequest>,
    ) -> Result<Response<SignBlobResponse>, Status> {
        self.handle(request).await
    }

    async fn sign_jwt(&self, request: Request<SignJwtRequest>) -> Result<Response<SignJwtResponse>, Status> {
        self.handle(request).await
    }
}
