//! How long fetched keys are used, and when they are fetched again: decisions without I/O.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use tokio::time::Instant;

use super::public_keys::PublicKeys;
use crate::Error;

/// How long keys are fresh if the reply doesn't say.
const DEFAULT_FRESH: Duration = Duration::from_secs(15 * 60);
/// The bounds of what a reply may say.
const MIN_FRESH: Duration = Duration::from_secs(60);
const MAX_FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// How long keys are used if no newer ones can be fetched.
pub(super) const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause between fetches for the sake of unknown keys: tokens of attackers cause no more.
pub(super) const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(10);

/// The pause after a failed fetch: with keys that can still be used, and without.
pub(super) const PAUSE_WITH_KEYS: Duration = Duration::from_secs(10);
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(1);

/// What is known about one key set.
#[derive(Default)]
pub(super) struct Cache {
    fetched: Option<Fetched>,
    /// The last fetch, if it failed.
    failure: Option<(Instant, Error)>,
    last_fetch: Option<Instant>,
}

struct Fetched {
    keys: Arc<PublicKeys>,
    at: Instant,
    fresh_for: Duration,
}

/// What to do for a token.
pub(super) enum Decision {
    /// These keys are the best that there are now.
    Use(Arc<PublicKeys>),
    /// The last fetch failed a moment ago.
    Fail(Error),
    Fetch {
        /// What is good enough if the fetch fails, or while another one is in progress.
        fallback: Option<Arc<PublicKeys>>,
    },
}

impl Cache {
    /// Decides for a token that names the key `key_id`.
    pub(super) fn decide(&self, key_id: Option<&str>, now: Instant) -> Decision {
        let usable = self.fetched.as_ref().filter(|fetched| now.duration_since(fetched.at) < MAX_AGE);
        let Some(fetched) = usable else {
            return match self.failed_within(PAUSE_WITHOUT_KEYS, now) {
                Some(error) => Decision::Fail(error.clone()),
                None => Decision::Fetch { fallback: None },
            };
        };
        let is_known = key_id.is_none_or(|id| fetched.keys.contains(id));
        let is_due = match is_known {
            true => {
                let is_stale = now.duration_since(fetched.at) >= fetched.fresh_for;
                is_stale && self.failed_within(PAUSE_WITH_KEYS, now).is_none()
            }
            false => self.last_fetch.is_none_or(|last| now.duration_since(last) >= UNKNOWN_KEY_PAUSE),
        };
        let keys = Arc::clone(&fetched.keys);
        match &self.failure {
            _ if is_due => Decision::Fetch { fallback: is_known.then_some(keys) },
            // The key may be a new one.
            Some((_, error)) if !is_known => Decision::Fail(error.clone()),
            _ => Decision::Use(keys),
        }
    }

    fn failed_within(&self, pause: Duration, now: Instant) -> Option<&Error> {
        let (at, error) = self.failure.as_ref()?;
        (now.duration_since(*at) < pause).then_some(error)
    }

    /// Records the outcome of a fetch.
    pub(super) fn complete(&mut self, outcome: Result<(Arc<PublicKeys>, Duration), Error>, now: Instant) {
        self.last_fetch = Some(now);
        match outcome {
            Ok((keys, fresh_for)) => {
                self.failure = None;
                self.fetched = Some(Fetched { keys, at: now, fresh_for });
            }
            Err(error) => self.failure = Some((now, error)),
        }
    }
}

/// Returns how long a reply is fresh, by `Cache-Control` and `Age`, within bounds.
pub(super) fn fresh_for(headers: &HeaderMap) -> Duration {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(control) = text(header::CACHE_CONTROL) else { return DEFAULT_FRESH };
    let mut max_age = DEFAULT_FRESH;
    for directive in control.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
        match directive.split_once('=') {
            None if matches!(&*directive, "no-store" | "no-cache") => return MIN_FRESH,
            Some(("max-age", seconds)) => {
                let seconds = seconds.trim_matches('"').parse().map(Duration::from_secs);
                max_age = seconds.unwrap_or(DEFAULT_FRESH);
            }
            _ => {}
        }
    }
    // It has been in another cache for this time.
    let age = text(header::AGE)
        .and_then(|seconds| seconds.trim().parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs);
    max_age.saturating_sub(age).clamp(MIN_FRESH, MAX_FRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str) -> Arc<PublicKeys> {
        let jwks = serde_json::json!({ "keys": [{ "kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB" }] });
        Arc::new(PublicKeys::from_jwks(&jwks.to_string()).unwrap())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn shown(decision: &Decision) -> &'static str {
        match decision {
            Decision::Use(_) => "use",
            Decision::Fail(_) => "fail",
            Decision::Fetch { fallback: None } => "fetch",
            Decision::Fetch { fallback: Some(_) } => "fetch or use",
        }
    }

    /// A cache that fetched the key `a` at this instant, fresh for 100 s.
    fn cache(start: Instant) -> Cache {
        let mut cache = Cache::default();
        assert_eq!(shown(&cache.decide(Some("a"), start)), "fetch");
        cache.complete(Ok((keys("a"), seconds(100))), start);
        cache
    }

    #[test]
    fn keys_are_used_while_they_are_fresh_and_fetched_again_then() {
        let start = Instant::now();
        let cache = cache(start);
        for (after, expected) in
            [(0, "use"), (99, "use"), (100, "fetch or use"), (86_399, "fetch or use"), (86_400, "fetch")]
        {
            assert_eq!(shown(&cache.decide(Some("a"), start + seconds(after))), expected, "{after}");
            assert_eq!(shown(&cache.decide(None, start + seconds(after))), expected, "{after}");
        }
    }

    #[test]
    fn an_unknown_key_leads_to_one_fetch_in_ten_seconds() {
        let start = Instant::now();
        let mut cache = cache(start);
        let decision = |cache: &Cache, after| shown(&cache.decide(Some("b"), start + seconds(after)));
        assert_eq!((decision(&cache, 0), decision(&cache, 9)), ("use", "use"));
        assert_eq!(decision(&cache, 10), "fetch");
        cache.complete(Ok((keys("a"), seconds(100))), start + seconds(10));
        assert_eq!((decision(&cache, 19), decision(&cache, 20)), ("use", "fetch"));
        // A failed fetch counts too. Until there is another, nobody knows whether the key exists.
        cache.complete(Err(Error::transient("away")), start + seconds(20));
        assert_eq!((decision(&cache, 29), decision(&cache, 30)), ("fail", "fetch"));
        assert_eq!(shown(&cache.decide(Some("a"), start + seconds(29))), "use");
    }

    #[test]
    fn old_keys_are_used_while_fetches_fail_but_not_for_ever() {
        let start = Instant::now();
        let mut cache = cache(start);
        cache.complete(Err(Error::transient("away")), start + seconds(100));
        let decision = |cache: &Cache, after| shown(&cache.decide(Some("a"), start + seconds(after)));
        assert_eq!((decision(&cache, 109), decision(&cache, 110)), ("use", "fetch or use"));
        cache.complete(Err(Error::transient("away")), start + MAX_AGE);
        assert_eq!((decision(&cache, 86_400), decision(&cache, 86_401)), ("fail", "fetch"));
    }

    #[test]
    fn without_keys_a_failure_is_repeated_for_a_second() {
        let (start, mut cache) = (Instant::now(), Cache::default());
        cache.complete(Err(Error::transient("away")), start);
        assert_eq!(shown(&cache.decide(None, start + Duration::from_millis(999))), "fail");
        assert_eq!(shown(&cache.decide(None, start + seconds(1))), "fetch");
        cache.complete(Ok((keys("a"), seconds(1))), start + seconds(1));
        assert_eq!(shown(&cache.decide(None, start + seconds(1))), "use");
    }

    #[test]
    fn a_reply_says_how_long_it_is_fresh_within_bounds() {
        let fresh = |control: Option<&str>, age: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::CACHE_CONTROL, control), (header::AGE, age)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            fresh_for(&headers).as_secs()
        };
        for (control, age, expected) in [
            (None, None, 900),
            (Some("public, max-age=19800, must-revalidate, no-transform"), None, 19_800),
            (Some("Public, Max-Age=19800"), Some("800"), 19_000),
            (Some("max-age=100"), Some("90"), 60),
            (Some("max-age=0"), None, 60),
            (Some("max-age=99999999"), None, 86_400),
            (Some("max-age=18446744073709551615"), None, 86_400),
            (Some("max-age=\"600\""), None, 600),
            (Some("max-age=-5"), None, 900),
            (Some("no-store, max-age=600"), None, 60),
            (Some("max-age=600, no-cache"), None, 60),
            (Some("private"), Some("soon"), 900),
        ] {
            assert_eq!(fresh(control, age), expected, "{control:?} {age:?}");
        }
    }
}
