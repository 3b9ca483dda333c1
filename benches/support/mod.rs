//! One and the same call, made in three ways, and the reply that all of them get.

#![allow(dead_code, reason = "no benchmark needs it all")]

#[path = "../../tests/support/grpc_reply.rs"]
pub(crate) mod grpc_reply;
pub(crate) mod measure;
pub(crate) mod server;

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;
use std::{env, fmt};

use bytes::Bytes;
use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient as Stub;
use gcp_iam_credentials::proto::{GenerateAccessTokenRequest, GenerateAccessTokenResponse};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{ClientBuilder, Credentials, IamCredentialsClient, Token, service_account_path};
use prost::Message;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::metadata::{Ascii, MetadataValue};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What the facade calls itself.
pub(crate) const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
pub(crate) const TOKEN_BYTES_ARGUMENT: &str = "--token-bytes";

const TARGET: &str = "deployer@project.iam.gserviceaccount.com";
/// Real tokens of service accounts have about 1,024 bytes. Compressing such a header outweighs what
/// is compared here, so short ones are the harder test.
const TOKEN_BYTES: usize = 72;
const TIMEOUT: Duration = ClientBuilder::ATTEMPT_TIMEOUT;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn read() -> Self {
        Self(env::args().skip(1).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    /// The argument after `name`.
    pub(crate) fn value<T: FromStr<Err: Into<BoxError>>>(&self, name: &str) -> Result<Option<T>, BoxError> {
        let Some(at) = self.0.iter().position(|argument| argument == name) else { return Ok(None) };
        let value = self.0.get(at + 1).ok_or_else(|| format!("{name} needs a value"))?;
        value.parse().map(Some).map_err(Into::into)
    }

    /// The length of the tokens, both of the one sent and of the one issued: `--token-bytes N`.
    pub(crate) fn token_bytes(&self) -> Result<usize, BoxError> {
        Ok(self.value(TOKEN_BYTES_ARGUMENT)?.unwrap_or(TOKEN_BYTES))
    }
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The generated stub, with no metadata, no `grpc-timeout` and no timer.
    Raw,
    /// The generated stub with all that the facade puts on the wire, and a timer.
    EqualWire,
    /// `IamCredentialsClient::generate_access_token`.
    Facade,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Raw, Self::EqualWire, Self::Facade];
}

impl FromStr for Way {
    type Err = BoxError;

    fn from_str(name: &str) -> Result<Self, BoxError> {
        let way = Self::ALL.into_iter().find(|way| way.to_string() == name);
        way.ok_or_else(|| format!("{name} is none of raw, equal-wire and facade").into())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::EqualWire => "equal-wire",
            Self::Facade => "facade",
        })
    }
}

/// The three ways over one service each, with all that is constant made ready.
#[derive(Clone)]
pub(crate) struct Calls<S> {
    stub: Stub<S>,
    facade: IamCredentialsClient,
    issued: String,
    request: GenerateAccessTokenRequest,
    authorization: MetadataValue<Ascii>,
    api_client: MetadataValue<Ascii>,
    route: MetadataValue<Ascii>,
    user_agent: Option<MetadataValue<Ascii>>,
}

impl<S> Calls<S>
where
    S: GrpcService<Body> + Clone,
    S::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<BoxError> + Send,
{
    /// `user_agent` is what the facade sends where no channel adds it.
    pub(crate) fn new(
        service: S,
        facade: IamCredentialsClient,
        user_agent: Option<&'static str>,
        token_bytes: usize,
    ) -> Result<Self, BoxError> {
        let mut authorization = MetadataValue::try_from(format!("Bearer {}", token(token_bytes)))?;
        authorization.set_sensitive(true);
        let route = format!("name=projects%2F-%2FserviceAccounts%2F{}", TARGET.replace('@', "%40"));
        Ok(Self {
            stub: Stub::new(service),
            facade,
            issued: token(token_bytes),
            request: GenerateAccessTokenRequest {
                name: service_account_path("-", TARGET),
                scope: vec![CLOUD_PLATFORM.to_owned()],
                ..GenerateAccessTokenRequest::default()
            },
            authorization,
            api_client: MetadataValue::from_static("gl-rust/1.95.0 gapic/0.1.0 grpc/0.14"),
            route: MetadataValue::try_from(route)?,
            user_agent: user_agent.map(MetadataValue::from_static),
        })
    }

    /// Makes one call, over a client cloned for it, as each task of a server would.
    pub(crate) async fn call(&self, way: Way) -> Result<(), BoxError> {
        let token = match way {
            Way::Raw => {
                let reply = self.stub.clone().generate_access_token(self.request.clone()).await?;
                reply.into_inner().access_token
            }
            Way::EqualWire => {
                let mut request = tonic::Request::new(self.request.clone());
                let metadata = request.metadata_mut();
                metadata.insert("authorization", self.authorization.clone());
                metadata.insert("x-goog-api-client", self.api_client.clone());
                metadata.insert("x-goog-request-params", self.route.clone());
                if let Some(user_agent) = &self.user_agent {
                    metadata.insert("user-agent", user_agent.clone());
                }
                request.set_timeout(TIMEOUT);
                let mut stub = self.stub.clone();
                let reply = tokio::time::timeout(TIMEOUT, stub.generate_access_token(request)).await??;
                reply.into_inner().access_token
            }
            Way::Facade => {
                let token = self.facade.clone().generate_access_token(TARGET, [CLOUD_PLATFORM]).await?;
                return self.check(token.secret());
            }
        };
        self.check(&token)
    }

    /// A wrong reply would make every figure worthless.
    fn check(&self, token: &str) -> Result<(), BoxError> {
        if token == self.issued { Ok(()) } else { Err("the reply is not the constant one".into()) }
    }
}

/// A made-up token, of letters and digits as real ones are.
fn token(bytes: usize) -> String {
    ('0'..='9').chain('A'..='Z').chain('a'..='z').cycle().take(bytes).collect()
}

/// The settings of the facade that the stubs are compared with.
pub(crate) fn builder(token_bytes: usize) -> Result<ClientBuilder, BoxError> {
    let credentials = Credentials::fixed(Token::new(token(token_bytes), None)?);
    Ok(IamCredentialsClient::builder().credentials(credentials))
}

/// The constant reply, encoded and framed.
pub(crate) fn constant_reply(token_bytes: usize) -> Bytes {
    const YEAR_2100: i64 = 4_102_444_800;
    let message = GenerateAccessTokenResponse {
        access_token: token(token_bytes),
        expire_time: Some(prost_types::Timestamp { seconds: YEAR_2100, nanos: 0 }),
    };
    grpc_reply::frame(&message.encode_to_vec())
}
