//! Tokens of which enough is left for clients that renew them early.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};

use crate::{Credentials, Error, Impersonation, Token};

/// How much of a token's life is left when it is replaced; at most a [`MARGIN_SHARE`]th of its life.
///
/// Node's library replaces its token 300 s before the end. If it got the same one again, it would ask
/// at every request.
pub(super) const MARGIN: Duration = Duration::from_secs(330);
const MARGIN_SHARE: u32 = 4;

/// How long a request waits if there is no token: 10 s. Then the client hears that the failure is
/// transient. The fetch goes on.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a request waits for the replacement of a token that is still good: 1 s, or half of what is left
/// of it if that is less.
const PATIENCE_WITH_TOKEN: Duration = Duration::from_secs(1);

/// Returns a token, and how long it lives.
pub(super) async fn token(credentials: &Credentials) -> Result<(Token, Duration), Error> {
    let token = credentials.token_within(Instant::now() + PATIENCE).await?;
    if !is_due(credentials, &token) || credentials.status().is_failing() {
        return Ok(with_rest(credentials, token));
    }
    let patience = PATIENCE_WITH_TOKEN.min(rest(credentials, &token) / 2);
    let token = match timeout(patience, credentials.refresh()).await {
        Ok(Ok(newer)) => newer,
        Ok(Err(_)) | Err(_) => token,
    };
    Ok(with_rest(credentials, token))
}

/// Whether a token has so little left that clients would soon ask again, and is old enough for its
/// source to have another one.
fn is_due(credentials: &Credentials, token: &Token) -> bool {
    let margin = MARGIN.min(life(credentials) / MARGIN_SHARE);
    rest(credentials, token) <= margin && age(credentials) >= margin
}

fn with_rest(credentials: &Credentials, token: Token) -> (Token, Duration) {
    let rest = rest(credentials, &token);
    (token, rest)
}

/// What is left of a token's life. A wrong local clock doesn't extend it.
fn rest(credentials: &Credentials, token: &Token) -> Duration {
    let life = life(credentials).saturating_sub(age(credentials));
    let Some(expiry) = token.expires_at() else { return life };
    life.min(expiry.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The time since the last fetch that returned a token.
fn age(credentials: &Credentials) -> Duration {
    let fetched = credentials.status().last_refresh();
    fetched.and_then(|at| at.elapsed().ok()).unwrap_or_default()
}

/// How long a new token lives.
fn life(credentials: &Credentials) -> Duration {
    credentials.source().cache_hints().max_lifetime().unwrap_or(Impersonation::LIFETIME)
}
