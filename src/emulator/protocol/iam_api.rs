//! IAM's own API, and what `gcloud` needs of Cloud Resource Manager and Service Usage: with it, clients grant,
//! list, create and disable as they do at Google.

mod call;
mod keys;
mod operation;
mod policies;
mod projects;
mod query;
mod service_accounts;
mod target;

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use serde_json::{Value, json};

use self::call::Call;
use self::operation::Operation;
use self::query::Query;
pub(crate) use self::target::Target;
use super::rest::read_body;
use super::rest::system_parameters::SystemParameters;
use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::principal::Principal;
use crate::emulator::journal::Protocol;
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;

/// Handles a request.
pub(crate) async fn handle(
    state: Arc<EmulatorState>,
    target: Target,
    request: Request<Body>,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let query = Query::take(&mut head.uri, target.operation.parameters());
    let parameters = SystemParameters::read(&mut head);
    let result = match RequestContext::new(state, head.headers, Protocol::Rest, &head.extensions) {
        Ok(context) => answer(&context, &target, query, body, &parameters).await,
        Err(error) => Err(error),
    };
    parameters.respond(result)
}

async fn answer(
    context: &RequestContext,
    target: &Target,
    query: Query,
    body: Body,
    parameters: &SystemParameters,
) -> Result<Value, ApiError> {
    let mut record = context.begin(RequestSummary::of_name(Method::IamAdmin, &target.name())).await?;
    let identities = &context.state.identities;
    let called = target.operation.called();
    let result = async {
        let principal = Principal::identify(identities, &context.headers, called)?;
        record.set_principal(principal.name());
        principal.check_scopes(called)?;
        parameters.check(target.operation.reply_fields())?;
        let fields = read_body(&context.headers, body, parameters).await?;
        perform(Call { state: &context.state, identities, principal, target, query, fields }).await
    };
    let result = result.await;
    record.finish(result.as_ref().err());
    result
}

async fn perform(call: Call<'_>) -> Result<Value, ApiError> {
    match call.target.operation {
        Operation::GetAccount => service_accounts::get(call),
        Operation::ListAccounts => service_accounts::list(call),
        Operation::CreateAccount => service_accounts::create(call),
        Operation::PatchAccount => service_accounts::patch(call),
        Operation::EnableAccount => service_accounts::set_disabled(call, false),
        Operation::DisableAccount => service_accounts::set_disabled(call, true),
        Operation::DeleteAccount => service_accounts::delete(call),
        Operation::UndeleteAccount => service_accounts::undelete(call),
        Operation::GetAccountPolicy | Operation::GetProjectPolicy => policies::get(call),
        Operation::SetAccountPolicy | Operation::SetProjectPolicy => policies::set(call),
        Operation::TestAccountPermissions | Operation::TestProjectPermissions => policies::test(call),
        Operation::GetKey => keys::get(call),
        Operation::ListKeys => keys::list(call),
        Operation::CreateKey => keys::create(call).await,
        Operation::DeleteKey => keys::delete(call),
        Operation::GetProject => projects::get(call),
        Operation::GetService => projects::get_service(call),
        Operation::EnableService => projects::enable(call),
        Operation::EnableServices => projects::enable_all(call),
        Operation::DisableService => projects::disable(call),
    }
}

/// The reply of a method that returns nothing.
fn empty() -> Value {
    json!({})
}
