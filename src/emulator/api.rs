//! The four methods, whatever protocol they came over.

pub(crate) mod context;
mod methods;

use http::HeaderMap;
use tonic::Code;

use crate::parse_service_account_path;

use crate::emulator::error::Refusal;
use crate::emulator::faults::Blow;
use crate::emulator::iam::account::Account;
use crate::emulator::iam::authorization;
use crate::emulator::iam::principal::Caller;
use crate::emulator::journal::{JournalEntry, Outcome, Protocol, RequestFields, presentable};
use crate::emulator::method::Method;
use crate::emulator::server::exchange::Exchange;
use crate::emulator::state::World;

/// A request of the API.
pub(crate) trait ApiRequest: Sized + Send {
    type Reply: Send;
    const METHOD: Method;

    fn name(&self) -> &str;
    fn delegates(&self) -> &[String];
    fn fields(&self) -> RequestFields;
    /// Refuses bad arguments.
    fn check(&self) -> Result<(), Refusal>;
    /// Refuses arguments that are bad for this target, or at this time.
    fn check_now(&self, _world: &World, _target: &Account) -> Result<(), Refusal> {
        Ok(())
    }
    fn perform(
        self,
        world: &World,
        target: &Account,
        options: &Options,
    ) -> impl Future<Output = Result<Self::Reply, Refusal>> + Send;
}

/// What REST callers can ask for beyond the proto.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// `azp` of an ID token is the e-mail address: `useEmailAzp`.
    pub(crate) email_azp: bool,
    /// An ID token tells the organisation: `organizationNumberIncluded`.
    pub(crate) organization: bool,
}

/// A request as it came in, but for its message.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) exchange: &'a Exchange,
    pub(crate) protocol: Protocol,
    pub(crate) options: Options,
}

/// Answers a request and keeps the journal.
pub(crate) async fn answer<Q: ApiRequest>(
    world: &World,
    arrival: Arrival<'_>,
    request: Q,
) -> Result<Q::Reply, Refusal> {
    let sequence = world.journal.begin(JournalEntry {
        sequence: 0,
        received_at: world.clock.now(),
        method: Q::METHOD,
        protocol: arrival.protocol,
        connection: arrival.exchange.connection(),
        caller: None,
        name: request.name().to_owned(),
        delegates: request.delegates().to_vec(),
        fields: request.fields(),
        metadata: presentable(arrival.headers),
        outcome: None,
    });
    let mut record = Recorder::new(world, sequence);
    let result = serve(world, &arrival, request, &mut record).await;
    record.finish(result.as_ref().err());
    result
}

async fn serve<Q: ApiRequest>(
    world: &World,
    arrival: &Arrival<'_>,
    request: Q,
    record: &mut Recorder<'_>,
) -> Result<Q::Reply, Refusal> {
    suffer(world, arrival.exchange, Q::METHOD, account_segment(request.name()), record).await?;
    let caller = Caller::identify(world, arrival.headers, Q::METHOD)?;
    record.caller = Some(caller.member().to_string());
    caller.check_scopes(Q::METHOD)?;
    let chain = authorization::Chain::parse(world, request.delegates(), request.name())?;
    authorization::check_projects(world, &caller, arrival.headers, chain.target())?;
    request.check()?;
    let target = authorization::authorise(world, &caller, Q::METHOD, &chain)?;
    request.check_now(world, &target)?;
    request.perform(world, &target, &arrival.options).await
}

/// Lets the faults in force strike.
pub(crate) async fn suffer(
    world: &World,
    exchange: &Exchange,
    method: Method,
    account: &str,
    record: &mut Recorder<'_>,
) -> Result<(), Refusal> {
    let Some(strike) = world.faults.strike(method, account) else { return Ok(()) };
    record.fault = true;
    if !strike.delay.is_zero() {
        tokio::time::sleep(strike.delay).await;
    }
    match strike.blow {
        Blow::None => Ok(()),
        Blow::Refuse(refusal) => Err(refusal),
        Blow::Hang => std::future::pending().await,
        Blow::Wire(fault) => {
            exchange.suffer(fault);
            Ok(())
        }
    }
}

/// Completes a journal entry, also when the request is dropped half-way.
pub(crate) struct Recorder<'a> {
    world: &'a World,
    sequence: u64,
    pub(crate) caller: Option<String>,
    pub(crate) fault: bool,
    done: bool,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(world: &'a World, sequence: u64) -> Self {
        Self { world, sequence, caller: None, fault: false, done: false }
    }

    pub(crate) fn finish(mut self, refusal: Option<&Refusal>) {
        self.write(Outcome {
            code: refusal.map_or(Code::Ok, Refusal::code),
            reason: refusal.and_then(Refusal::reason).map(str::to_owned),
            message: refusal.map(|refusal| refusal.message().to_owned()),
            hop: refusal.and_then(Refusal::hop),
            fault: self.fault,
        });
    }

    pub(crate) fn finish_with(mut self, code: Code, reason: Option<String>, message: Option<String>) {
        let fault = self.fault;
        self.write(Outcome { code, reason, message, hop: None, fault });
    }

    fn write(&mut self, outcome: Outcome) {
        self.done = true;
        let caller = self.caller.take();
        let logged = tracing::enabled!(tracing::Level::INFO);
        let mut finished = None;
        self.world.journal.amend(self.sequence, |entry| {
            entry.caller = caller;
            entry.outcome = Some(outcome);
            finished = logged.then(|| entry.clone());
        });
        // Outside of the journal's lock: a subscriber may take its time.
        if let Some(JournalEntry { method, name, caller, outcome: Some(outcome), .. }) = finished {
            let Outcome { code, reason, hop, fault, .. } = outcome;
            tracing::info!(%method, name, caller, ?code, reason, hop, fault, "a request to the emulator");
        }
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if !self.done {
            let fault = self.fault;
            self.write(Outcome {
                code: Code::Cancelled,
                reason: None,
                message: Some("the caller left".to_owned()),
                hop: None,
                fault,
            });
        }
    }
}

/// The account in a resource name; the text itself where it is none.
fn account_segment(name: &str) -> &str {
    parse_service_account_path(name).map_or(name, |(_, account)| account)
}
