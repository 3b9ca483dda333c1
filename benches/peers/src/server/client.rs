//! The server's process, from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::{Mode, SERVE};
use crate::BoxError;

/// The paths that are for the measurement, not for the peers.
pub const CONTROL: &str = "/control/";

/// A server process. Dropping it ends it; so does the end of the process that started it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
}

/// What the server has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Connections with at least one request.
    pub connections: u64,
    /// The connections among them that carried a mint.
    pub mint_connections: u64,
    /// Calls of `generateAccessToken`.
    pub mints: u64,
    /// Requests to the token endpoint.
    pub source_tokens: u64,
}

impl Server {
    /// Starts a server.
    pub fn start() -> Result<Self, BoxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().map_err(|_| "the server did not start")?;
        Ok(Self { child, port })
    }

    /// Returns the server's origin.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what the server has seen since it started.
    pub fn counts(&self) -> Result<Counts, BoxError> {
        let text = self.control("counts")?;
        let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [connections, mint_connections, mints, source_tokens] = numbers[..] else {
            return Err(format!("the server counted `{text}`").into());
        };
        Ok(Counts { connections, mint_connections, mints, source_tokens })
    }

    /// Changes how the server answers.
    pub fn set_mode(&self, mode: Mode) -> Result<(), BoxError> {
        self.control(&format!("mode/{}", mode.name())).map(drop)
    }

    /// Changes the life of the tokens that follow, in seconds.
    pub fn set_lifetime(&self, seconds: u64) -> Result<(), BoxError> {
        self.control(&format!("lifetime/{seconds}")).map(drop)
    }

    fn control(&self, what: &str) -> Result<String, BoxError> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(stream, "GET {CONTROL}{what} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        let (head, body) = reply.split_once("\r\n\r\n").ok_or("the server's reply has no end")?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("the server refused `{what}`").into());
        }
        // The body has its length, or is one chunk.
        Ok(body.lines().rev().find(|line| line.contains(' ')).unwrap_or_default().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
