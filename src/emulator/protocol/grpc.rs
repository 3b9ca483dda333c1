//! The API over gRPC.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

use self::generated::iam_credentials_server::{IamCredentials, IamCredentialsServer};
use crate::emulator::api::{self, ApiRequest, Arrival, Options};
use crate::emulator::journal::Protocol;
use crate::emulator::server::exchange::Exchange;
use crate::emulator::state::World;

#[allow(missing_docs, unreachable_pub, unnameable_types, clippy::all, clippy::pedantic, clippy::restriction)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/server/google.iam.credentials.v1.rs"));
}

/// The largest message taken, in bytes.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

pub(crate) type Server = IamCredentialsServer<Service>;

pub(crate) fn server(world: Arc<World>) -> Server {
    IamCredentialsServer::new(Service(world)).max_decoding_message_size(MAX_MESSAGE)
}

#[derive(Debug)]
pub(crate) struct Service(Arc<World>);

impl Service {
    async fn answer<Q: ApiRequest>(&self, request: Request<Q>) -> Result<Response<Q::Reply>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let exchange = extensions
            .get::<Exchange>()
            .ok_or_else(|| Status::internal("the request came by no connection"))?;
        let headers = metadata.into_headers();
        let arrival =
            Arrival { headers: &headers, exchange, protocol: Protocol::Grpc, options: Options::default() };
        match api::answer(&self.0, arrival, message).await {
            Ok(reply) => Ok(Response::new(reply)),
            Err(refusal) => Err(refusal.to_status()),
        }
    }
}

#[async_trait]
impl IamCredentials for Service {
    async fn generate_access_token(
        &self,
        request: Request<GenerateAccessTokenRequest>,
    ) -> Result<Response<GenerateAccessTokenResponse>, Status> {
        self.answer(request).await
    }

    async fn generate_id_token(
        &self,
        request: Request<GenerateIdTokenRequest>,
    ) -> Result<Response<GenerateIdTokenResponse>, Status> {
        self.answer(request).await
    }

    async fn sign_blob(
        &self,
        request: Request<SignBlobRequest>,
    ) -> Result<Response<SignBlobResponse>, Status> {
        self.answer(request).await
    }

    async fn sign_jwt(&self, request: Request<SignJwtRequest>) -> Result<Response<SignJwtResponse>, Status> {
        self.answer(request).await
    }
}
