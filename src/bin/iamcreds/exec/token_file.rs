//! A file with an access token, replaced before the token ends.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::broker::MetadataServer;
use gcp_iam_credentials::{Credentials, Token};
use tokio::time::sleep;

use crate::failure::Failure;
use crate::output::write_secret;

/// How often the clock is read. After a suspension of the machine, less time is left than a timer knows.
const TICK: Duration = Duration::from_secs(30);

/// The time before another attempt.
const PAUSE: Duration = Duration::from_secs(2);

/// A token with this share of its life left is replaced, or earlier, as the metadata server does.
const SHARE: u32 = 4;

/// A file with an access token.
pub(super) struct TokenFile {
    tokens: Credentials,
    path: PathBuf,
    /// When the token in the file should be replaced; `None` if it doesn't end.
    due: Option<SystemTime>,
}

impl TokenFile {
    /// Fetches a token, and makes the file with it.
    pub(super) async fn create(tokens: Credentials, path: PathBuf) -> Result<Self, Failure> {
        let token = tokens.token().await?;
        write_token(&path, &token)?;
        Ok(Self { tokens, path, due: due(&token) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file in time, again and again. Says why it can't, and the old file stays meanwhile. Never returns.
    pub(super) async fn keep_fresh(&mut self) -> Infallible {
        let mut is_told = false;
        loop {
            self.wait_until_due().await;
            match self.renew().await {
                Ok(()) => is_told = false,
                Err(failure) => {
                    if !is_told {
                        failure.print();
                    }
                    is_told = true;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn renew(&mut self) -> Result<(), Failure> {
        let token = self.tokens.refresh().await?;
        write_token(&self.path, &token)?;
        self.due = due(&token);
        Ok(())
    }

    async fn wait_until_due(&self) {
        let Some(due) = self.due else { return std::future::pending().await };
        while let Ok(left) = due.duration_since(SystemTime::now()) {
            sleep(left.min(TICK)).await;
        }
    }
}

/// Returns when a new token should be replaced.
fn due(token: &Token) -> Option<SystemTime> {
    let expiry = token.expires_at()?;
    let life = expiry.duration_since(SystemTime::now()).unwrap_or_default();
    expiry.checked_sub(MetadataServer::RENEWAL_MARGIN.min(life / SHARE))
}

fn write_token(path: &Path, token: &Token) -> Result<(), Failure> {
    write_secret(path, token.secret().as_bytes()).map_err(|error| Failure::file(path, &error))
}
