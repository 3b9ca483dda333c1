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
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a request waits for the replacement of a token that is still good: 1 s, or half of what is left
/// of it if that is less.
const PATIENCE_WITH_TOKEN: Duration = Duration::from_secs(1);

/// Returns a token, and how long it lives.
pub(super) async fn token(credentials: &Credentials) -> Result<(Token, Duration), Error> {
    Renewal { credentials, wall: SystemTime::now }.token().await
}

/// Decides when a token is replaced, by a wall clock.
struct Renewal<'c, W> {
    credentials: &'c Credentials,
    wall: W,
}

impl<W: Fn() -> SystemTime> Renewal<'_, W> {
    async fn token(&self) -> Result<(Token, Duration), Error> {
        let token = self.credentials.token_within(Instant::now() + PATIENCE).await?;
        if !self.is_due(&token) || self.credentials.status().is_failing() {
            return Ok(self.with_rest(token));
        }
        let patience = PATIENCE_WITH_TOKEN.min(self.rest(&token) / 2);
        let token = match timeout(patience, self.credentials.refresh()).await {
            Ok(Ok(newer)) => newer,
            Ok(Err(_)) | Err(_) => token,
        };
        Ok(self.with_rest(token))
    }

    /// Whether a token has so little left that clients would soon ask again, and is old enough for its
    /// source to have another one.
    fn is_due(&self, token: &Token) -> bool {
        let margin = MARGIN.min(self.life() / MARGIN_SHARE);
        self.rest(token) <= margin && self.age() >= margin
    }

    fn with_rest(&self, token: Token) -> (Token, Duration) {
        let rest = self.rest(&token);
        (token, rest)
    }

    /// What is left of a token's life. A wrong local clock doesn't extend it.
    fn rest(&self, token: &Token) -> Duration {
        let life = self.life().saturating_sub(self.age());
        let Some(expiry) = token.expires_at() else { return life };
        life.min(expiry.duration_since((self.wall)()).unwrap_or_default())
    }

    /// The time since the last fetch that returned a token.
    fn age(&self) -> Duration {
        let fetched = self.credentials.status().last_refresh();
        fetched.and_then(|at| (self.wall)().duration_since(at).ok()).unwrap_or_default()
    }

    /// How long a new token lives.
    fn life(&self) -> Duration {
        self.credentials.source().cache_hints().max_lifetime().unwrap_or(Impersonation::LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::{advance, sleep};

    use super::*;
    use crate::TokenSource;
    use crate::credentials::TimeSource;
    use crate::random::{Random, setting};
    use crate::source::{BoxFuture, CacheHints, FetchRequest};

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// A wall clock that follows tokio's.
    #[derive(Clone, Copy)]
    struct Wall {
        began: Instant,
        jitter: f64,
    }

    impl TimeSource for Wall {
        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + secs(1_800_000_000) + self.began.elapsed()
        }

        fn jitter(&self) -> f64 {
            self.jitter
        }
    }

    /// Makes tokens of a lifetime. A fetch takes a while, and fails while there is an outage.
    struct Issuer {
        wall: Wall,
        life: Duration,
        takes: Duration,
        outage: (Duration, Duration),
        /// Whether fetches hang during an outage. Otherwise they fail.
        hangs: bool,
        made: AtomicU64,
    }

    impl Issuer {
        /// An issuer of a world: tokens of one hour, and an outage of this length that begins at this time.
        fn new(random: &mut Random, outage: (Duration, Duration)) -> Arc<Self> {
            let wall = Wall { began: Instant::now(), jitter: random.fraction() };
            let (takes, hangs) = (random.millis(0..900), random.chance(0.5));
            Arc::new(Self { wall, life: secs(3600), takes, outage, hangs, made: AtomicU64::new(0) })
        }

        fn is_out(&self) -> bool {
            let now = self.wall.began.elapsed();
            self.outage.0 <= now && now < self.outage.1
        }
    }

    impl TokenSource for Arc<Issuer> {
        fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
            Box::pin(async {
                sleep(self.takes).await;
                if self.is_out() {
                    if self.hangs {
                        return std::future::pending().await;
                    }
                    return Err(Error::transient("out"));
                }
                let number = self.made.fetch_add(1, Ordering::Relaxed);
                Token::new(format!("token-{number}"), self.wall.wall() + self.life)
            })
        }

        fn cache_hints(&self) -> CacheHints {
            CacheHints::new().with_max_lifetime(self.life + self.takes)
        }
    }

    /// A library that keeps its token until less than `margin` is left, and then asks at each request.
    #[derive(Default)]
    struct Library {
        margin: Duration,
        token: Option<(String, Duration)>,
        asked: u64,
    }

    impl Library {
        /// Makes a request, and returns what is left of its token.
        async fn request(
            &mut self,
            renewal: &Renewal<'_, impl Fn() -> SystemTime>,
            now: Duration,
        ) -> Duration {
            let good = self.token.as_ref().filter(|(_, end)| *end > now + self.margin);
            if good.is_none() {
                self.asked += 1;
                if let Ok((token, left)) = renewal.token().await {
                    self.token = Some((token.secret().to_owned(), now + secs(left.as_secs())));
                }
            }
            self.token.as_ref().map_or(Duration::ZERO, |(_, end)| end.saturating_sub(now))
        }
    }

    /// Runs libraries for a day. Returns how often they asked, for each token that was made.
    async fn day(issuer: Arc<Issuer>, mut libraries: Vec<Library>, every: Duration) -> f64 {
        let wall = issuer.wall;
        let credentials = Credentials::with_time_source(Arc::new(Arc::clone(&issuer)), wall);
        let renewal = Renewal { credentials: &credentials, wall: || wall.wall() };
        while wall.began.elapsed() < secs(24 * 3600) {
            for library in &mut libraries {
                let left = library.request(&renewal, wall.began.elapsed()).await;
                assert!(left > Duration::ZERO || issuer.is_out(), "no token at {:?}", wall.began.elapsed());
            }
            advance(every).await;
        }
        let asked: u64 = libraries.iter().map(|library| library.asked).sum();
        asked as f64 / (issuer.made.load(Ordering::Relaxed) * libraries.len() as u64) as f64
    }

    /// conf: I14
    #[tokio::test(start_paused = true)]
    async fn no_library_asks_again_and_again_whatever_its_margin() {
        for seed in 0..setting("SIM_WORLDS", 4) {
            let mut random = Random::new(seed);
            let issuer = Issuer::new(&mut random, Default::default());
            // Those of Google's libraries for Go, Python and Node.
            let libraries =
                [10, 225, 300].map(|margin| Library { margin: secs(margin), ..Library::default() });
            let ratio = day(Arc::clone(&issuer), libraries.into(), secs(random.within(5..30))).await;
            // A library may ask for a token that another one has had replaced.
            assert!(ratio < 1.5, "seed {seed}: {ratio}");
            let made = issuer.made.load(Ordering::Relaxed);
            assert!((24..=27).contains(&made), "seed {seed}: {made} tokens in a day");
        }
    }

    /// conf: I15
    #[tokio::test(start_paused = true)]
    async fn an_outage_shorter_than_the_rest_of_a_token_goes_unnoticed() {
        for seed in 0..setting("SIM_WORLDS", 4) {
            let mut random = Random::new(seed);
            let start = secs(random.within(3600..7200));
            let issuer = Issuer::new(&mut random, (start, start + secs(180)));
            let wall = issuer.wall;
            let credentials = Credentials::with_time_source(Arc::new(Arc::clone(&issuer)), wall);
            let renewal = Renewal { credentials: &credentials, wall: || wall.wall() };
            while wall.began.elapsed() < secs(3 * 3600) {
                let asked = Instant::now();
                let (_, left) = renewal.token().await.unwrap();
                assert!(left > secs(10), "seed {seed}: {left:?}");
                assert!(asked.elapsed() <= PATIENCE_WITH_TOKEN, "seed {seed}: {:?}", asked.elapsed());
                advance(secs(2)).await;
            }
        }
    }
}
