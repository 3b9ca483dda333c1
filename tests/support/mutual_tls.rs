//! TLS in front of another server: it requires client certificates, and remembers those that it saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Forwards connections to a server without TLS.
pub(crate) struct MutualTls {
    port: u16,
    shown: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl MutualTls {
    /// `acceptor` must require client certificates.
    pub(crate) async fn start(target: SocketAddr, acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shown = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let seen = Arc::clone(&shown);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Ok(mut near) = acceptor.accept(socket).await else { return };
                    let certificate = near.get_ref().1.peer_certificates().unwrap()[0].to_vec();
                    seen.lock().unwrap().push(certificate);
                    let mut far = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { port, shown }
    }

    /// Returns the URL of `path` at this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Returns the certificates that clients showed, in DER form: one for each connection.
    pub(crate) fn shown(&self) -> Vec<Vec<u8>> {
        self.shown.lock().unwrap().clone()
    }
}
