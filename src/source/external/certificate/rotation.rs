//! A client certificate that is replaced while the program runs.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::files::{CertificateFiles, Content};
use super::named_file::{Problem, ProblemKind};
use crate::Error;
use crate::http_client::HttpClient;
use crate::source::external::SubjectToken;
use crate::source::thread;
use crate::tls::{ChangingIdentity, PemIdentity};

/// The waits for the rest of files that are being replaced.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1600),
    Duration::from_millis(6400),
];

/// How long the files aren't read again for calls to the API. Exchanges read them each time.
const FRESH: Duration = Duration::from_secs(60);
/// The same, if they couldn't be used.
const UNUSABLE: Duration = Duration::from_secs(5);

/// How long a call to the API waits for the files. Without them, it uses the certificate it knows.
const REFRESH_TIME: Duration = Duration::from_secs(1);

/// A certificate and its key in files, and the HTTP client that shows them to servers.
///
/// The pair is replaced as a whole: no connection has a certificate of one pair and the key of
/// another. Connections that were made with a replaced pair take no new requests.
pub(crate) struct ClientCertificate {
    files: Arc<CertificateFiles>,
    http: HttpClient,
    current: ArcSwapOption<PemIdentity>,
    /// Held while the files are read, so that an older pair can't replace a newer one.
    reading: Mutex<Reading>,
}

#[derive(Default)]
struct Reading {
    /// When calls to the API read the files again.
    next_refresh: Option<Instant>,
    /// The last failure of an exchange, and when it was known.
    failure: Option<(Instant, Error)>,
}

impl ClientCertificate {
    /// `http` must be used for nothing else.
    pub(crate) fn new(files: CertificateFiles, http: HttpClient) -> Self {
        let (current, reading) = (ArcSwapOption::empty(), Mutex::default());
        Self { files: Arc::new(files), http, current, reading }
    }

    pub(super) fn config(&self) -> &Path {
        &self.files.config
    }

    pub(super) fn revision(&self) -> u64 {
        self.files.revision()
    }

    /// Reads the files until `deadline`, and returns the subject token. From then on, connections show
    /// the certificate. Files that are being replaced are waited for.
    pub(super) async fn read(&self, deadline: Instant) -> Result<SubjectToken, Error> {
        match timeout_at(deadline, self.read_in_turn(deadline)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let config = self.config().display();
                let message = format!("the client certificate that {config} names couldn't be read in time");
                Err(Error::timeout(message, None))
            }
        }
    }

    async fn read_in_turn(&self, deadline: Instant) -> Result<SubjectToken, Error> {
        let asked = Instant::now();
        let mut reading = self.reading.lock().await;
        // All who wait for the same files get the same failure: each of them would wait again.
        if let Some((known, failure)) = &reading.failure
            && *known >= asked
        {
            return Err(failure.clone());
        }
        let outcome = self.read_complete(deadline).await;
        let content = outcome.inspect_err(|error| reading.failure = Some((Instant::now(), error.clone())))?;
        reading.next_refresh = Some(Instant::now() + FRESH);
        self.show(content.identity).await?;
        Ok(content.subject_token)
    }

    async fn read_complete(&self, deadline: Instant) -> Result<Content, Error> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let problem = match self.read_once().await? {
                Ok(content) => return Ok(content),
                Err(problem) => problem,
            };
            let pause = pauses.next().filter(|_| self.may_be_a_rotation(&problem));
            match pause.filter(|pause| Instant::now() + *pause < deadline) {
                Some(pause) => {
                    tracing::debug!(problem = %problem.text, wait = ?pause, "the client certificate is incomplete");
                    sleep(pause).await;
                }
                None => return Err(problem.into_error()),
            }
        }
    }

    /// A file system in the network may never answer, so a thread reads.
    async fn read_once(&self) -> Result<Result<Content, Problem>, Error> {
        let files = Arc::clone(&self.files);
        thread::run("client-certificate", move |_| files.read()).await
    }

    fn may_be_a_rotation(&self, problem: &Problem) -> bool {
        match problem.kind {
            ProblemKind::Incomplete => true,
            ProblemKind::Missing => self.current.load().is_some(),
            ProblemKind::Unavailable | ProblemKind::Denied => false,
        }
    }

    /// Makes connections show this identity.
    async fn show(&self, identity: PemIdentity) -> Result<(), Error> {
        if self.current.load().as_deref() == Some(&identity) {
            return Ok(());
        }
        self.http.set_client_identity(&identity.certificates, &identity.key).await.map_err(|error| {
            let problem = error.in_one_line();
            Error::credentials(format!("no client certificate: {problem}"), error.is_transient())
        })?;
        let config = self.config().display();
        tracing::debug!(%config, "new connections show another client certificate");
        self.current.store(Some(Arc::new(identity)));
        Ok(())
    }

    async fn read_if_old(&self) -> Result<(), Error> {
        // Nobody waits for somebody else who reads the files.
        let Ok(mut reading) = self.reading.try_lock() else { return Ok(()) };
        let now = Instant::now();
        if reading.next_refresh.is_some_and(|next| now < next) {
            return Ok(());
        }
        reading.next_refresh = Some(now + UNUSABLE);
        let content = self.read_once().await?.map_err(Problem::into_error)?;
        self.show(content.identity).await?;
        reading.next_refresh = Some(now + FRESH);
        Ok(())
    }
}

impl ChangingIdentity for ClientCertificate {
    fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let problem = match timeout(REFRESH_TIME, self.read_if_old()).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.in_one_line().to_string(),
                Err(_elapsed) => format!("not within {REFRESH_TIME:?}"),
            };
            tracing::debug!(%problem, "the client certificate can't be read again");
        })
    }

    fn current(&self) -> Option<Arc<PemIdentity>> {
        self.current.load_full()
    }
}
