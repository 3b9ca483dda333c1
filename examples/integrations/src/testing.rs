//! What the tests share: the emulator, credentials of an account in it, and a server that records
//! requests.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::source::{BoxFuture, FetchRequest, SourceInfo, TokenKind};
use gcp_iam_credentials::{Credentials, Error, IamCredentialsClient, Impersonation, Token, TokenSource};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

pub(crate) const ACCOUNT: &str = "robot@project.iam.gserviceaccount.com";

/// The emulator, and a client of it.
pub(crate) struct Google {
    pub(crate) emulator: Emulator,
    pub(crate) client: IamCredentialsClient,
}

impl Google {
    pub(crate) async fn start() -> Self {
        let emulator = Emulator::builder().start().await.unwrap();
        let source = Credentials::fixed(Token::new("source", None).unwrap());
        let client = IamCredentialsClient::builder().credentials(source);
        let client = client.endpoint(emulator.endpoint()).build().unwrap();
        Self { emulator, client }
    }

    pub(crate) fn robot(&self) -> Impersonation {
        self.client.impersonate(ACCOUNT)
    }

    /// Returns credentials with a quota project, in another universe.
    pub(crate) fn billed(&self) -> Credentials {
        Credentials::from_source(Elsewhere)
    }

    /// Returns whose access token it is, with its scopes.
    pub(crate) fn owner(&self, token: &str) -> Option<(String, Vec<String>)> {
        let token = self.emulator.verify_access_token(token)?;
        let owner = token.principal().strip_prefix("serviceAccount:")?;
        Some((owner.to_owned(), token.scopes().to_vec()))
    }
}

#[derive(Debug)]
struct Elsewhere;

impl TokenSource for Elsewhere {
    fn fetch<'a>(&'a self, _: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async { Token::new("token", None) })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new()
            .with_token_kind(TokenKind::AccessToken)
            .with_universe_domain("elsewhere.example")
            .with_quota_project("billing")
    }
}

/// A request without its body.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

/// An HTTP server on loopback. It stops with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
}

impl Server {
    /// Starts a server that gives the same reply to all requests.
    pub(crate) async fn always(reply: Response<&'static str>) -> Self {
        Self::start(move |_| reply.clone().map(str::to_owned)).await
    }

    pub(crate) async fn start(
        reply: impl Fn(&Recorded) -> Response<String> + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (parts, _) = request.into_parts();
            let recorded = Recorded { path: parts.uri.path().to_owned(), headers: parts.headers };
            let reply = reply(&recorded).map(|text| Full::new(Bytes::from(text)));
            log.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
            std::future::ready(Ok::<_, Infallible>(reply))
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service.clone()));
            }
        });
        Self { url, requests }
    }

    /// Returns the requests since the last call.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) fn reply(status: StatusCode) -> Response<&'static str> {
    let mut reply = Response::new("");
    *reply.status_mut() = status;
    reply
}

/// Returns whether a URL of Cloud Storage is signed by the account for a request with this method and
/// these headers. It reads all from the URL, as Cloud Storage does.
pub(crate) fn is_signed(google: &Google, method: &Method, url: &str, headers: &[(&str, &str)]) -> bool {
    let uri: Uri = url.parse().unwrap();
    let (query, signature) = uri.query().unwrap().split_once("&X-Goog-Signature=").unwrap();
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        decoded(pairs.into_iter().find(|(key, _)| *key == name).unwrap().1)
    };
    let credential = value("X-Goog-Credential");
    let (account, scope) = credential.split_once('/').unwrap();
    let names = value("X-Goog-SignedHeaders");
    let host = ("host", uri.host().unwrap());
    let mut request = format!("{method}\n{}\n{query}\n", uri.path());
    for name in names.split(';') {
        let header = headers.iter().chain([&host]).find(|(header, _)| *header == name);
        let Some((_, value)) = header else { return false };
        writeln!(request, "{name}:{value}").unwrap();
    }
    write!(request, "\n{names}\nUNSIGNED-PAYLOAD").unwrap();
    let hash = Sha256::digest(request.as_bytes())
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let text = format!("GOOG4-RSA-SHA256\n{}\n{scope}\n{hash}", value("X-Goog-Date"));
    account == ACCOUNT && google.emulator.verify_blob(account, text.as_bytes(), &bytes(signature))
}

/// Decodes hexadecimal digits.
fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Decodes percent-encoded ASCII.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &char::from(bytes(&part[..2])[0]).to_string() + &part[2..])
}
