//! `iamcreds emulator`: runs the emulator until a signal stops it.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use gcp_iam_credentials::emulator::{CertificateAuthority, Emulator, EmulatorBuilder, Policy};

/// How long requests in progress may take after a signal: 5 s.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

type Failure = Box<dyn Error + Send + Sync>;

/// Runs an emulator of the API, for tests in any language.
///
/// Prints its URL and the environment variable to set. Its port serves plaintext and TLS. Stops on SIGINT or SIGTERM, after the replies to
/// requests in progress. A second signal stops it at once.
/// GET /emulator/ lists the pages that control it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The address to listen on, or a host name and a port; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8095", value_parser = resolve)]
    listen: SocketAddr,
    /// The URL that clients use, if it differs from the address: http://emulator:8095
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// A host under which clients reach the emulator, besides loopback, the address and the public URL
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// The policy file; without a policy, any bearer token has all permissions
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print an https URL, and write it into credential files
    #[arg(long)]
    tls: bool,
    /// The file for the certificate of the certificate authority, in PEM; clients over TLS must trust it
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,
    /// The file that keeps the certificate authority with its key between runs; made if it doesn't exist
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The level of the log on standard error; info has one line per request
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: Level,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    const fn filter(self) -> Option<tracing::Level> {
        match self {
            Self::Off => None,
            Self::Error => Some(tracing::Level::ERROR),
            Self::Warn => Some(tracing::Level::WARN),
            Self::Info => Some(tracing::Level::INFO),
            Self::Debug => Some(tracing::Level::DEBUG),
            Self::Trace => Some(tracing::Level::TRACE),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(level) = arguments.log.filter() {
        tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the emulator starts, so that an early signal isn't lost.
        let mut signals = StopSignals::new()?;
        let emulator = start(arguments).await?;
        announce(&emulator)?;
        signals.next().await;
        tokio::select! {
            () = emulator.stop(STOP_PATIENCE) => {}
            () = signals.next() => {}
        }
        Ok(())
    })
}

async fn start(arguments: &Arguments) -> Result<Emulator, Failure> {
    let mut builder = Emulator::builder().address(arguments.listen);
    if let Some(path) = &arguments.policy {
        let text = fs::read_to_string(path).map_err(|error| in_file(path, &error))?;
        builder = builder.policy(Policy::from_json(&text).map_err(|error| in_file(path, &error))?);
    }
    if arguments.tls {
        builder = builder.tls();
    }
    if let Some(path) = &arguments.ca {
        builder = builder.certificate_authority(kept_authority(path)?);
    }
    if let Some(url) = &arguments.public_url {
        builder = builder.public_url(url);
    }
    builder = arguments.allow_host.iter().fold(builder, EmulatorBuilder::allow_host);
    let emulator = builder.start().await?;
    if let Some(path) = &arguments.ca_out {
        fs::write(path, emulator.ca_pem()).map_err(|error| in_file(path, &error))?;
    }
    Ok(emulator)
}

/// Returns the address of a host and a port. If the host has several addresses, IPv4 is preferred.
fn resolve(listen: &str) -> Result<SocketAddr, String> {
    let addresses: Vec<SocketAddr> = listen.to_socket_addrs().map_err(|error| error.to_string())?.collect();
    let ipv4 = addresses.iter().find(|address| address.is_ipv4());
    ipv4.or(addresses.first()).copied().ok_or_else(|| "the host has no address".to_owned())
}

/// Returns the certificate authority in a file. If there is no file, makes an authority and the file.
fn kept_authority(path: &Path) -> Result<CertificateAuthority, Failure> {
    match secret_file().create_new(true).open(path) {
        Ok(mut file) => {
            let authority = CertificateAuthority::generate()?;
            file.write_all(authority.to_pem().as_bytes()).map_err(|error| in_file(path, &error))?;
            Ok(authority)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let pem = fs::read_to_string(path).map_err(|error| in_file(path, &error))?;
            CertificateAuthority::from_pem(&pem).map_err(|error| in_file(path, &error))
        }
        Err(error) => Err(in_file(path, &error)),
    }
}

/// Returns the options to write a file that only this user can read.
fn secret_file() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn announce(emulator: &Emulator) -> io::Result<()> {
    let address = emulator.address();
    if !address.ip().is_loopback() {
        eprintln!(
            "iamcreds: {address} is not loopback: everyone who can reach it can get tokens and change the policy"
        );
    }
    // In this variable, a host without a scheme means plaintext.
    let host = emulator.endpoint().trim_start_matches("http://");
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {}", emulator.endpoint())?;
    writeln!(out, "export IAM_CREDENTIALS_EMULATOR_HOST={host}")?;
    out.flush()
}

fn in_file(path: &Path, error: &dyn Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // If the handler fails, the signal ends the process.
        let _ = tokio::signal::ctrl_c().await;
    }
}
