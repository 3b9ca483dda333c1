//! The sockets that the broker listens on.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use gcp_iam_credentials::broker::{BrokerServer, BrokerServerBuilder, ServerTls, Socket};

use super::watched::WatchedFiles;
use crate::chain::account;
use crate::failure::Failure;

/// The sockets that the broker listens on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sockets")]
pub(super) struct SocketArguments {
    /// A loopback address for processes of this machine; with =ACCOUNT, all its clients act as that account
    #[arg(long, value_name = "ADDRESS[=ACCOUNT]", value_parser = loopback)]
    loopback: Vec<Of<SocketAddr>>,
    /// A Unix socket for processes of this user; with =ACCOUNT as above
    #[cfg(unix)]
    #[arg(long, value_name = "PATH[=ACCOUNT]", value_parser = unix)]
    unix: Vec<Of<PathBuf>>,
    /// A Unix socket for processes of all users; with =ACCOUNT as above
    #[cfg(unix)]
    #[arg(long, value_name = "PATH[=ACCOUNT]", value_parser = unix)]
    unix_for_all: Vec<Of<PathBuf>>,
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

/// The address of a socket, and the account of all its clients, if there is one.
#[derive(Clone, Debug)]
struct Of<P> {
    place: P,
    account: Option<String>,
}

impl<P> Of<P> {
    /// Returns the socket that `make` makes at this place.
    fn socket(&self, make: impl FnOnce(&P) -> Socket) -> Socket {
        let socket = make(&self.place);
        match &self.account {
            Some(account) => socket.acting_as(account),
            None => socket,
        }
    }

    /// Writes where it is, and whose it is.
    fn announce(&self, out: &mut impl Write, place: impl fmt::Display) -> io::Result<()> {
        match &self.account {
            Some(account) => writeln!(out, "listening on {place} for {account}"),
            None => writeln!(out, "listening on {place}"),
        }
    }
}

impl SocketArguments {
    /// Returns a builder with the sockets, and the files of TLS.
    pub(super) fn of(
        &self,
        mut builder: BrokerServerBuilder,
    ) -> Result<(BrokerServerBuilder, TlsFiles), Failure> {
        for of in &self.loopback {
            builder = builder.listen(of.socket(|address| Socket::loopback(*address)));
        }
        #[cfg(unix)]
        {
            for of in &self.unix {
                builder = builder.listen(of.socket(|path| Socket::unix(path)));
            }
            for of in &self.unix_for_all {
                builder = builder.listen(of.socket(|path| Socket::unix(path).for_all_users()));
            }
        }
        let (tls, first) = TlsFiles::open([&self.tls_certificate, &self.tls_key, &self.tls_client_ca])?;
        if let Some(first) = first {
            for address in &self.tls {
                builder = builder.listen(Socket::tls(*address, first.clone()));
            }
        }
        for address in &self.operations {
            builder = builder.listen(Socket::operations(*address));
        }
        if let Some(project) = &self.project {
            builder = builder.project(project);
        }
        Ok((builder, tls))
    }

    /// Says where the broker listens, as the arguments to use: ports that were free are filled in.
    pub(super) fn announce(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let mut addresses = addresses.iter();
        for of in &self.loopback {
            let Some(address) = addresses.next() else { break };
            of.announce(&mut out, address)?;
        }
        #[cfg(unix)]
        for of in self.unix.iter().chain(&self.unix_for_all) {
            of.announce(&mut out, of.place.display())?;
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
fn loopback(text: &str) -> Result<Of<SocketAddr>, String> {
    let (address, name) = match text.split_once('=') {
        Some((address, name)) => (address, Some(name)),
        None => (text, None),
    };
    let place = address.parse().map_err(|_| "expected an address such as 127.0.0.1:8096".to_owned())?;
    Ok(Of { place, account: name.map(account).transpose()? })
}

/// Reads a path, and the account after the last `=`, if it is one: a path may contain that sign, too.
#[cfg(unix)]
fn unix(text: &str) -> Result<Of<PathBuf>, String> {
    let named = text.rsplit_once('=').and_then(|(path, name)| Some((path, account(name).ok()?)));
    Ok(match named {
        Some((path, account)) => Of { place: path.into(), account: Some(account) },
        None => Of { place: text.into(), account: None },
    })
}

/// The files of TLS: certificate, key, and authorities of clients.
#[derive(Debug)]
pub(super) struct TlsFiles(Option<WatchedFiles>);

impl TlsFiles {
    fn open(paths: [&Option<PathBuf>; 3]) -> Result<(Self, Option<ServerTls>), Failure> {
        let Some(paths) = paths.into_iter().cloned().collect::<Option<Vec<_>>>() else {
            return Ok((Self(None), None));
        };
        let files = WatchedFiles::open(paths).map_err(|(path, error)| Failure::input(&path, &error))?;
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
