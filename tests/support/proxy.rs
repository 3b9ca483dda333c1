//! A proxy: tunnels by CONNECT, over plain HTTP or TLS, and SOCKS5, with or without a password. It
//! leads every name to one server, and counts the connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const USER: &str = "proxy-user";
pub(crate) const PASSWORD: &str = "proxy+pass/word";

/// How the proxy answers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Login {
    #[default]
    NotNeeded,
    Needed,
}

/// A running proxy. It runs until the runtime ends.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    /// Where all tunnels lead, whatever name was asked for.
    server: SocketAddr,
    login: Login,
    tls: Option<tokio_rustls::TlsAcceptor>,
    /// The names and ports that were asked for.
    destinations: Mutex<Vec<String>>,
    refused: Mutex<usize>,
    /// The user and password of each request for a tunnel.
    logins: Mutex<Vec<String>>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr, login: Login) -> Self {
        Self::start_with(server, login, None).await
    }

    /// Starts a proxy that speaks TLS, if `tls` is given.
    pub(crate) async fn start_with(
        server: SocketAddr,
        login: Login,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (destinations, refused, logins) = (Mutex::default(), Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { server, login, tls, destinations, refused, logins });
        let accepting = Arc::clone(&inner);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let inner = Arc::clone(&accepting);
                tokio::spawn(async move { inner.serve(socket).await });
            }
        });
        Self { address, inner }
    }

    /// Returns the proxy's URL with this scheme, and with the right user and password.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{USER}:{}@{}", PASSWORD.replace('/', "%2F"), self.address)
    }

    /// Returns the proxy's URL without user and password.
    pub(crate) fn url_without_login(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Returns the names and ports of all tunnels so far.
    pub(crate) fn destinations(&self) -> Vec<String> {
        self.inner.destinations.lock().unwrap().clone()
    }

    /// Returns the users and passwords that the proxy was given, with a colon between them.
    pub(crate) fn logins(&self) -> Vec<String> {
        self.inner.logins.lock().unwrap().clone()
    }

    /// Returns how many tunnels were refused, because of the user or the password.
    pub(crate) fn refused(&self) -> usize {
        *self.inner.refused.lock().unwrap()
    }
}

impl Inner {
    async fn serve(&self, socket: TcpStream) {
        match &self.tls {
            Some(acceptor) => {
                if let Ok(stream) = acceptor.accept(socket).await {
                    self.serve_stream(stream).await;
                }
            }
            None => self.serve_stream(socket).await,
        }
    }

    async fn serve_stream(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Ok(first) = stream.read_u8().await else { return };
        let destination = match first {
            5 => self.socks(&mut stream).await,
            _ => self.connect(&mut stream, first).await,
        };
        let Some(destination) = destination else { return };
        self.destinations.lock().unwrap().push(destination);
        let mut server = TcpStream::connect(self.server).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }

    async fn connect(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), first: u8) -> Option<String> {
        let mut head = vec![first];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let destination = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
        let login = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            value.strip_prefix("Basic ").filter(|_| name.eq_ignore_ascii_case("proxy-authorization"))
        });
        let login = login.map(|login| String::from_utf8(BASE64_STANDARD.decode(login).unwrap()).unwrap());
        if self.login == Login::Needed && !self.is_right(login.unwrap_or_default()) {
            *self.refused.lock().unwrap() += 1;
            let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n";
            stream.write_all(refusal).await.ok()?;
            return None;
        }
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
        Some(destination)
    }

    fn is_right(&self, login: String) -> bool {
        let is_right = login == format!("{USER}:{PASSWORD}");
        self.logins.lock().unwrap().push(login);
        is_right
    }

    /// Answers as RFC 1928 and 1929 say.
    async fn socks(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
        let methods = read_short_text(stream).await?;
        let method = if self.login == Login::Needed { 2 } else { 0 };
        if !methods.contains(&method) {
            *self.refused.lock().unwrap() += 1;
            stream.write_all(&[5, 0xff]).await.ok()?;
            return None;
        }
        stream.write_all(&[5, method]).await.ok()?;
        if method == 2 {
            stream.read_u8().await.ok()?;
            let (user, password) = (read_short_text(stream).await?, read_short_text(stream).await?);
            let login = [user, password].map(|text| String::from_utf8(text).unwrap()).join(":");
            let is_right = self.is_right(login);
            stream.write_all(&[1, u8::from(!is_right)]).await.ok()?;
            if !is_right {
                *self.refused.lock().unwrap() += 1;
                return None;
            }
        }
        let mut request = [0; 4];
        stream.read_exact(&mut request).await.ok()?;
        assert_eq!(request, [5, 1, 0, 3], "a connection to a name, which the proxy resolves");
        let name = read_short_text(stream).await?;
        let port = stream.read_u16().await.ok()?;
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
        Some(format!("{}:{port}", String::from_utf8(name).unwrap()))
    }
}

/// Reads a text of at most 255 bytes, after its length.
async fn read_short_text(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut text = vec![0; usize::from(stream.read_u8().await.ok()?)];
    stream.read_exact(&mut text).await.ok()?;
    Some(text)
}
