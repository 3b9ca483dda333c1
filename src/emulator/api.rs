//! The four methods, independent of the protocol.

pub(crate) mod context;
mod methods;
pub(crate) mod record;
pub(crate) mod request;

use self::context::{RequestContext, RequestSummary};
use self::record::JournalRecord;
use self::request::{ApiRequest, RequestOptions};
use super::error::ApiError;
use super::iam::authorization::{self, Chain};
use super::iam::principal::Principal;

/// Handles a request of the API: records it, applies faults, authorizes, then performs the method.
pub(crate) async fn handle<Q: ApiRequest>(
    context: &RequestContext,
    options: RequestOptions,
    request: Q,
) -> Result<Q::Reply, ApiError> {
    let mut record = context.record(RequestSummary {
        method: Q::METHOD,
        name: request.name(),
        delegates: request.delegates(),
        fields: request.fields(),
    });
    let result = perform(context, options, request, &mut record).await;
    record.finish(result.as_ref().err());
    result
}

async fn perform<Q: ApiRequest>(
    context: &RequestContext,
    options: RequestOptions,
    request: Q,
    record: &mut JournalRecord<'_>,
) -> Result<Q::Reply, ApiError> {
    context.apply_fault(Q::METHOD, request.name(), record).await?;
    let identities = &context.state.identities;
    let principal = Principal::identify(identities, &context.headers, Q::METHOD)?;
    record.set_principal(principal.name());
    principal.check_scopes(Q::METHOD)?;
    let chain = Chain::parse(identities, request.delegates(), request.name())?;
    authorization::check_projects(identities, &principal, &context.headers, chain.target())?;
    request.check()?;
    let target = authorization::authorize(identities, &principal, Q::METHOD, &chain)?;
    request.check_for_target(identities, &target)?;
    request.perform(identities, &target, options).await
}
