//! `iamcreds serve`: the broker.

mod policy_file;
mod sockets;
mod watched;

use std::path::PathBuf;
use std::time::Duration;

use gcp_iam_credentials::broker::{Broker, BrokerServer};
use gcp_iam_credentials::{ImpersonationPool, metrics};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use self::policy_file::PolicyFile;
use self::sockets::SocketArguments;
use crate::duration::duration;
use crate::failure::{Exit, Failure};
use crate::interrupt::{Reload, StopSignals};
use crate::log::LogFormat;
use crate::source::SourceArguments;

const EXAMPLES: &str = "\
Examples:
  iamcreds serve --policy policy.json --loopback 127.0.0.1:8096
  iamcreds serve --policy policy.json --unix /run/iamcreds/broker.sock --operations 0.0.0.0:9096
  iamcreds serve --policy policy.json --tls 0.0.0.0:8443 --tls-certificate broker.pem --tls-key broker.key --tls-client-ca ca.pem

docs/fleets.md shows it behind Envoy and in pods.";

/// How often the files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long the server waits for a token of its own before it says that it isn't ready, and how often it tries again.
const OWN_TOKEN_TIMEOUT: Duration = Duration::from_secs(20);
const OWN_TOKEN_PAUSE: Duration = Duration::from_secs(1);

/// The upper ends of the buckets of durations, in seconds: from a quick call to the time limit of a slow one.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0];

/// How often old values of histograms are dropped.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Gives impersonated tokens to programs in any language, as a policy says.
///
/// It is a metadata server for Google's libraries, an authorization service for Envoy, and a token endpoint (RFC 8693).
/// A changed policy file is read again within two seconds, or at once on SIGHUP. One with a mistake is reported, and the
/// policy before it stays in force. The same holds for the files of TLS. Stops on SIGINT or SIGTERM, after the replies to
/// requests in progress.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The policy file: who may act as which account
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    sockets: SocketArguments,
    /// The largest number of identities that are kept
    #[arg(long, value_name = "NUMBER", default_value_t = ImpersonationPool::CAPACITY)]
    capacity: usize,
    /// The largest number of tokens that are fetched at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = ImpersonationPool::MAX_IN_FLIGHT)]
    max_in_flight: usize,
    /// The largest number of tokens that are fetched in a minute; this process's part of the project's quota
    #[arg(long, value_name = "NUMBER", default_value_t = ImpersonationPool::MAX_FETCHES_PER_MINUTE)]
    max_fetches_per_minute: u32,
    /// How long the server goes on after a signal, while /readyz already says that it stops: 5s; default: not at all
    #[arg(long, value_name = "TIME", value_parser = duration)]
    drain_delay: Option<Duration>,
    /// How long requests in progress may take after that
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    stop_timeout: Duration,
    /// The form of the log
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    #[command(flatten)]
    source: SourceArguments,
}

impl Arguments {
    pub(crate) const fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(arguments));
    runtime.shutdown_background();
    result
}

async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    // Before the server starts, so that an early signal isn't lost.
    let (mut signals, mut reload) = (StopSignals::new()?, Reload::new()?);
    let recorder = install_recorder()?;
    let (mut policy, first) = PolicyFile::open(&arguments.policy)?;
    let pool = ImpersonationPool::builder(arguments.source.client()?)
        .capacity(arguments.capacity)
        .max_in_flight(arguments.max_in_flight)
        .max_fetches_per_minute(arguments.max_fetches_per_minute)
        .build();
    let broker = Broker::new(pool, first);
    let (sockets, mut tls) = arguments.sockets.of(BrokerServer::builder(broker.clone()))?;
    let pages = recorder.clone();
    let server = sockets.metrics(move || pages.render()).start().await?;
    arguments.sockets.announce(server.addresses())?;
    server.set_ready(false);

    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut upkeep = interval(UPKEEP_EVERY);
    let mut own_token = std::pin::pin!(own_token(&broker));
    let mut has_token = false;
    loop {
        tokio::select! {
            _ = signals.next() => break,
            () = own_token.as_mut(), if !has_token => {
                has_token = true;
                server.set_ready(true);
            }
            _ = upkeep.tick() => recorder.run_upkeep(),
            _ = look.tick() => {
                policy.look(&broker);
                tls.look(&server);
            }
            () = reload.next() => {
                policy.read_again(&broker);
                tls.look(&server);
            }
        }
    }
    stop(server, arguments, &mut signals).await;
    Ok(())
}

/// Starts to record metrics, in the form that Prometheus reads.
fn install_recorder() -> Result<PrometheusHandle, Failure> {
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS);
    let recorder = builder.and_then(PrometheusBuilder::install_recorder);
    let recorder = recorder.map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
    metrics::describe();
    Ok(recorder)
}

/// Waits until the source has given a token: before, no request can succeed. An outage after that doesn't matter here,
/// because the tokens in the cache are still good.
async fn own_token(broker: &Broker) {
    let credentials = broker.pool().client().credentials();
    loop {
        let end = Instant::now() + OWN_TOKEN_PAUSE;
        match timeout(OWN_TOKEN_TIMEOUT, credentials.token()).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => eprintln!("iamcreds: not ready: {error:#}"),
            Err(_) => eprintln!("iamcreds: not ready: the source gives no token"),
        }
        tokio::time::sleep_until(end).await;
    }
}

/// Stops the server. A second signal ends the waiting.
async fn stop(server: BrokerServer, arguments: &Arguments, signals: &mut StopSignals) {
    server.set_ready(false);
    let drained = async {
        if let Some(delay) = arguments.drain_delay {
            sleep(delay).await;
        }
        server.stop(arguments.stop_timeout).await;
    };
    tokio::select! {
        () = drained => {}
        _ = signals.next() => {}
    }
}
