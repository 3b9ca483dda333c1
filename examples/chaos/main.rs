//! Breaks IAM and an API again and again, in a random order, and checks that callers notice no more
//! than they must.
//!
//! ```text
//! cargo run --release --example chaos -- --minutes 10 --seed 1
//! ```
//!
//! A second process runs the emulator and an API that checks bearer tokens. 64 callers call the API
//! through `BearerLayer`, as eight identities whose tokens live for seconds. The emulator refuses,
//! delays, hangs, resets and so on, and its process is frozen, killed and restarted.
//!
//! The example prints what each kind of fault did, and whether the invariants held. It exits with 1
//! if one is broken. `--seconds N` makes it shorter. It needs Linux.

mod arguments;
mod callers;
mod faults;
mod invariants;
mod journal;
mod log;
#[path = "../../tests/support/random.rs"]
mod random;
mod remote;
mod report;
mod resources;
mod schedule;
mod server;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient};
use tokio::time::Instant;

use self::arguments::{Arguments, Command};
use self::callers::Callers;
use self::invariants::Evidence;
use self::random::Random;
use self::remote::Remote;
use self::schedule::Schedule;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The service accounts that callers act as.
pub(crate) const IDENTITIES: usize = 8;

/// Returns the e-mail address of a target.
pub(crate) fn target(index: usize) -> String {
    format!("target-{index}@chaos.iam.gserviceaccount.com")
}

/// Returns the lifetime of a target's tokens: 3 s to 6 s.
pub(crate) fn lifetime(index: usize) -> Duration {
    Duration::from_secs(3 + index as u64 % 4)
}

fn main() -> ExitCode {
    let outcome = match arguments::read() {
        Ok(Command::Server(arguments)) => server::run(&arguments).map(|()| true),
        Ok(Command::Chaos(arguments)) => chaos(&arguments),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn chaos(arguments: &Arguments) -> Result<bool, Failure> {
    println!("chaos for {:?} with seed {}", arguments.length, arguments.seed);
    let log = log::install();
    let mut random = Random::new(arguments.seed);
    let remote = Remote::start(&mut random, log.clone()).await?;
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::from_json(&remote.user_file().await?)?)
        .endpoint(remote.iam_endpoint())
        .attempt_timeout(callers::ATTEMPT_TIMEOUT)
        .timeout(callers::FETCH_TIMEOUT)
        .build()?;
    let acting = (0..IDENTITIES).map(|index| {
        client.impersonate(target(index)).lifetime(lifetime(index)).access_token([CLOUD_PLATFORM])
    });
    let acting: Vec<Credentials> = acting.collect::<Result<_, _>>()?;
    let start = Instant::now();
    let callers = Callers::start(acting.clone(), &remote.api_endpoint(), Arc::clone(&log), &mut random)?;

    let mut schedule = Schedule::new(remote, callers, random);
    let episodes = schedule.run(arguments.length).await?;
    let Schedule { mut remote, callers, resources, .. } = schedule;
    let tally = callers.stop().await;
    let length = start.elapsed();
    let journal = remote.stop().await?;
    let evidence = Evidence { tally: &tally, episodes: &episodes, journal: &journal, log: &log, length };
    let checks = invariants::check_all(&evidence, &resources, &acting);
    report::print(&tally, &episodes, &checks);
    Ok(checks.iter().all(|check| check.holds))
}
