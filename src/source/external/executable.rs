//! A command as the source of subject tokens.

mod reply;

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use self::reply::Reply;
use super::format::MAX_SIZE;
use super::{SubjectToken, SubjectTokenKind, SubjectTokenSource};
use crate::Error;
use crate::source::child_process::Ended;
use crate::source::{BoxFuture, child_process, thread};

/// How many times a malformed output file is read: it may be half written.
const READS: u32 = 4;
/// The time between two reads.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs a command that prints the token, unless its output file has a token that is still valid.
pub(crate) struct ExecutableSource {
    /// It isn't run by a shell.
    pub(crate) program: Box<str>,
    /// They may contain a secret.
    pub(crate) arguments: Vec<String>,
    /// The variables that the command gets besides the program's own.
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) time_limit: Duration,
    /// The file in which the command keeps its replies, if it has one.
    pub(crate) output_file: Option<PathBuf>,
    /// Whether the tokens are SAML assertions.
    pub(crate) is_saml: bool,
    pub(crate) running: Running,
}

/// The run in progress, if there is one. A command may need more time than a fetch has.
pub(crate) type Running = Mutex<Option<Run>>;

/// A run of the command. Dropping it ends the command.
pub(crate) struct Run {
    ended: BoxFuture<'static, Result<io::Result<Option<Ended>>, Error>>,
    /// When the command's time is over.
    end: Instant,
}

impl ExecutableSource {
    /// Returns a token that isn't `refused`, from the output file if there is one, else from the
    /// command.
    async fn token(&self, refused: Option<&SubjectToken>, deadline: Instant) -> Result<SubjectToken, Error> {
        if let Some(file) = &self.output_file {
            let kept =
                self.kept(file, deadline).await?.and_then(|reply| reply.into_token(SystemTime::now()).ok());
            if let Some(token) = kept.filter(|token| Some(token) != refused) {
                return Ok(token);
            }
        }
        let ended = self.run(deadline).await?;
        let reply = match &self.output_file {
            Some(file) if ended.output.trim_ascii().is_empty() => self.kept(file, deadline).await?,
            _ => Some(self.parse(&ended.output).map_err(|problem| self.failure(&problem, false))?),
        };
        let reply = reply.ok_or_else(|| self.failure("printed nothing, and wrote no output file", false))?;
        reply.into_token(SystemTime::now()).map_err(|problem| self.failure(&problem, false))
    }

    /// Runs the command, or waits for the run that an earlier fetch had no time to wait for.
    async fn run(&self, deadline: Instant) -> Result<Ended, Error> {
        let mut running = self.running.lock().await;
        let now = Instant::now();
        // The output of a run that should have ended long ago may be old.
        let run = match running.take().filter(|run| run.end > now) {
            Some(run) => running.insert(run),
            None => running.insert(self.start(now)),
        };
        let end = run.end;
        let Ok(ended) = timeout_at(deadline.min(end), run.ended.as_mut()).await else {
            if Instant::now() < end {
                return Err(self.failure("hasn't ended yet, and goes on", true));
            }
            // Dropping the future ends the command.
            *running = None;
            return Err(
                self.failure(&format!("didn't end within {:?}, and was ended", self.time_limit), true)
            );
        };
        *running = None;
        self.check(ended?)
    }

    fn start(&self, now: Instant) -> Run {
        let mut command = Command::new(&*self.program);
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let ended =
            thread::run("executable", move |waiting| child_process::run(command, || waiting.has_ended()));
        Run { ended: Box::pin(ended), end: now + self.time_limit }
    }

    fn check(&self, ended: io::Result<Option<Ended>>) -> Result<Ended, Error> {
        match ended.map_err(|error| self.unusable(&error))? {
            None => Err(self.failure("was ended", true)),
            Some(Ended { status, .. }) if !status.success() => {
                Err(self.failure(&format!("failed ({status})"), true))
            }
            Some(Ended { is_cut: true, .. }) => {
                Err(self.failure(&format!("printed more than {MAX_SIZE} bytes"), false))
            }
            Some(ended) => Ok(ended),
        }
    }

    /// Returns the reply in the output file, if there is one.
    async fn kept(&self, file: &Path, deadline: Instant) -> Result<Option<Reply>, Error> {
        let mut reads = 0;
        loop {
            reads += 1;
            let path = file.to_owned();
            let content = timeout_at(deadline, thread::run("output-file", move |_| read(&path))).await;
            let content = content.unwrap_or_else(|_| Ok(Err(ErrorKind::TimedOut.into())));
            let problem = match content? {
                Ok(content) => match self.parse(&content) {
                    Ok(reply) => return Ok(Some(reply)),
                    Err(problem) => problem,
                },
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(self.output_failure(file, &format!("can't be read: {error}"))),
            };
            if reads == READS || Instant::now() + PAUSE >= deadline {
                return Err(self.output_failure(file, &problem));
            }
            sleep(PAUSE).await;
        }
    }

    fn parse(&self, content: &[u8]) -> Result<Reply, String> {
        Reply::parse(content, self.is_saml, self.output_file.is_some())
    }

    fn unusable(&self, error: &io::Error) -> Error {
        let permanent = [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::InvalidInput];
        self.failure(&format!("can't be run: {error}"), !permanent.contains(&error.kind()))
    }

    fn failure(&self, problem: &str, transient: bool) -> Error {
        let program = &self.program;
        let message = format!(
            "no subject token: the command {program} (credential_source.executable.command) {problem}"
        );
        Error::credentials(message, transient)
    }

    fn output_failure(&self, file: &Path, problem: &str) -> Error {
        let file = file.display();
        let message =
            format!("no subject token: the file {file} (credential_source.executable.output_file) {problem}");
        Error::credentials(message, false)
    }
}

/// Reads at most a little more than a reply may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_SIZE as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

impl SubjectTokenSource for ExecutableSource {
    fn fetch(&self, deadline: Instant) -> BoxFuture<'_, Result<SubjectToken, Error>> {
        Box::pin(self.token(None, deadline))
    }

    fn fetch_other<'a>(
        &'a self,
        refused: &'a SubjectToken,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<SubjectToken, Error>> {
        Box::pin(self.token(Some(refused), deadline))
    }

    fn kind(&self) -> SubjectTokenKind {
        SubjectTokenKind::Executable
    }

    fn origin(&self) -> String {
        format!("the command {}", self.program)
    }
}

impl fmt::Debug for ExecutableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutableSource")
            .field("program", &self.program)
            .field("output_file", &self.output_file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
