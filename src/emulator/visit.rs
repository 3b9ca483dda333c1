//! Requests for pages, as opposed to calls of the API: written down and struck by faults alike.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderMap, Response};
use serde_json::Value;

use super::api::{self, Recorder};
use super::exchange::Exchange;
use super::journal::{JournalEntry, Protocol, RequestFields, presentable};
use super::method::Method;
use super::refusal::Refusal;
use super::rest::Json;
use super::world::World;

/// A request for a page.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    pub(super) world: &'a World,
    pub(super) headers: &'a HeaderMap,
    pub(super) exchange: &'a Exchange,
    pub(super) method: Method,
    /// The account or the path that is asked for.
    pub(super) name: &'a str,
    pub(super) fields: RequestFields,
}

impl<'a> Visit<'a> {
    /// Writes the request down and lets faults strike.
    pub(super) async fn begin(self) -> Result<Recorder<'a>, Refusal> {
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
    pub(super) fn refuse(self, refusal: &Refusal) {
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
    pub(super) async fn answer(self, page: impl Future<Output = Result<Value, Refusal>>) -> Response<Body> {
        let record = match self.begin().await {
            Ok(record) => record,
            Err(refusal) => return refusal.into_response(),
        };
        let result = page.await;
        record.finish(result.as_ref().err());
        result.map(Json).into_response()
    }
}
