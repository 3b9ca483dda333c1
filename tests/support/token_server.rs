//! A scripted OAuth token endpoint on a socket.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::accounts::USER;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What the endpoint does with one request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// The token `minted-N`, where N is its number, with this lifetime in seconds.
    Token(u64),
    /// This status, headers and body.
    Http(u16, Vec<(&'static str, String)>, String),
    /// What this says about the form that was sent.
    Decide(Arc<dyn Fn(&str) -> Answer + Send + Sync>),
    /// The head of a reply and the start of its body, then the end of the connection.
    Break,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Http(status, Vec::new(), String::new())
    }

    pub(crate) fn body(status: u16, body: &str) -> Self {
        Self::Http(status, Vec::new(), body.to_owned())
    }
}

/// Gives its answers in order, the last one for ever.
#[derive(Clone)]
pub(crate) struct TokenServer {
    inner: Arc<Inner>,
}

struct Inner {
    address: std::net::SocketAddr,
    answers: Mutex<VecDeque<Answer>>,
    forms: Mutex<Vec<String>>,
    heads: Mutex<Vec<HeaderMap>>,
    connections: AtomicUsize,
    tokens: AtomicUsize,
    keep_alive: bool,
}

impl TokenServer {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_with(answers, true).await
    }

    /// Starts an endpoint that closes each connection after one reply, unless `keep_alive` is set.
    pub(crate) async fn start_with(answers: impl IntoIterator<Item = Answer>, keep_alive: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            address: listener.local_addr().unwrap(),
            answers: Mutex::new(answers.into_iter().collect()),
            forms: Mutex::default(),
            heads: Mutex::default(),
            connections: AtomicUsize::new(0),
            tokens: AtomicUsize::new(0),
            keep_alive,
        };
        let server = Self { inner: Arc::new(inner) };
        let accepting = server.clone();
        // It has its own thread, because tests end their runtimes.
        let listener = listener.into_std().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { accepting.accept(TcpListener::from_std(listener).unwrap()).await });
        });
        server
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            self.inner.connections.fetch_add(1, Ordering::SeqCst);
            let server = self.clone();
            tokio::spawn(async move {
                let keep_alive = server.inner.keep_alive;
                let service = hyper::service::service_fn(move |request| server.clone().handle(request));
                let mut builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.keep_alive(keep_alive).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    }

    async fn handle(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        self.inner.heads.lock().unwrap().push(head.headers);
        let form = body.collect().await.unwrap().to_bytes();
        let form = String::from_utf8(form.to_vec()).unwrap();
        self.inner.forms.lock().unwrap().push(form.clone());
        let answer = {
            let mut answers = self.inner.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        };
        let whole = |text: String| Full::from(text).map_err(|never| match never {}).boxed_unsync();
        let answer = match answer.expect("a script with an answer") {
            Answer::Decide(decide) => decide(&form),
            answer => answer,
        };
        Ok(match answer {
            Answer::Decide(_) => unreachable!("a decision isn't another one"),
            Answer::Token(lifetime) => {
                let number = self.inner.tokens.fetch_add(1, Ordering::SeqCst) + 1;
                let body = format!(
                    r#"{{"access_token":"minted-{number}","expires_in":{lifetime},"token_type":"Bearer"}}"#
                );
                Response::new(whole(body))
            }
            Answer::Http(status, headers, body) => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(whole(body)).unwrap()
            }
            Answer::Break => {
                let frames = [
                    Ok(Frame::data(Bytes::from_static(b"{\"access_token\":"))),
                    Err(std::io::Error::other("broken")),
                ];
                Response::new(BodyExt::boxed_unsync(StreamBody::new(tokio_stream::iter(frames))))
            }
        })
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.inner.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.inner.address)
    }

    /// Returns the forms that arrived, in order.
    pub(crate) fn forms(&self) -> Vec<String> {
        self.inner.forms.lock().unwrap().clone()
    }

    /// Returns the headers that arrived, in order.
    pub(crate) fn heads(&self) -> Vec<HeaderMap> {
        self.inner.heads.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.inner.forms.lock().unwrap().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// Returns the credential file of a user of this endpoint.
    pub(crate) fn user(&self) -> String {
        serde_json::json!({
            "type": "authorized_user",
            "account": USER,
            "client_id": "client-id",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "token_uri": self.url(),
        })
        .to_string()
    }
}

pub(crate) const CLIENT_SECRET: &str = "client-secret-that-must-stay-secret";
pub(crate) const REFRESH_TOKEN: &str = "1//refresh-token-that-must-stay-secret";
