//! The sockets that the broker listens on.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use gcp_iam_credentials::broker::{BrokerServer, BrokerServerBuilder, ServerTls};

use super::watched::{WatchedFiles, unusable};
use crate::chain::account;
use crate::failure::Failure;

/// Where the broker listens.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sockets")]
pub(super) struct SocketArguments {
    /// A loopback address for processes of this machine; with =ACCOUNT, all its clients act as that account
    #[arg(long, value_name = "ADDRESS[=ACCOUNT]", value_parser = loopback)]
    loopback: Vec<Loopback>,
    /// A Unix socket for processes of this user
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    unix: Vec<PathBuf>,
    /// A Unix socket for processes of all users
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    unix_for_all: Vec<PathBuf>,
    /// An address for clients with certificates
    #[arg(long, value_name = "ADDRESS", requires_all = ["tls_certificate", "tls_key", "tls_client_ca"])]
    tls: Vec<SocketAddr>,
    /// The certificate chain that the broker shows, in PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_key: Option<PathBuf>,
    /// The certificate authorities of the clients, in PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_client_ca: Option<PathBuf>,
    /// An address that only has /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS")]
    operations: Vec<SocketAddr>,
    /// The project that metadata servers say they are in; default: that of the account
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

#[derive(Clone, Debug)]
struct Loopback {
    address: SocketAddr,
    account: Option<String>,
}

impl SocketArguments {
    /// Returns a builder with the sockets, and the files of TLS.
    pub(super) fn of(
        &self,
        mut builder: BrokerServerBuilder,
    ) -> Result<(BrokerServerBuilder, TlsFiles), Failure> {
        for Loopback { address, account } in &self.loopback {
            builder = match account {
                Some(account) => builder.loopback_for(*address, account),
                None => builder.loopback(*address),
            };
        }
        #[cfg(unix)]
        {
            builder = self.unix.iter().fold(builder, BrokerServerBuilder::unix_socket);
            builder = self.unix_for_all.iter().fold(builder, BrokerServerBuilder::unix_socket_for_all);
        }
        let (tls, first) = TlsFiles::open([&self.tls_certificate, &self.tls_key, &self.tls_client_ca])?;
        if let Some(first) = first {
            builder = self.tls.iter().fold(builder, |builder, address| builder.tls(*address, first.clone()));
        }
        builder = self.operations.iter().fold(builder, |builder, address| builder.operations(*address));
        if let Some(project) = &self.project {
            builder = builder.project(project);
        }
        Ok((builder, tls))
    }

    /// Says where the broker listens, as the arguments to use: ports that were free are filled in.
    pub(super) fn announce(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let mut addresses = addresses.iter();
        for Loopback { account, .. } in &self.loopback {
            let Some(address) = addresses.next() else { break };
            match account {
                Some(account) => writeln!(out, "listening on {address} for {account}")?,
                None => writeln!(out, "listening on {address}")?,
            }
        }
        #[cfg(unix)]
        for path in self.unix.iter().chain(&self.unix_for_all) {
            writeln!(out, "listening on {}", path.display())?;
        }
        for address in addresses.by_ref().take(self.tls.len()) {
            writeln!(out, "listening on {address} with TLS")?;
        }
        for address in addresses {
            writeln!(out, "listening on {address} for operations")?;
        }
        out.flush()
    }
}

/// Reads an address, and the account after a `=`.
fn loopback(text: &str) -> Result<Loopback, String> {
    let (address, name) = match text.split_once('=') {
        Some((address, name)) => (address, Some(name)),
        None => (text, None),
    };
    let address = address.parse().map_err(|_| "expected an address such as 127.0.0.1:8096".to_owned())?;
    Ok(Loopback { address, account: name.map(account).transpose()? })
}

/// The files of TLS: certificate, key, and authorities of clients.
#[derive(Debug)]
pub(super) struct TlsFiles(Option<WatchedFiles>);

impl TlsFiles {
    fn open(paths: [&Option<PathBuf>; 3]) -> Result<(Self, Option<ServerTls>), Failure> {
        let Some(paths) = paths.into_iter().cloned().collect::<Option<Vec<_>>>() else {
            return Ok((Self(None), None));
        };
        let files = WatchedFiles::open(paths).map_err(|(path, error)| unusable(&path, &error))?;
        let tls = tls_of(&files)?;
        Ok((Self(Some(files)), Some(tls)))
    }

    /// Uses the files if they have changed. Those that can't be used are reported, and the ones before stay in use.
    pub(super) fn look(&mut self, server: &BrokerServer) {
        let Some(files) = &mut self.0 else { return };
        match files.changed() {
            Ok(false) => {}
            Ok(true) => match tls_of(files) {
                Ok(tls) => server.set_tls(&tls),
                Err(failure) => eprintln!("iamcreds: the certificate before stays in use: {failure}"),
            },
            Err((path, error)) => {
                eprintln!("iamcreds: the certificate before stays in use: {}: {error}", path.display());
            }
        }
    }
}

fn tls_of(files: &WatchedFiles) -> Result<ServerTls, Failure> {
    let [certificate, key, authorities] = files.contents() else {
        return Err(Failure::usage("TLS needs three files"));
    };
    Ok(ServerTls::new(certificate, key, authorities)?)
}
