//! Measures how callers recover from two outages of IAM, each 75 s long, on real sockets.
//!
//! ```text
//! cargo run --example outage
//! ```
//!
//! One service replies to every call with 503 (`UNAVAILABLE`). The other accepts connections and
//! never replies. After 75 s both work again. The example prints how long after that the first
//! token arrives, and how many calls and connections each outage caused.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault};
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
    println!("two outages of {OUTAGE:?} each");
    let (unavailable, silent) = tokio::join!(service_unavailable(), service_silent());
    println!("the service replied 503: {}", unavailable?);
    println!("the service never replied: {}", silent?);
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
    let front = TcpListener::bind("127.0.0.1:0").await?;
    let acting = acting(&format!("http://{}", front.local_addr()?))?;
    let (is_working, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (working, counted) = (Arc::clone(&is_working), Arc::clone(&connections));
    let address = emulator.address();
    tokio::spawn(async move {
        while let Ok((near, _)) = front.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(forward(near, working.load(Ordering::Relaxed).then_some(address)));
        }
    });
    let seen = watch(&acting, || is_working.store(true, Ordering::Relaxed)).await?;
    let connections = connections.load(Ordering::Relaxed);
    Ok(format!("{seen}, {} calls got a reply, {connections} connections", emulator.journal().entries().len()))
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
