//! What callers see of an IAM outage of 75 s, of two kinds at once, on real sockets.
//!
//! ```text
//! cargo run --example outage
//! ```
//!
//! One service answers every call with 503 (`UNAVAILABLE`). The other is a black hole: it accepts
//! connections and never answers. After 75 s both are well again. Printed are the first success
//! after that, and how many calls and connections the outage cost.

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

/// How often somebody wants a token, and how long each waits for it at most.
const PERIOD: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    println!("an outage of {OUTAGE:?}, of two kinds");
    let (refused, silent) = tokio::join!(service_unavailable(), black_hole());
    println!("503 for {OUTAGE:?}: {}", refused?);
    println!("accepts, never answers, for {OUTAGE:?}: {}", silent?);
    Ok(())
}

async fn service_unavailable() -> Result<String, Failure> {
    let emulator = Emulator::builder().start().await?;
    emulator.inject(Fault::status(Code::Unavailable, "an outage"));
    let acting = acting(emulator.endpoint())?;
    let seen = watch(&acting, || emulator.clear_faults()).await?;
    Ok(format!("{seen}, {} calls, {} connections", emulator.journal().len(), emulator.connections()))
}

async fn black_hole() -> Result<String, Failure> {
    let emulator = Emulator::builder().start().await?;
    let front = TcpListener::bind("127.0.0.1:0").await?;
    let acting = acting(&format!("http://{}", front.local_addr()?))?;
    let (well, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (now_well, counted) = (Arc::clone(&well), Arc::clone(&connections));
    let address = emulator.address();
    tokio::spawn(async move {
        while let Ok((near, _)) = front.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(carry(near, now_well.load(Ordering::Relaxed).then_some(address)));
        }
    });
    let seen = watch(&acting, || well.store(true, Ordering::Relaxed)).await?;
    let connections = connections.load(Ordering::Relaxed);
    Ok(format!("{seen}, {} calls answered, {connections} connections", emulator.journal().len()))
}

/// Leads a connection to a server, or swallows all that comes for as long as it lasts.
async fn carry(mut near: TcpStream, to: Option<std::net::SocketAddr>) -> std::io::Result<()> {
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

/// Wants a token again and again: through the outage, and until the first success after it.
async fn watch(acting: &Credentials, end: impl FnOnce()) -> Result<String, Failure> {
    let start = Instant::now();
    let callers = async {
        let (mut callers, mut longest) = (0_u32, Duration::ZERO);
        loop {
            let asked = Instant::now();
            let outcome = timeout(PATIENCE, acting.token()).await;
            (callers, longest) = (callers + 1, longest.max(asked.elapsed()));
            match outcome {
                Ok(Ok(_)) if start.elapsed() < OUTAGE => return Err("a token came out of the outage".into()),
                Ok(Ok(_)) => {
                    let late = start.elapsed() - OUTAGE;
                    return Ok(format!(
                        "first success {late:.2?} after recovery; {callers} callers, the longest waited {longest:.2?}"
                    ));
                }
                Ok(Err(error)) if !error.is_transient() => return Err(Failure::from(error)),
                _ if start.elapsed() > 3 * OUTAGE => return Err("no recovery".into()),
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
