//! Writers that replace a credential file in random ways, while callers fetch.
//!
//! `FILE_WORLDS=2000 SIM_SEED=1 cargo test --release --test replaced_files random_writers` runs more worlds.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;

use gcp_iam_credentials::{Credentials, Error, Token};
use serde_json::json;
use tokio::task::JoinSet;

use crate::CredentialFile;
use crate::support::random::{Random, setting};
use crate::support::runtime::{ms, two_threads};
use crate::support::token_server::{Answer, TokenServer};

const DEFAULT_WORLDS: u64 = 12;
/// How often the file is replaced in a world.
const REPLACEMENTS: u64 = 4;
const CALLERS: u64 = 4;

/// The logins of a world are numbered. Only the last one that was issued is good.
#[derive(Default)]
struct Logins {
    good: AtomicU64,
    /// Parts of different logins in one request.
    mixtures: Mutex<Vec<String>>,
}

impl Logins {
    /// Answers a request with the token `minted-N`, if its login is the good one.
    fn answer(&self, form: &str) -> Answer {
        let field = |name: &str| -> u64 {
            let mut values = form.split('&').filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            values.next().and_then(|value| value.rsplit('-').next()?.parse().ok()).unwrap_or(u64::MAX)
        };
        let (id, secret, token) = (field("client_id"), field("client_secret"), field("refresh_token"));
        if id != secret || id != token {
            self.mixtures.lock().unwrap().push(form.to_owned());
        }
        match id == self.good.load(Ordering::SeqCst) {
            true => Answer::body(200, &format!(r#"{{"access_token":"login-{id}","expires_in":3600}}"#)),
            false => Answer::body(400, r#"{"error":"invalid_grant"}"#),
        }
    }
}

fn login(url: &str, number: u64) -> String {
    json!({
        "type": "authorized_user",
        "account": format!("user-{number}@example.com"),
        "client_id": format!("client-{number}"),
        "client_secret": format!("secret-{number}"),
        "refresh_token": format!("token-{number}"),
        "token_uri": url,
        // The parts of a write are apart.
        "padding": "x".repeat(5000),
    })
    .to_string()
}

/// What all threads of a world see.
struct World {
    file: CredentialFile,
    url: String,
    logins: Arc<Logins>,
    /// The last login that is completely in the file.
    complete: AtomicU64,
    has_ended: AtomicBool,
}

/// Replaces the file by login `number` in a random way.
struct Writer<'a> {
    world: &'a World,
    random: Random,
}

impl Writer<'_> {
    fn run(mut self) {
        for number in 1..=REPLACEMENTS {
            self.pause();
            // From now on, the content of the file is refused.
            self.world.logins.good.store(number, Ordering::SeqCst);
            for _ in 0..self.random.within(0..3) {
                self.break_file(number);
                self.pause();
            }
            self.replace(&login(&self.world.url, number));
            self.world.complete.store(number, Ordering::SeqCst);
            self.pause();
        }
        sleep(ms(10));
        self.world.has_ended.store(true, Ordering::SeqCst);
    }

    fn path(&self) -> &Path {
        &self.world.file.path
    }

    fn pause(&mut self) {
        sleep(self.random.millis(0..8));
    }

    /// Leaves something in the file that can't be used, or a login that is refused.
    fn break_file(&mut self, number: u64) {
        let whole = login(&self.world.url, number);
        let stale = login(&self.world.url, 1000 + number);
        let part = self.random.within(1..whole.len() as u64) as usize;
        match self.random.within(0..6) {
            0 => drop(fs::remove_file(self.path())),
            1 => fs::write(self.path(), "").unwrap(),
            2 => fs::write(self.path(), &whole[..part]).unwrap(),
            3 => fs::write(self.path(), r#"{"type":"service_account"}"#).unwrap(),
            4 => fs::write(self.path(), "<html>").unwrap(),
            _ => self.replace(&stale),
        }
    }

    fn replace(&mut self, content: &str) {
        match self.random.within(0..4) {
            0 => self.write_in_pieces(content),
            1 => self.rename(content),
            2 => self.swap_link(content),
            _ => {
                drop(fs::remove_file(self.path()));
                self.pause();
                self.write_in_pieces(content);
            }
        }
    }

    fn write_in_pieces(&mut self, content: &str) {
        let mut file = File::create(self.path()).unwrap();
        let mut rest = content.as_bytes();
        while !rest.is_empty() {
            let size = self.random.within(1..4000).min(rest.len() as u64) as usize;
            file.write_all(&rest[..size]).unwrap();
            rest = &rest[size..];
            if self.random.percent(50) {
                self.pause();
            }
        }
    }

    fn rename(&mut self, content: &str) {
        let new = self.new_file(content);
        fs::rename(new, self.path()).unwrap();
    }

    #[cfg(unix)]
    fn swap_link(&mut self, content: &str) {
        let new = self.new_file(content);
        let link = new.with_extension("link");
        std::os::unix::fs::symlink(new, &link).unwrap();
        fs::rename(link, self.path()).unwrap();
    }

    #[cfg(not(unix))]
    fn swap_link(&mut self, content: &str) {
        self.rename(content);
    }

    fn new_file(&mut self, content: &str) -> PathBuf {
        let path = self.world.file.beside(&format!("new-{}", self.random.next()));
        fs::write(&path, content).unwrap();
        path
    }
}

/// Asks again and again until the world has ended, and once more after that.
async fn call(world: Arc<World>, credentials: Credentials, mut random: Random) {
    loop {
        let is_last = world.has_ended.load(Ordering::SeqCst);
        let complete = world.complete.load(Ordering::SeqCst);
        let outcome = match random.percent(50) {
            true => credentials.refresh().await,
            false => credentials.token().await,
        };
        check(&world, complete, outcome, &credentials);
        if is_last {
            return;
        }
        tokio::time::sleep(random.millis(0..4)).await;
    }
}

/// `complete` is the login that was completely in the file when the call began.
fn check(world: &World, complete: u64, outcome: Result<Token, Error>, credentials: &Credentials) {
    match outcome {
        Ok(token) => {
            let number: u64 = token.secret().trim_start_matches("login-").parse().unwrap();
            if number < world.logins.good.load(Ordering::SeqCst) {
                // The API rejects it.
                credentials.invalidate(&token);
            }
        }
        Err(error) => {
            // If no other login was issued meanwhile, the file has been complete all the time.
            let good = world.logins.good.load(Ordering::SeqCst);
            assert!(good != complete, "login {complete} was complete: {error:#}");
        }
    }
}

fn run_world(server: &TokenServer, logins: &Arc<Logins>, seed: u64) {
    let runtime = two_threads();
    let mut random = Random::new(seed);
    let url = server.url();
    logins.good.store(0, Ordering::SeqCst);
    // The first login is refused in half of the worlds.
    let first = if random.percent(50) { 0 } else { 999 };
    let world = Arc::new(World {
        file: CredentialFile::new(&login(&url, first)),
        url,
        logins: Arc::clone(logins),
        complete: AtomicU64::new(if first == 0 { 0 } else { u64::MAX }),
        has_ended: AtomicBool::new(false),
    });
    let credentials = world.file.read();
    runtime.block_on(async {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(call(Arc::clone(&world), credentials.clone(), Random::new(random.next())));
        }
        let (shared, random) = (Arc::clone(&world), Random::new(random.next()));
        let writing = tokio::task::spawn_blocking(move || Writer { world: &shared, random }.run());
        writing.await.unwrap();
        callers.join_all().await;
        let token = credentials.refresh().await.expect("the last login");
        assert_eq!(token.secret(), format!("login-{REPLACEMENTS}"));
    });
    let user = format!("user-{REPLACEMENTS}@example.com");
    assert_eq!(credentials.info().principal(), Some(&*user));
    assert_eq!(*logins.mixtures.lock().unwrap(), [""; 0], "a mixture of logins");
}

/// conf: F12
#[test]
fn no_call_fails_that_starts_after_the_new_file_is_complete() {
    let logins = Arc::new(Logins::default());
    let deciding = Arc::clone(&logins);
    let decide = Answer::Decide(Arc::new(move |form| deciding.answer(form)));
    let server = crate::support::runtime::one_thread().block_on(TokenServer::start([decide]));
    let (worlds, first) = (setting("FILE_WORLDS", DEFAULT_WORLDS), setting("SIM_SEED", 1));
    for seed in first..first + worlds {
        let world = std::panic::catch_unwind(|| run_world(&server, &logins, seed));
        assert!(world.is_ok(), "seed {seed}");
    }
}
