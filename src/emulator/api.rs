//! The four methods, whatever protocol they came over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tonic::Code;

use crate::parse_service_account_path;
use crate::proto::{
    GenerateAccessTokenRequest, GenerateAccessTokenResponse, GenerateIdTokenRequest, GenerateIdTokenResponse,
    SignBlobRequest, SignBlobResponse, SignJwtRequest, SignJwtResponse,
};

use super::account::{Account, is_well_formed};
use super::caller::Caller;
use super::clock::unix;
use super::exchange::Exchange;
use super::fault::Blow;
use super::journal::{JournalEntry, Outcome, Protocol, RequestFields, presentable};
use super::jwt;
use super::method::Method;
use super::refusal::Refusal;
use super::world::{IdClaims, World};

/// The lifetime of an access token where none is asked for.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// The longest lifetime of all; an account whose lifetime is not extended gets an hour.
const LONGEST_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The furthest ahead that `exp` may be in a JWT to sign.
const LONGEST_JWT: i64 = 12 * 3600;

/// A request of the API.
pub(super) trait ApiRequest: Sized + Send {
    type Reply: Send;
    const METHOD: Method;

    fn name(&self) -> &str;
    fn delegates(&self) -> &[String];
    fn fields(&self) -> RequestFields;
    /// Refuses bad arguments.
    fn check(&self, world: &World) -> Result<(), Refusal>;
    fn perform(
        self,
        world: &World,
        target: &Account,
        options: &Options,
    ) -> impl Future<Output = Result<Self::Reply, Refusal>> + Send;
}

/// What REST callers can ask for beyond the proto.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) email_azp: bool,
}

/// A request as it came in, but for its message.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) exchange: &'a Exchange,
    pub(super) protocol: Protocol,
    pub(super) options: Options,
}

/// Answers a request and keeps the journal.
pub(super) async fn answer<Q: ApiRequest>(
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
    let target = account(world, request.name())?;
    request.delegates().iter().try_for_each(|delegate| account(world, delegate).map(drop))?;
    request.check(world)?;
    request.perform(world, &target, &arrival.options).await
}

/// Lets the faults in force strike.
pub(super) async fn suffer(
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
pub(super) struct Recorder<'a> {
    world: &'a World,
    sequence: u64,
    pub(super) caller: Option<String>,
    pub(super) fault: bool,
    done: bool,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(world: &'a World, sequence: u64) -> Self {
        Self { world, sequence, caller: None, fault: false, done: false }
    }

    pub(super) fn finish(mut self, refusal: Option<&Refusal>) {
        self.write(Outcome {
            code: refusal.map_or(Code::Ok, Refusal::code),
            reason: refusal.and_then(Refusal::reason).map(str::to_owned),
            message: refusal.map(|refusal| refusal.message().to_owned()),
            hop: refusal.and_then(Refusal::hop),
            fault: self.fault,
        });
    }

    pub(super) fn finish_with(mut self, code: Code, reason: Option<String>, message: Option<String>) {
        let fault = self.fault;
        self.write(Outcome { code, reason, message, hop: None, fault });
    }

    fn write(&mut self, outcome: Outcome) {
        self.done = true;
        let caller = self.caller.take();
        self.world.journal.amend(self.sequence, |entry| {
            entry.caller = caller;
            entry.outcome = Some(outcome);
        });
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

fn account(world: &World, name: &str) -> Result<Arc<Account>, Refusal> {
    let (project, account) = parse_service_account_path(name).ok_or_else(Refusal::invalid_argument)?;
    if project != "-" {
        return Err(Refusal::invalid_argument());
    }
    if !is_well_formed(account) {
        return Err(Refusal::malformed_account(account));
    }
    Ok(world.accounts.get(account))
}

impl ApiRequest for GenerateAccessTokenRequest {
    type Reply = GenerateAccessTokenResponse;
    const METHOD: Method = Method::GenerateAccessToken;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields {
            scopes: self.scope.clone(),
            lifetime: self.lifetime.and_then(|lifetime| lifetime.try_into().ok()),
            ..RequestFields::default()
        }
    }

    fn check(&self, _: &World) -> Result<(), Refusal> {
        lifetime(self)?;
        if self.scope.is_empty() || self.scope.iter().any(|scope| scope.trim().is_empty()) {
            return Err(Refusal::invalid_argument());
        }
        Ok(())
    }

    async fn perform(self, world: &World, target: &Account, _: &Options) -> Result<Self::Reply, Refusal> {
        let lifetime = lifetime(&self)?;
        let (access_token, expires) = world.issue(target.member(), self.scope.into(), lifetime)?;
        Ok(GenerateAccessTokenResponse { access_token, expire_time: Some(timestamp(world, expires)) })
    }
}

fn lifetime(request: &GenerateAccessTokenRequest) -> Result<Duration, Refusal> {
    let Some(lifetime) = request.lifetime else { return Ok(DEFAULT_LIFETIME) };
    let lifetime = Duration::try_from(lifetime).map_err(|_| Refusal::invalid_argument())?;
    if lifetime.is_zero() || lifetime > LONGEST_LIFETIME {
        return Err(Refusal::invalid_argument());
    }
    Ok(lifetime)
}

/// Google's times of expiry are whole seconds.
fn timestamp(world: &World, instant: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: unix(world.clock.shown(instant)), nanos: 0 }
}

impl ApiRequest for GenerateIdTokenRequest {
    type Reply = GenerateIdTokenResponse;
    const METHOD: Method = Method::GenerateIdToken;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields {
            audience: Some(self.audience.clone()),
            include_email: self.include_email,
            ..RequestFields::default()
        }
    }

    fn check(&self, _: &World) -> Result<(), Refusal> {
        if self.audience.is_empty() { Err(Refusal::invalid_argument()) } else { Ok(()) }
    }

    async fn perform(
        self,
        world: &World,
        target: &Account,
        options: &Options,
    ) -> Result<Self::Reply, Refusal> {
        let claims = IdClaims {
            audience: &self.audience,
            include_email: self.include_email,
            email_azp: options.email_azp,
        };
        Ok(GenerateIdTokenResponse { token: world.id_token(target, &claims).await? })
    }
}

impl ApiRequest for SignBlobRequest {
    type Reply = SignBlobResponse;
    const METHOD: Method = Method::SignBlob;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields { payload_len: Some(self.payload.len()), ..RequestFields::default() }
    }

    fn check(&self, _: &World) -> Result<(), Refusal> {
        Ok(())
    }

    async fn perform(self, world: &World, target: &Account, _: &Options) -> Result<Self::Reply, Refusal> {
        let payload = self.payload;
        world
            .with_key(target, move |key| {
                Ok(SignBlobResponse { key_id: key.id().to_owned(), signed_blob: key.sign(&payload)? })
            })
            .await
    }
}

impl ApiRequest for SignJwtRequest {
    type Reply = SignJwtResponse;
    const METHOD: Method = Method::SignJwt;

    fn name(&self) -> &str {
        &self.name
    }

    fn delegates(&self) -> &[String] {
        &self.delegates
    }

    fn fields(&self) -> RequestFields {
        RequestFields { payload_len: Some(self.payload.len()), ..RequestFields::default() }
    }

    fn check(&self, world: &World) -> Result<(), Refusal> {
        let claims: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.payload).map_err(|_| Refusal::invalid_argument())?;
        let Some(exp) = claims.get("exp") else { return Ok(()) };
        let now = world.clock.shown_unix();
        match exp.as_i64() {
            Some(exp) if exp >= now && exp <= now + LONGEST_JWT => Ok(()),
            _ => Err(Refusal::invalid_argument()),
        }
    }

    async fn perform(self, world: &World, target: &Account, _: &Options) -> Result<Self::Reply, Refusal> {
        let payload = self.payload;
        world
            .with_key(target, move |key| {
                Ok(SignJwtResponse { key_id: key.id().to_owned(), signed_jwt: jwt::sign(key, &payload)? })
            })
            .await
    }
}
