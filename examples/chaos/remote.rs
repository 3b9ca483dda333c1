//! The server process, as the first process sees it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::Failure;
use crate::arguments::ServerArguments;
use crate::journal::Summary;
use crate::log::Log;
use crate::random::Random;
use crate::server::USER;

/// How long a command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ports from which those of the server are picked. Systems don't pick from them for clients, so a
/// restarted server finds its port free.
const FIRST_PORT: u64 = 18_000;
const PORTS: u64 = 12_000;

/// The server process.
pub(crate) struct Remote {
    arguments: ServerArguments,
    process: Option<Process>,
    control: Client<HttpConnector, Full<Bytes>>,
    log: Arc<Log>,
    /// Contains the journal.
    _folder: tempfile::TempDir,
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Remote {
    pub(crate) async fn start(random: &mut Random, log: Arc<Log>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let arguments = ServerArguments {
            iam_port: free_port(random),
            api_port: free_port(random),
            journal: folder.path().join("journal"),
        };
        let control = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        let mut remote = Self { arguments, process: None, control, log, _folder: folder };
        remote.restart().await?;
        Ok(remote)
    }

    pub(crate) fn iam_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.arguments.iam_port)
    }

    pub(crate) fn api_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.arguments.api_port)
    }

    /// Starts the process, and returns when it serves.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        let mut child = tokio::process::Command::new(std::env::current_exe()?)
            .args(self.arguments.as_command_line())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let taken = "the process has no standard streams";
        let input = child.stdin.take().ok_or(taken)?;
        let output = BufReader::new(child.stdout.take().ok_or(taken)?).lines();
        tokio::spawn(search(child.stderr.take().ok_or(taken)?, Arc::clone(&self.log)));
        let mut process = Process { child, input, output };
        process.expect("ready").await?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills the process.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut process) = self.process.take() {
            process.child.kill().await?;
        }
        Ok(())
    }

    /// Stops the process without ending it (`STOP`), or lets it go on (`CONT`).
    pub(crate) async fn signal(&self, name: &str) -> Result<(), Failure> {
        let id = self.process.as_ref().and_then(|process| process.child.id()).ok_or("no process")?;
        let sent = tokio::process::Command::new("kill").args(["-s", name, &id.to_string()]).status().await?;
        if sent.success() { Ok(()) } else { Err(format!("kill -s {name} failed").into()) }
    }

    /// Sends a line to the process: `reject` or `accept`.
    pub(crate) async fn command(&mut self, line: &str) -> Result<(), Failure> {
        let process = self.process.as_mut().ok_or("no process")?;
        process.input.write_all(format!("{line}\n").as_bytes()).await?;
        process.expect("done").await
    }

    /// Sends a request to a control page of the emulator.
    pub(crate) async fn control(&self, method: Method, page: &str, body: &Value) -> Result<Value, Failure> {
        let request =
            Request::builder().method(method).uri(format!("{}/emulator/{page}", self.iam_endpoint()));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let exchange = async {
            let reply = self.control.request(request.body(Full::from(body))?).await?;
            let status = reply.status();
            let text = reply.into_body().collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&text).into_owned();
            if status.is_success() { Ok(serde_json::from_str(&text)?) } else { Err(Failure::from(text)) }
        };
        timeout(PATIENCE, exchange).await?
    }

    /// Returns the credential file of the user who may act as the targets.
    pub(crate) async fn user_file(&self) -> Result<String, Failure> {
        let page = format!("fixtures/authorized_user/{USER}");
        Ok(self.control(Method::GET, &page, &Value::Null).await?.to_string())
    }

    /// Ends the process and reads its journal.
    pub(crate) async fn stop(&mut self) -> Result<Summary, Failure> {
        self.kill().await?;
        Ok(Summary::of(&tokio::fs::read_to_string(&self.arguments.journal).await?))
    }
}

impl Process {
    async fn expect(&mut self, expected: &str) -> Result<(), Failure> {
        match timeout(PATIENCE, self.output.next_line()).await?? {
            Some(line) if line == expected => Ok(()),
            other => Err(format!("the server process printed {other:?}, not {expected:?}").into()),
        }
    }
}

/// Searches what the process logs for secrets and panics.
async fn search(output: impl AsyncRead + Unpin, log: Arc<Log>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.search(&line);
        if line.contains("panicked at") {
            log.note_panic("the server process", &line);
        }
    }
}

fn free_port(random: &mut Random) -> u16 {
    loop {
        let port = (FIRST_PORT + random.within(0..PORTS)) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
