//! Runs a world, and says what happened to each call.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tonic::transport::Endpoint;
use tower::ServiceBuilder;

use super::clock::Clock;
use super::host::{Host, MARK};
use super::inner_service::Bounded;
use super::pipe::Flow;
use super::server::{Entry, Mode, Server};
use super::source::{Impersonated, Source, TARGET};
use super::world::{Caller, Event, Fault, World};
use crate::client::transport::{CONNECT_TIMEOUT, Connect, HANDSHAKE_TIMEOUT};
use crate::credentials::TimeSource;
use crate::proto::SignBlobRequest;
use crate::proto::iam_credentials_client::IamCredentialsClient as Stub;
use crate::{Credentials, Error, IamCredentialsClient, RetryPolicy};

/// Longer than any call may take.
const TOO_LONG: Duration = Duration::from_secs(200);

/// What happened to one call.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) ended: Duration,
    pub(super) result: Result<(), Failure>,
    /// How many of its requests were written to a connection.
    pub(super) sent: u32,
    pub(super) journal: Entry,
}

#[derive(Clone, Debug)]
pub(super) enum Failure {
    OfCall(Error),
    OfLayer(Box<tonic::Status>),
    WrongReply,
    NeverEnded,
}

/// What happened in a world.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) connections: usize,
    pub(super) requests: u32,
    pub(super) tasks_left: usize,
}

/// Runs the world on a runtime of its own.
pub(super) fn run(world: &World) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    let report = runtime.block_on(async { Place::new(world).run(world).await });
    runtime.shutdown_background();
    report
}

/// The machines of a world and what runs on them.
struct Place {
    clock: Clock,
    iam: (Arc<Host>, Server),
    other: (Arc<Host>, Server),
    source: Arc<Source>,
    servers: JoinSet<()>,
}

impl Place {
    fn new(world: &World) -> Self {
        let clock = Clock::new(world.seed);
        let mut servers = JoinSet::new();
        let mut machine = || {
            let (host, incoming) = Host::new(world.latency, world.setup);
            let server = Server::new(world.answer, world.lifetime, clock.clone());
            servers.spawn(server.clone().serve(incoming));
            (host, server)
        };
        let (iam, other) = (machine(), machine());
        Self { clock, iam, other, source: Arc::default(), servers }
    }

    async fn run(mut self, world: &World) -> Report {
        let clients = Clients::new(&self);
        let mut calls = JoinSet::new();
        for (number, caller) in world.callers.iter().copied().enumerate() {
            let (clients, clock) = (clients.clone(), self.clock.clone());
            calls.spawn(async move {
                sleep_until(clock.instant(caller.at)).await;
                let call = timeout(TOO_LONG, clients.call(number, caller)).await;
                (number, clock.elapsed(), call.unwrap_or(Err(Failure::NeverEnded)))
            });
        }
        drop(clients);
        let mut faults = JoinSet::new();
        for event in world.events.iter().copied() {
            faults.spawn(self.happen(event));
        }
        let mut ended = calls.join_all().await;
        faults.join_all().await;
        ended.sort_by_key(|(number, ..)| *number);
        let outcomes = ended.into_iter().map(|(number, ended, result)| {
            let (host, server) = if world.callers[number].through_layer { &self.other } else { &self.iam };
            Outcome { ended, result, sent: host.sent(number), journal: server.journal(number) }
        });
        let outcomes = outcomes.collect();
        let (connections, requests) = (self.iam.0.established(), self.iam.0.total_sent());
        self.servers.shutdown().await;
        // A channel's worker that is connecting notices only then that its channel is gone.
        sleep(CONNECT_TIMEOUT + HANDSHAKE_TIMEOUT).await;
        let tasks_left = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Report { outcomes, connections, requests, tasks_left }
    }

    /// Returns a task that lets the event happen in its time.
    fn happen(&self, event: Event) -> impl Future<Output = ()> + Send + 'static {
        let (host, server) = if event.at_other_api { self.other.clone() } else { self.iam.clone() };
        let (source, clock) = (Arc::clone(&self.source), self.clock.clone());
        async move {
            sleep_until(clock.instant(event.at)).await;
            begin(event, &host, &server, &source);
            sleep(event.fault.lasts()).await;
            end(event.fault, &host, &server, &source, &clock);
        }
    }
}

fn begin(event: Event, host: &Host, server: &Server, source: &Source) {
    let flow = |holds| if holds { Flow::Holds } else { Flow::Delivers };
    match event.fault {
        Fault::Mode(mode, _) => server.set_mode(mode),
        Fault::Restart(_) => host.stop(),
        Fault::Reset => host.reset_connections(),
        Fault::Goaway => server.send_goaway(),
        Fault::Holds(to_server, to_client, _) => {
            host.set_flow(flow(to_server), flow(to_client), Duration::ZERO);
        }
        Fault::Loses(to_server, to_client) => host.lose_connections(to_server, to_client),
        Fault::Stalls(_) => host.set_stalls(true),
        Fault::Revokes if event.at_other_api => server.reject_last_issued(),
        Fault::Revokes => server.reject(&source.revoke()),
        Fault::SourceFails(_) => {
            source.set_fails(true);
            server.reject(&source.revoke());
        }
    }
}

fn end(fault: Fault, host: &Host, server: &Server, source: &Source, clock: &Clock) {
    match fault {
        Fault::Mode(..) => server.set_mode(Mode::Works),
        Fault::Restart(_) => host.start(),
        Fault::Holds(..) => {
            // What was lost is sent again after a while.
            host.set_flow(Flow::Delivers, Flow::Delivers, Duration::from_secs_f64(clock.jitter()));
        }
        Fault::Stalls(_) => host.set_stalls(false),
        Fault::SourceFails(_) => source.set_fails(false),
        Fault::Reset | Fault::Goaway | Fault::Loses(..) | Fault::Revokes => {}
    }
}

/// The client, and a stub of the other API with the layer.
#[derive(Clone)]
struct Clients {
    client: Arc<IamCredentialsClient>,
    stub: Stub<crate::bearer::BearerService<Bounded>>,
}

impl Clients {
    fn new(place: &Place) -> Self {
        let clock = place.clock.clone();
        let source = Credentials::with_time_source(place.source.clone(), clock.clone());
        let client =
            IamCredentialsClient::builder().credentials(source).endpoint("http://127.0.0.1:1").build_over(
                Some(connect(&place.iam.0)),
                Box::new({
                    let clock = clock.clone();
                    move || clock.jitter()
                }),
            );
        let client = Arc::new(client.unwrap());
        let acting = Arc::new(Impersonated(Arc::clone(&client)));
        let acting = Credentials::with_time_source(acting, clock);
        let endpoint = Endpoint::from_static("http://127.0.0.1:2").connect_timeout(CONNECT_TIMEOUT);
        let channel = connect(&place.other.0)(&endpoint);
        let service = ServiceBuilder::new().layer(acting.layer()).service(Bounded(channel));
        Self { client, stub: Stub::new(service) }
    }

    async fn call(mut self, number: usize, caller: Caller) -> Result<(), Failure> {
        let payload = [MARK, format!("{number:06}").as_bytes()].concat();
        let signature = if caller.through_layer {
            let message = SignBlobRequest { payload: payload.clone(), ..SignBlobRequest::default() };
            let mut request = tonic::Request::new(message);
            request.set_timeout(caller.timeout);
            let reply = self.stub.sign_blob(request).await;
            reply.map_err(|status| Failure::OfLayer(Box::new(status)))?.into_inner().signed_blob
        } else {
            let mut policy = RetryPolicy::new();
            if let Some(limit) = caller.max_attempts {
                policy = policy.max_attempts(limit);
            }
            let call = self.client.sign_blob(TARGET, payload.clone()).retry(policy).timeout(caller.timeout);
            let call = call.attempt_timeout(caller.attempt_timeout);
            call.await.map_err(Failure::OfCall)?.into_signature()
        };
        if signature == payload { Ok(()) } else { Err(Failure::WrongReply) }
    }
}

/// Connects channels to a host.
fn connect(host: &Arc<Host>) -> Connect {
    let host = Arc::clone(host);
    let connector = tower::service_fn(move |_: http::Uri| {
        let host = Arc::clone(&host);
        async move { host.connect().await.map(TokioIo::new) }
    });
    Box::new(move |endpoint| endpoint.connect_with_connector_lazy(connector.clone()))
}
