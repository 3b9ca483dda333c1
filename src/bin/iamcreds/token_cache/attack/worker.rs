//! One run of a program that uses the cache: this test binary, as a child.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::Token;

use super::super::folder::Folder;
use super::super::moment::Moment;
use super::super::{Digest, Identity, Minted, TokenCache};

/// The life of each token, in seconds.
pub(super) const LIFE: i64 = 3600;

/// When the attack starts, in seconds since 1970 and since the machine started.
const START: (i64, i64) = (1_800_000_000, 100_000);

const VARIABLE: &str = "IAMCREDS_CACHE_ATTACK";

pub(super) struct Run {
    pub(super) root: PathBuf,
    pub(super) identity: String,
    pub(super) time: i64,
    pub(super) clock_error: i64,
    pub(super) mint_millis: u64,
}

impl Run {
    pub(super) fn start(&self) -> Child {
        let (root, identity) = (self.root.display(), &self.identity);
        let Self { time, clock_error, mint_millis, .. } = self;
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "token_cache::attack::worker::one_run", "--ignored", "--nocapture"])
            .env(VARIABLE, format!("{root} {identity} {time} {clock_error} {mint_millis}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn of_environment() -> Self {
        let text = env::var(VARIABLE).expect("the attack starts this");
        let fields: Vec<&str> = text.split(' ').collect();
        Self {
            root: fields[0].into(),
            identity: fields[1].to_owned(),
            time: fields[2].parse().unwrap(),
            clock_error: fields[3].parse().unwrap(),
            mint_millis: fields[4].parse().unwrap(),
        }
    }

    /// Returns the token that a process printed; `None` if it failed.
    pub(super) fn printed(&self, outcome: &Output) -> Option<String> {
        let text = String::from_utf8_lossy(&outcome.stdout);
        let token = text.lines().find_map(|line| line.split_once("TOKEN:"))?.1;
        outcome.status.success().then(|| token.to_owned())
    }

    /// Checks that a token is whole, is this run's, and hasn't expired.
    pub(super) fn judge(&self, token: &str) {
        let fields: Vec<&str> = token.split('.').collect();
        let [identity, expires, padding, end] = fields[..] else { panic!("half a token: {token}") };
        assert_eq!((padding, end), ("x".repeat(2000).as_str(), "end"), "not the whole token: {token}");
        assert_eq!(identity, self.identity, "a token of another identity");
        let left = expires.parse::<i64>().unwrap() - self.time;
        assert!(left > 10, "a token that has expired: {left} s are left");
    }

    fn cache(&self) -> TokenCache {
        let mut cache = TokenCache::new(Some(Folder::at(self.root.join("iamcreds"))));
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        let moment = Moment {
            time: SystemTime::UNIX_EPOCH + seconds(START.0 + self.time + self.clock_error),
            uptime: seconds(START.1 + self.time),
        };
        cache.clock = Box::new(move || moment);
        cache
    }

    fn mint(&self) -> Minted {
        let mut ledger = OpenOptions::new().append(true).open(self.root.join("ledger")).unwrap();
        thread::sleep(Duration::from_millis(self.mint_millis));
        ledger.write_all(format!("{}\n", self.identity).as_bytes()).unwrap();
        let expires = self.time + LIFE;
        let text = format!("{}.{expires}.{}.end", self.identity, "x".repeat(2000));
        let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs((START.0 + expires).unsigned_abs());
        Minted::Keep(Token::new(text, expires_at).unwrap())
    }
}

#[test]
#[ignore = "the attack starts it"]
fn one_run() {
    let run = Run::of_environment();
    let parts = Digest::new().with("identity", &run.identity);
    let identity = Identity::new(parts, Duration::from_secs(LIFE.unsigned_abs()));
    let token = run.cache().token(&identity, |_| Ok(run.mint())).unwrap();
    println!("TOKEN:{}", token.secret());
}

pub(super) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}
