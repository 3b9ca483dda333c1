//! Measures how callers recover from outages of IAM and of the Security Token Service (STS), each 75 s
//! long, on real sockets.
//!
//! ```text
//! cargo run --example outage
//! ```
//!
//! Two services reply to every request with 503. Two others accept connections and never reply. After
//! 75 s all work again. The example prints how long after that the first token arrives, and how many
//! requests and connections each outage caused. With STS, the token is that of an account that a
//! federated identity impersonates.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gcp_iam_credentials::emulator::{
    Emulator, ExternalAccount, ExternalAccountFile, Fault, IdentityProvider, Method, Policy,
    SubjectTokenSource,
};
use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

type Failure = Box<dyn Error + Send + Sync>;

const OUTAGE: Duration = Duration::from_secs(75);
const TARGET: &str = "target@project.iam.gserviceaccount.com";

/// The time between two callers, and how long each of them waits for a token.
const PERIOD: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    println!("four outages of {OUTAGE:?} each");
    let (iam_unavailable, iam_silent, sts_unavailable, sts_silent) =
        tokio::join!(service_unavailable(), service_silent(), sts_unavailable(), sts_silent());
    println!("IAM replied 503: {}", iam_unavailable?);
    println!("IAM never replied: {}", iam_silent?);
    println!("STS replied 503: {}", sts_unavailable?);
    println!("STS never replied: {}", sts_silent?);
    Ok(())
}

async fn service_unavailable() -> Result<String, Failure> {
    let emulator = Emulator::builder().start().await?;
    emulator.faults().inject(Fault::status(Code::Unavailable).message("an outage"));
    let acting = acting(emulator.endpoint())?;
    let seen = watch(&acting, || emulator.faults().clear_all()).await?;
    Ok(format!(
        "{seen}, {} calls, {} connections",
        emulator.journal().entries().len(),
        emulator.connections()
    ))
}

async fn service_silent() -> Result<String, Failure> {
    let emulator = Emulator::builder().start().await?;
    let front = Front::start(&emulator).await?;
    let acting = acting(&front.url)?;
    let seen = watch(&acting, || front.work()).await?;
    let calls = emulator.journal().entries().len();
    Ok(format!("{seen}, {calls} calls got a reply, {} connections", front.connections()))
}

async fn sts_unavailable() -> Result<String, Failure> {
    let emulator = with_identity_pool().await?;
    emulator.faults().inject(Fault::status(Code::Unavailable).message("an outage").method(Method::Token));
    let federated = federated(&emulator, emulator.endpoint())?;
    let seen = watch(&federated, || emulator.faults().clear_all()).await?;
    Ok(format!("{seen}, {} exchanges", emulator.journal().of_method(Method::Token).len()))
}

async fn sts_silent() -> Result<String, Failure> {
    let emulator = with_identity_pool().await?;
    let front = Front::start(&emulator).await?;
    let federated = federated(&emulator, &front.url)?;
    let seen = watch(&federated, || front.work()).await?;
    let exchanges = emulator.journal().of_method(Method::Token).len();
    Ok(format!("{seen}, {exchanges} exchanges got a reply, {} connections", front.connections()))
}

async fn with_identity_pool() -> Result<Emulator, Failure> {
    let pool = "projects/1/locations/global/workloadIdentityPools/ci";
    let provider = format!("{pool}/providers/github");
    let policy = Policy::new()
        .identity_provider(&provider, IdentityProvider::oidc("https://issuer.example"))
        .external_account("job", ExternalAccount::new(&provider))
        .grant(
            format!("principal://iam.googleapis.com/{pool}/subject/job"),
            "roles/iam.workloadIdentityUser",
            TARGET,
        );
    Ok(Emulator::builder().policy(policy).start().await?)
}

/// Returns credentials of the target, from a federated identity whose token service is at `sts`.
fn federated(emulator: &Emulator, sts: &str) -> Result<Credentials, Failure> {
    let options = ExternalAccountFile::new().source(SubjectTokenSource::GithubActions).impersonate(TARGET);
    let file = emulator.external_account_json("job", &options)?;
    let mut file: serde_json::Value = serde_json::from_str(&file)?;
    file["token_url"] = format!("{sts}/v1/token").into();
    Ok(Credentials::from_json(&file.to_string())?)
}

/// A listener in front of an emulator. It accepts connections, and forwards them once it works.
struct Front {
    url: String,
    is_working: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl Front {
    async fn start(emulator: &Emulator) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let front = Self { url, is_working: Arc::default(), connections: Arc::default() };
        let (working, counted) = (Arc::clone(&front.is_working), Arc::clone(&front.connections));
        let address = emulator.address();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(forward(near, working.load(Ordering::Relaxed).then_some(address)));
            }
        });
        Ok(front)
    }

    fn work(&self) {
        self.is_working.store(true, Ordering::Relaxed);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Forwards a connection to a server, or reads from it and never replies.
async fn forward(mut near: TcpStream, to: Option<std::net::SocketAddr>) -> std::io::Result<()> {
    match to {
        Some(address) => {
            let mut far = TcpStream::connect(address).await?;
            tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop)
        }
        None => {
            let mut sink = [0; 1024];
            while near.read(&mut sink).await? > 0 {}
            Ok(())
        }
    }
}

fn acting(endpoint: &str) -> Result<Credentials, Failure> {
    let source = Credentials::fixed(Token::new("anything", None)?);
    let client = IamCredentialsClient::builder().credentials(source).endpoint(endpoint).build()?;
    Ok(client.impersonate(TARGET).access_token([CLOUD_PLATFORM])?)
}

/// Asks for a token again and again: during the outage, and until the first success after it.
/// Calls `end` when the outage is over.
async fn watch(acting: &Credentials, end: impl FnOnce()) -> Result<String, Failure> {
    let start = Instant::now();
    let callers = async {
        let (mut callers, mut longest) = (0_u32, Duration::ZERO);
        loop {
            let asked = Instant::now();
            let outcome = timeout(PATIENCE, acting.token()).await;
            (callers, longest) = (callers + 1, longest.max(asked.elapsed()));
            match outcome {
                Ok(Ok(_)) if start.elapsed() < OUTAGE => {
                    return Err("there was a token during the outage".into());
                }
                Ok(Ok(_)) => {
                    let late = start.elapsed() - OUTAGE;
                    return Ok(format!(
                        "first token {late:.2?} after the outage; {callers} callers, the longest waited {longest:.2?}"
                    ));
                }
                Ok(Err(error)) if !error.is_transient() => return Err(Failure::from(error)),
                _ if start.elapsed() > 3 * OUTAGE => return Err("no token after the outage".into()),
                Ok(Err(_)) | Err(_) => sleep(PERIOD).await,
            }
        }
    };
    let recovery = async {
        sleep(OUTAGE).await;
        end();
    };
    tokio::join!(callers, recovery).0
}
