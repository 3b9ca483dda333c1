//! A server in another process, so that its work is not the client's.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::{env, io};

use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::grpc_reply::success_framed;
use super::{BoxError, TOKEN_BYTES_ARGUMENT, constant_reply};

/// The argument with which a benchmark starts its server.
pub(crate) const SERVE: &str = "--serve";

/// This program again, in another process, as the server.
pub(crate) struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    pub(crate) fn start(token_bytes: usize) -> Result<Self, BoxError> {
        let mut process = Command::new(env::current_exe()?)
            .args([SERVE, TOKEN_BYTES_ARGUMENT, &token_bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut address)?;
        }
        Ok(Self { process, endpoint: format!("http://{}", address.trim()) })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What this program does in that other process.
    pub(crate) fn serve(token_bytes: usize) -> Result<(), BoxError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(token_bytes))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its standard input ends the server; it has nothing to lose anyway.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Answers every request with the constant reply, until standard input ends.
async fn serve(token_bytes: usize) -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let reply = constant_reply(token_bytes);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let reply = reply.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let reply = reply.clone();
                async move {
                    // The reply follows the whole request; a broken one has nobody to answer.
                    let _ = request.into_body().collect().await;
                    Ok::<_, Infallible>(success_framed(reply))
                }
            });
            // A connection that breaks is the client's to notice.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}
