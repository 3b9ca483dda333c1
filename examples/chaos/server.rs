//! The server process: the emulator, and an API that checks bearer tokens.
//!
//! It writes a journal to a file, line by line, so that no line is lost if it is killed. On standard
//! input it takes `reject` and `accept`, and it ends with its standard input.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::arguments::ServerArguments;
use crate::journal::{Line, RequestFields};
use crate::log::REFRESH_TOKEN;
use crate::{Failure, IDENTITIES, target};

pub(crate) const USER: &str = "alice@example.com";

/// How long the end of a token is remembered after it.
const REMEMBERED: Duration = Duration::from_secs(120);

/// The journal's file. All threads append to it.
#[derive(Clone)]
struct JournalFile(Arc<Mutex<File>>);

impl JournalFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    fn add(&self, line: &Line) {
        let text = format!("{line}\n");
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(text.as_bytes()) {
            eprintln!("the journal can't be written: {error}");
        }
    }
}

/// Adds each request to the emulator to the journal.
impl<S: Subscriber> Layer<S> for JournalFile {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = RequestFields::default();
        event.record(&mut fields);
        if let Some(line) = fields.into_line(unix_ms(SystemTime::now())) {
            self.add(&line);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(arguments: &ServerArguments) -> Result<(), Failure> {
    let ends = ends_in(&arguments.journal);
    let journal = JournalFile::open(&arguments.journal)?;
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    tracing::subscriber::set_global_default(
        tracing_subscriber::registry()
            .with(tracing_subscriber::filter::LevelFilter::INFO)
            .with(log)
            .with(journal.clone()),
    )?;
    let policy = (0..IDENTITIES).fold(Policy::new().user(USER, REFRESH_TOKEN), |policy, index| {
        policy.grant(format!("user:{USER}"), Role::TOKEN_CREATOR, &target(index))
    });
    let address = ([127, 0, 0, 1], arguments.iam_port).into();
    let emulator = Arc::new(Emulator::builder().address(address).policy(policy).start().await?);

    let rejects = Arc::new(AtomicBool::new(false));
    let (ends, heartbeat) = (Arc::new(Mutex::new(ends)), Heartbeat::start());
    let api = Api { emulator, journal, rejects: Arc::clone(&rejects), heartbeat, ends };
    let listener = TcpListener::bind(("127.0.0.1", arguments.api_port)).await?;
    let (_, health) = tonic_health::server::health_reporter();
    let check = InterceptorLayer::new(move |request| api.check(request));
    let serving =
        Server::builder().layer(check).add_service(health).serve_with_incoming(TcpIncoming::from(listener));
    println!("ready");
    tokio::select! {
        served = serving => Ok(served?),
        () = follow_standard_input(rejects) => Ok(()),
    }
}

/// Follows commands until standard input ends.
async fn follow_standard_input(rejects: Arc<AtomicBool>) {
    let reading = tokio::task::spawn_blocking(move || {
        for line in io::stdin().lines() {
            match line.as_deref() {
                Ok("reject") => rejects.store(true, Ordering::Relaxed),
                Ok("accept") => rejects.store(false, Ordering::Relaxed),
                _ => return,
            }
            println!("done");
        }
    });
    let _ = reading.await;
}

/// An API that accepts the emulator's access tokens.
#[derive(Clone)]
struct Api {
    emulator: Arc<Emulator>,
    journal: JournalFile,
    rejects: Arc<AtomicBool>,
    heartbeat: Heartbeat,
    /// When each token ends, in milliseconds since 1970. A token is noted at its first use.
    ends: Arc<Mutex<HashMap<u64, u64>>>,
}

impl Api {
    /// Checks the token of a request. A token that is past its end goes into the journal.
    fn check(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let rejected = Err(Status::unauthenticated("the API rejects the token"));
        let mut values = request.metadata().get_all("authorization").iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            self.journal.add(&Line::WithoutToken);
            return rejected;
        };
        let token = value.to_str().unwrap_or_default().trim_start_matches("Bearer ");
        let key = hash_of(token);
        let now = unix_ms(SystemTime::now());
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = self.emulator.verify_access_token(token);
        if let Some(verified) = &verified
            && !ends.contains_key(&key)
        {
            let end = unix_ms(verified.expires_at()).saturating_add_signed(-self.skew_ms());
            ends.retain(|_, end| *end + REMEMBERED.as_millis() as u64 > now);
            ends.insert(key, end);
            self.journal.add(&Line::TokenEnds { key, end });
        }
        if let Some(late) = ends.get(&key).and_then(|end| now.checked_sub(*end)).filter(|late| *late > 0) {
            // After a freeze, it isn't known when the request arrived.
            let frozen = self.heartbeat.was_frozen(now);
            self.journal.add(&if frozen { Line::LateAfterFreeze } else { Line::LateToken { late } });
        }
        if verified.is_none() || self.rejects.load(Ordering::Relaxed) { rejected } else { Ok(request) }
    }

    /// Returns how far the time that the emulator tells is ahead.
    fn skew_ms(&self) -> i64 {
        unix_ms(self.emulator.clock().now()) as i64 - unix_ms(SystemTime::now()) as i64
    }
}

/// Notices that the process was frozen, and for how long.
#[derive(Clone)]
struct Heartbeat(Arc<Beats>);

/// Both in milliseconds since 1970.
#[derive(Default)]
struct Beats {
    latest: AtomicU64,
    /// The first beat after the process was frozen.
    thawed: AtomicU64,
}

impl Heartbeat {
    const PERIOD: Duration = Duration::from_millis(20);
    /// Without a beat for this long, the process was frozen.
    const FROZEN: Duration = Duration::from_millis(300);
    /// How long it takes to handle what arrived meanwhile.
    const CATCHES_UP: Duration = Duration::from_secs(2);

    fn start() -> Self {
        let beats = Arc::new(Beats::default());
        beats.latest.store(unix_ms(SystemTime::now()), Ordering::Relaxed);
        let heartbeat = Self(beats);
        let beating = heartbeat.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Self::PERIOD);
                let now = unix_ms(SystemTime::now());
                if beating.is_missing(now) {
                    beating.0.thawed.store(now, Ordering::Relaxed);
                }
                beating.0.latest.store(now, Ordering::Relaxed);
            }
        });
        heartbeat
    }

    fn is_missing(&self, now: u64) -> bool {
        now.saturating_sub(self.0.latest.load(Ordering::Relaxed)) > Self::FROZEN.as_millis() as u64
    }

    /// Returns whether a request that is handled now may have arrived while the process was frozen.
    fn was_frozen(&self, now: u64) -> bool {
        let since = now.saturating_sub(self.0.thawed.load(Ordering::Relaxed));
        self.is_missing(now) || since < Self::CATCHES_UP.as_millis() as u64
    }
}

/// Reads the ends of tokens from the journal of an earlier process.
fn ends_in(journal: &Path) -> HashMap<u64, u64> {
    let Ok(file) = File::open(journal) else { return HashMap::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let end = |line: String| match Line::parse(&line) {
        Some(Line::TokenEnds { key, end }) => Some((key, end)),
        _ => None,
    };
    lines.filter_map(end).collect()
}

fn hash_of(token: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    hasher.finish()
}

fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
