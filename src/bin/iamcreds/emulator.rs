//! `iamcreds emulator`: runs the emulator until a signal stops it.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gcp_iam_credentials::emulator::{CertificateAuthority, Emulator, EmulatorBuilder, Policy};
use tokio::sync::oneshot;

use crate::failure::{Exit, Failure};
use crate::interrupt::StopSignals;
use crate::output::secret_file;

/// How long requests in progress may take after a signal: 5 s.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  iamcreds emulator
  iamcreds emulator --listen 127.0.0.1:0 --policy policy.json -v
  iamcreds emulator --listen 0.0.0.0:8095 --public-url http://emulator:8095 --ca-out ca.pem";

/// Runs an emulator of the API, for tests in any language.
///
/// Prints its URL and the environment variable to set. Its port serves plaintext and TLS. Stops on SIGINT or SIGTERM, after the replies to
/// requests in progress. A second signal stops it at once.
/// GET /emulator/ lists the pages that control it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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
    /// Stop when standard input ends: with the program that started the emulator, even if that is killed
    #[arg(long)]
    until_stdin_ends: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the emulator starts, so that an early signal isn't lost.
        let mut signals = StopSignals::new()?;
        let emulator = start(arguments).await?;
        announce(&emulator)?;
        tokio::select! {
            _ = signals.next() => {}
            () = end_of_stdin(), if arguments.until_stdin_ends => {}
        }
        tokio::select! {
            () = emulator.stop(STOP_PATIENCE) => {}
            _ = signals.next() => {}
        }
        Ok(())
    })
}

async fn start(arguments: &Arguments) -> Result<Emulator, Failure> {
    let mut builder = Emulator::builder().address(arguments.listen);
    if let Some(path) = &arguments.policy {
        let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
        builder = builder.policy(Policy::from_json(&text).map_err(|error| Failure::file(path, &error))?);
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
    let emulator = builder.start().await.map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
    if let Some(path) = &arguments.ca_out {
        fs::write(path, emulator.ca_pem()).map_err(|error| Failure::file(path, &error))?;
    }
    Ok(emulator)
}

/// Waits until standard input ends. The thread that reads it doesn't keep the process from ending.
async fn end_of_stdin() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        // What is written to it has no meaning. A failure is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
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
            let authority = CertificateAuthority::generate().map_err(|error| Failure::file(path, &error))?;
            file.write_all(authority.to_pem().as_bytes()).map_err(|error| Failure::file(path, &error))?;
            Ok(authority)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let pem = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
            CertificateAuthority::from_pem(&pem).map_err(|error| Failure::file(path, &error))
        }
        Err(error) => Err(Failure::file(path, &error)),
    }
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
