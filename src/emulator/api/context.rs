//! Requests for pages, as opposed to calls of the API: written down and struck by faults alike.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, Response};
use serde_json::Value;

use crate::emulator::api::{self, Recorder};
use crate::emulator::error::Refusal;
use crate::emulator::journal::{JournalEntry, Protocol, RequestFields, presentable};
use crate::emulator::method::Method;
use crate::emulator::protocol::rest::Json;
use crate::emulator::server::exchange::Exchange;
use crate::emulator::state::World;

/// A request for a page.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) world: &'a World,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) exchange: &'a Exchange,
    pub(crate) method: Method,
    /// The account or the path that is asked for.
    pub(crate) name: &'a str,
    pub(crate) fields: RequestFields,
}

impl<'a> Visit<'a> {
    /// Writes the request down and lets faults strike.
    pub(crate) async fn begin(self) -> Result<Recorder<'a>, Refusal> {
        let Self { world, exchange, method, name, .. } = self;
        let mut record = self.write_down();
        match api::suffer(world, exchange, method, name, &mut record).await {
            Ok(()) => Ok(record),
            Err(refusal) => {
                record.finish(Some(&refusal));
                Err(refusal)
            }
        }
    }

    /// Writes down a request that is refused before anything can strike it.
    pub(crate) fn refuse(self, refusal: &Refusal) {
        self.write_down().finish(Some(refusal));
    }

    fn write_down(self) -> Recorder<'a> {
        let Self { world, headers, exchange, method, name, fields } = self;
        let sequence = world.journal.begin(JournalEntry {
            sequence: 0,
            received_at: world.clock.now(),
            method,
            protocol: Protocol::Rest,
            connection: exchange.connection(),
            caller: None,
            name: name.to_owned(),
            delegates: Vec::new(),
            fields,
            metadata: presentable(headers),
            outcome: None,
        });
        Recorder::new(world, sequence)
    }

    /// Answers with JSON.
    pub(crate) async fn answer(self, page: impl Future<Output = Result<Value, Refusal>>) -> Response<Body> {
        let record = match self.begin().await {
            Ok(record) => record,
            Err(refusal) => return refusal.into_response(),
        };
        let result = page.await;
        record.finish(result.as_ref().err());
        result.map(Json).into_response()
    }
}
