//! One request in progress.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderMap, Response};
use serde_json::Value;

use super::record::JournalRecord;
use crate::emulator::error::ApiError;
use crate::emulator::faults::{FaultEffect, PlatformFault, Transport};
use crate::emulator::journal::{JournalEntry, Protocol, RequestFields, without_secrets};
use crate::emulator::method::Method;
use crate::emulator::reply::Json;
use crate::emulator::state::EmulatorState;

/// One request in progress, except for its message.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(crate) state: Arc<EmulatorState>,
    pub(crate) headers: HeaderMap,
    protocol: Protocol,
    transport: Transport,
}

/// What the journal and the faults need to know about a request.
#[derive(Debug)]
pub(crate) struct RequestSummary<'a> {
    pub(crate) method: Method,
    /// The resource name, the account or the path.
    pub(crate) name: &'a str,
    pub(crate) delegates: &'a [String],
    pub(crate) fields: RequestFields,
}

impl<'a> RequestSummary<'a> {
    /// Returns the summary of a request that has only a name.
    pub(crate) fn of_name(method: Method, name: &'a str) -> Self {
        Self { method, name, delegates: &[], fields: RequestFields::default() }
    }
}

impl RequestContext {
    /// Takes the transport from `extensions`, where the server has put it.
    pub(crate) fn new(
        state: Arc<EmulatorState>,
        headers: HeaderMap,
        protocol: Protocol,
        extensions: &http::Extensions,
    ) -> Result<Self, ApiError> {
        let transport = extensions.get::<Transport>().cloned();
        let transport = transport.ok_or_else(|| ApiError::internal("the request has no connection"))?;
        Ok(Self { state, headers, protocol, transport })
    }

    /// Adds the request to the journal.
    pub(crate) fn record(&self, request: RequestSummary<'_>) -> JournalRecord<'_> {
        let RequestSummary { method, name, delegates, fields } = request;
        let sequence = self.state.journal.add(JournalEntry {
            sequence: 0,
            received_at: self.state.clock.now(),
            method,
            protocol: self.protocol,
            connection: self.transport.connection(),
            principal: None,
            name: name.to_owned(),
            delegates: delegates.to_vec(),
            fields,
            headers: without_secrets(&self.headers),
            outcome: None,
        });
        JournalRecord::new(&self.state.journal, sequence)
    }

    /// Applies the fault in force, if there is one: waits, fails, hangs, or stores a wire fault that
    /// is applied to the reply.
    pub(crate) async fn apply_fault(
        &self,
        method: Method,
        name: &str,
        record: &mut JournalRecord<'_>,
    ) -> Result<(), ApiError> {
        let Some(fault) = self.state.faults.apply_to(method, name) else { return Ok(()) };
        record.set_by_fault();
        let delay = fault.delay_before();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match fault.into_effect() {
            FaultEffect::Delay => Ok(()),
            FaultEffect::Status(error) => Err(error),
            FaultEffect::Hang => std::future::pending().await,
            FaultEffect::Wire(fault) => {
                self.transport.set_fault(fault);
                Ok(())
            }
            // `apply_platform_fault` applies it.
            FaultEffect::Platform(_) => Ok(()),
        }
    }

    /// Applies the fault of a platform in force, if there is one among `kinds`: waits, and returns what is
    /// wrong.
    pub(crate) async fn apply_platform_fault(
        &self,
        kinds: &[PlatformFault],
        method: Method,
        account: &str,
        record: &mut JournalRecord<'_>,
    ) -> Option<PlatformFault> {
        let fault = self.state.faults.apply_platform(kinds, method, account)?;
        record.set_by_fault();
        let delay = fault.delay_before();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        fault.platform_fault()
    }

    /// Adds the request to the journal and applies the fault in force.
    pub(crate) async fn begin(&self, request: RequestSummary<'_>) -> Result<JournalRecord<'_>, ApiError> {
        let (method, name) = (request.method, request.name);
        let mut record = self.record(request);
        match self.apply_fault(method, name, &mut record).await {
            Ok(()) => Ok(record),
            Err(error) => {
                record.finish(Some(&error));
                Err(error)
            }
        }
    }

    /// Returns `reply` as JSON, after recording the request and applying the fault in force.
    pub(crate) async fn reply_json(
        &self,
        request: RequestSummary<'_>,
        reply: impl Future<Output = Result<Value, ApiError>>,
    ) -> Response<Body> {
        let record = match self.begin(request).await {
            Ok(record) => record,
            Err(error) => return error.into_response(),
        };
        let result = reply.await;
        record.finish(result.as_ref().err());
        result.map(Json).into_response()
    }
}

impl FromRequestParts<Arc<EmulatorState>> for RequestContext {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<EmulatorState>) -> Result<Self, ApiError> {
        Self::new(Arc::clone(state), parts.headers.clone(), Protocol::Rest, &parts.extensions)
    }
}
