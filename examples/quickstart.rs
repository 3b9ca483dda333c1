//! Makes the four calls and verifies each signature, then makes a tonic client of another API act
//! as the impersonated account.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --live TARGET
//! ```
//!
//! The first command runs offline, against the emulator. The second does the same against Google.
//! It starts from your application default credentials, which need the role
//! `roles/iam.serviceAccountTokenCreator` on TARGET.

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
    let setup = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Setup::offline().await?,
        ["--live", target] => Setup::live(target)?,
        _ => return Err("usage: quickstart [--live TARGET]".into()),
    };
    access_token(&setup).await?;
    id_token(&setup).await?;
    signed_blob(&setup).await?;
    signed_jwt(&setup).await?;
    other_api(setup).await?;
    println!("all verified");
    Ok(())
}

/// The service that the example calls: the emulator, or Google.
struct Setup {
    client: IamCredentialsClient,
    target: String,
    /// The URL of the server that publishes the public keys.
    keys: String,
    emulator: Option<Emulator>,
    http: Http,
}

impl Setup {
    async fn offline() -> Result<Self, Failure> {
        let emulator = Emulator::builder().start().await?;
        println!("emulator: listens on {}", emulator.endpoint());

        let folder = tempfile::tempdir()?;
        let key_file = folder.path().join("key.json");
        std::fs::write(&key_file, emulator.service_account_key_json(SOURCE))?;
        let gcp_auth = gcp_auth::CustomServiceAccount::from_file(&key_file)?;
        let source = Credentials::from_gcp_auth(Arc::new(gcp_auth), [CLOUD_PLATFORM]);
        let token = source.token().await?;
        let verified =
            emulator.verify_access_token(token.secret()).ok_or("the emulator didn't issue this token")?;
        println!("source: gcp_auth read a key file and got a token of {}", verified.principal());

        let client =
            IamCredentialsClient::builder().credentials(source).endpoint(emulator.endpoint()).build()?;
        let keys = emulator.endpoint().to_owned();
        Ok(Self { client, target: TARGET.to_owned(), keys, emulator: Some(emulator), http: http()? })
    }

    fn live(target: &str) -> Result<Self, Failure> {
        let client = IamCredentialsClient::new()?;
        println!("source: application default credentials; calls go to {}", client.endpoint());
        let keys = "https://www.googleapis.com".to_owned();
        Ok(Self { client, target: target.to_owned(), keys, emulator: None, http: http()? })
    }

    /// Fetches the published key with this id.
    async fn key(&self, page: &str, id: &str) -> Result<DecodingKey, Failure> {
        let keys: JwkSet = serde_json::from_slice(&get(&self.http, &format!("{}{page}", self.keys)).await?)?;
        let key = keys.find(id).ok_or_else(|| format!("key {id} isn't published at {page}"))?;
        Ok(DecodingKey::from_jwk(key)?)
    }

    /// Fetches the target's published key with this id.
    async fn account_key(&self, id: &str) -> Result<DecodingKey, Failure> {
        self.key(&format!("/service_accounts/v1/metadata/jwk/{}", self.target), id).await
    }

    /// Asks the issuer of an access token for the token's principal.
    async fn principal(&self, access_token: &str) -> Result<String, Failure> {
        if let Some(emulator) = &self.emulator {
            let token =
                emulator.verify_access_token(access_token).ok_or("the emulator didn't issue this token")?;
            return Ok(token.principal().trim_start_matches("serviceAccount:").to_owned());
        }
        let url = format!("https://oauth2.googleapis.com/tokeninfo?access_token={access_token}");
        let info: Value = serde_json::from_slice(&get(&self.http, &url).await?)?;
        Ok(info["email"].as_str().ok_or("the reply of tokeninfo has no e-mail address")?.to_owned())
    }
}

async fn access_token(setup: &Setup) -> Result<(), Failure> {
    let scopes = [CLOUD_PLATFORM, USERINFO_EMAIL];
    let token = setup.client.generate_access_token(&setup.target, scopes).await?;
    let principal = setup.principal(token.secret()).await?;
    check("the access token's principal", &principal, &setup.target)?;
    println!("generate_access_token: the issuer confirms that it is a token of {principal}");
    Ok(())
}

async fn id_token(setup: &Setup) -> Result<(), Failure> {
    let token = setup.client.generate_id_token(&setup.target, AUDIENCE).include_email(true).await?;
    let id = jsonwebtoken::decode_header(token.secret())?.kid.ok_or("the ID token names no key")?;
    let key = setup.key("/oauth2/v3/certs", &id).await?;
    let rules = validation("https://accounts.google.com");
    let claims = jsonwebtoken::decode::<Value>(token.secret(), &key, &rules)?.claims;
    check("the ID token's e-mail address", claims["email"].as_str().unwrap_or_default(), &setup.target)?;
    println!("generate_id_token: signature and claims verified with Google's key {id}");
    Ok(())
}

async fn signed_blob(setup: &Setup) -> Result<(), Failure> {
    let payload = b"quickstart payload";
    let blob = setup.client.sign_blob(&setup.target, payload.as_slice()).await?;
    let key = setup.account_key(blob.key_id()).await?;
    let signature = URL_SAFE_NO_PAD.encode(blob.signature());
    if !jsonwebtoken::crypto::verify(&signature, payload, &key, Algorithm::RS256)? {
        return Err("the blob's signature is invalid".into());
    }
    println!("sign_blob: signature verified with the account's key {}", blob.key_id());
    Ok(())
}

async fn signed_jwt(setup: &Setup) -> Result<(), Failure> {
    let expiry = jsonwebtoken::get_current_timestamp() + 600;
    let claims = json!({ "iss": setup.target, "aud": AUDIENCE, "exp": expiry });
    let jwt = setup.client.sign_jwt(&setup.target, &claims).await?;
    let key = setup.account_key(jwt.key_id()).await?;
    let signed = jsonwebtoken::decode::<Value>(jwt.as_str(), &key, &validation(&setup.target))?.claims;
    if signed != claims {
        return Err("the signed JWT doesn't contain the claims that were passed".into());
    }
    println!("sign_jwt: signature and claims verified with the account's key {}", jwt.key_id());
    Ok(())
}

/// Calls another API, through its own generated client with the layer.
async fn other_api(setup: Setup) -> Result<(), Failure> {
    let acting = setup
        .client
        .impersonate(&setup.target)
        .lifetime(Duration::from_secs(600))
        .access_token([CLOUD_PLATFORM, USERINFO_EMAIL])?;
    let target = setup.target.clone();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let guarded = HealthServer::new(Guarded(setup));
    let server = Server::builder().add_service(guarded).serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    let channel = Channel::from_shared(endpoint)?.connect_lazy();

    let outcome = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    let status = outcome.err().ok_or("the health service accepted a call without a token")?;
    println!("health service, called without the layer: {:?}", status.code());

    let channel = ServiceBuilder::new().layer(acting.layer()).service(channel);
    let reply = HealthClient::new(channel).check(HealthCheckRequest { service: target.clone() }).await?;
    if reply.into_inner().status() != ServingStatus::Serving {
        return Err("the health service isn't serving".into());
    }
    println!("health service, called with the layer: OK, as {target}");
    Ok(())
}

/// The standard health service. Callers must send a token of the account that they ask about.
struct Guarded(Setup);

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

fn validation(issuer: &str) -> Validation {
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&[issuer]);
    rules
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
        // The URL may contain a token, so it isn't shown.
        return Err(format!("an HTTP request failed: {}", reply.status()).into());
    }
    Ok(reply.into_body().collect().await?.to_bytes())
}
