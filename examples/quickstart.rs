//! The whole way, offline: the four calls with their signatures verified, then a foreign tonic
//! client that acts as the impersonated account.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --live TARGET
//! ```
//!
//! The first runs against the embedded emulator. The second does the same against Google, with
//! application default credentials that hold Token Creator on TARGET.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::scopes::{CLOUD_PLATFORM, USERINFO_EMAIL};
use gcp_iam_credentials::{Credentials, IamCredentialsClient};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;

type Failure = Box<dyn Error + Send + Sync>;

const SOURCE: &str = "source@quickstart.iam.gserviceaccount.com";
const TARGET: &str = "target@quickstart.iam.gserviceaccount.com";
const AUDIENCE: &str = "https://quickstart.example.com";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let world = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => World::offline().await?,
        ["--live", target] => World::live(target)?,
        _ => return Err("usage: quickstart [--live TARGET]".into()),
    };
    calls(&world).await?;
    foreign_client(world).await?;
    println!("all verified");
    Ok(())
}

/// Where the example runs: offline, or against Google.
struct World {
    client: IamCredentialsClient,
    target: String,
    /// Where public keys are published.
    keys: String,
    emulator: Option<Emulator>,
    http: Http,
}

impl World {
    async fn offline() -> Result<Self, Failure> {
        let emulator = Emulator::builder().start().await?;
        println!("emulator: listening at {}", emulator.endpoint());

        let folder = tempfile::tempdir()?;
        let key_file = folder.path().join("key.json");
        std::fs::write(&key_file, emulator.service_account_key_json(SOURCE))?;
        let gcp_auth = gcp_auth::CustomServiceAccount::from_file(&key_file)?;
        let source = Credentials::from_gcp_auth(Arc::new(gcp_auth), [CLOUD_PLATFORM]);
        let token = source.token().await?;
        let known =
            emulator.verify_access_token(token.secret()).ok_or("the emulator does not know the token")?;
        println!("source: gcp_auth read {} and got a token of {}", key_file.display(), known.principal);

        let client =
            IamCredentialsClient::builder().credentials(source).endpoint(emulator.endpoint()).build()?;
        let keys = emulator.endpoint().to_owned();
        Ok(Self { client, target: TARGET.to_owned(), keys, emulator: Some(emulator), http: http()? })
    }

    fn live(target: &str) -> Result<Self, Failure> {
        let client = IamCredentialsClient::new()?;
        println!("source: application default credentials, for {}", client.endpoint());
        let keys = "https://www.googleapis.com".to_owned();
        Ok(Self { client, target: target.to_owned(), keys, emulator: None, http: http()? })
    }

    /// The published key with this id.
    async fn key(&self, page: &str, id: &str) -> Result<DecodingKey, Failure> {
        let keys: JwkSet = serde_json::from_slice(&get(&self.http, &format!("{}{page}", self.keys)).await?)?;
        let key = keys.find(id).ok_or_else(|| format!("key {id} is not published at {page}"))?;
        Ok(DecodingKey::from_jwk(key)?)
    }

    /// Whose access token it is, by the word of whoever issued it.
    async fn principal(&self, access_token: &str) -> Result<String, Failure> {
        if let Some(emulator) = &self.emulator {
            let token = emulator.verify_access_token(access_token).ok_or("not a token of the emulator")?;
            return Ok(token.principal.trim_start_matches("serviceAccount:").to_owned());
        }
        let url = format!("https://oauth2.googleapis.com/tokeninfo?access_token={access_token}");
        let info: Value = serde_json::from_slice(&get(&self.http, &url).await?)?;
        Ok(info["email"].as_str().ok_or("tokeninfo names no e-mail address")?.to_owned())
    }
}

async fn calls(world: &World) -> Result<(), Failure> {
    let World { client, target, .. } = world;
    let page = format!("/service_accounts/v1/metadata/jwk/{target}");

    let token = client.generate_access_token(target, [CLOUD_PLATFORM, USERINFO_EMAIL]).await?;
    let principal = world.principal(token.secret()).await?;
    check("the access token's principal", &principal, target)?;
    println!("generate_access_token: a token of {principal}, known to its issuer");

    let token = client.generate_id_token(target, AUDIENCE).include_email(true).await?;
    let id = jsonwebtoken::decode_header(token.secret())?.kid.ok_or("the ID token names no key")?;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&["https://accounts.google.com"]);
    let claims =
        jsonwebtoken::decode::<Value>(token.secret(), &world.key("/oauth2/v3/certs", &id).await?, &rules)?
            .claims;
    check("the ID token's email", claims["email"].as_str().unwrap_or_default(), target)?;
    println!(
        "generate_id_token: signature, issuer, audience, expiry and email verified with Google's key {id}"
    );

    let payload = b"quickstart payload";
    let blob = client.sign_blob(target, payload.as_slice()).await?;
    let key = world.key(&page, blob.key_id()).await?;
    let signature = URL_SAFE_NO_PAD.encode(blob.signature());
    if !jsonwebtoken::crypto::verify(&signature, payload, &key, Algorithm::RS256)? {
        return Err("the blob's signature does not verify".into());
    }
    println!("sign_blob: signature verified with the account's key {}", blob.key_id());

    let claims =
        json!({ "iss": target, "aud": AUDIENCE, "exp": jsonwebtoken::get_current_timestamp() + 600 });
    let jwt = client.sign_jwt(target, &claims).await?;
    let key = world.key(&page, jwt.key_id()).await?;
    rules.set_issuer(&[target]);
    let signed = jsonwebtoken::decode::<Value>(jwt.secret(), &key, &rules)?.claims;
    if signed != claims {
        return Err("the JWT's claims are not those that were signed".into());
    }
    println!("sign_jwt: signature and claims verified with the account's key {}", jwt.key_id());
    Ok(())
}

/// Calls a service that knows nothing of this crate, through a generated client of its own.
async fn foreign_client(world: World) -> Result<(), Failure> {
    let acting = world
        .client
        .impersonate(&world.target)
        .lifetime(Duration::from_secs(600))
        .access_token([CLOUD_PLATFORM, USERINFO_EMAIL])?;
    let target = world.target.clone();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let guarded = HealthServer::new(Guarded(world));
    let server = Server::builder().add_service(guarded).serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    let channel = Channel::from_shared(endpoint)?.connect_lazy();

    let refused = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    let refused = refused.err().ok_or("the health service let a stranger in")?;
    println!("foreign client, bare: refused as {:?}", refused.code());

    let channel = ServiceBuilder::new().layer(acting.layer()).service(channel);
    let reply = HealthClient::new(channel).check(HealthCheckRequest { service: target.clone() }).await?;
    if reply.into_inner().status() != ServingStatus::Serving {
        return Err("the health service is not serving".into());
    }
    println!("foreign client, through BearerLayer: grpc.health.v1 let it in as {target}");
    Ok(())
}

/// The standard health service, for callers who can prove that they are the one they ask about.
struct Guarded(World);

#[tonic::async_trait]
impl Health for Guarded {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let bearer = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Status::unauthenticated("no bearer token"))?;
        let principal =
            self.0.principal(token).await.map_err(|error| Status::unauthenticated(error.to_string()))?;
        if principal != request.get_ref().service {
            return Err(Status::permission_denied(format!("you are {principal}")));
        }
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("check only"))
    }
}

fn check(what: &str, got: &str, expected: &str) -> Result<(), Failure> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got:?}, not {expected:?}").into()) }
}

type Http = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

fn http() -> Result<Http, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let connector = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider)?;
    Ok(Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build()))
}

async fn get(http: &Http, url: &str) -> Result<Bytes, Failure> {
    let reply = http.get(url.parse()?).await?;
    if !reply.status().is_success() {
        // Not the URL: it may hold a token.
        return Err(format!("an HTTP request was answered with {}", reply.status()).into());
    }
    Ok(reply.into_body().collect().await?.to_bytes())
}
