//! The metadata server of Compute Engine and Cloud Run.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::{Response, StatusCode, Uri};
use tonic::Code;

use crate::emulator::api::context::{RequestContext, RequestSummary};
use crate::emulator::error::ApiError;
use crate::emulator::iam::account::Account;
use crate::emulator::iam::id_tokens::IdTokenClaims;
use crate::emulator::iam::machine;
use crate::emulator::method::Method;
use crate::emulator::state::EmulatorState;
use crate::metadata_protocol::{Backend, Machine, Query, Refusal, answer, failure, mark};
use crate::scopes::check::are_scopes;

/// The lifetime of a token: 1 h.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The metadata server returns the same token until this much of its life is left: 5 min.
const RENEWAL_MARGIN: Duration = Duration::from_secs(300);

pub(crate) fn routes() -> Router<Arc<EmulatorState>> {
    Router::new()
        .route("/", get(handle))
        .route("/computeMetadata", get(handle))
        .route("/computeMetadata/{*path}", get(handle))
        .route("/computeMetadata/", get(handle))
}

async fn handle(context: RequestContext, uri: Uri) -> Response<String> {
    let result = match context.begin(RequestSummary::of_name(Method::Metadata, uri.path())).await {
        Ok(record) => {
            let result = answer(&*context.state, &context.headers, &uri).await;
            record.finish(result.as_ref().err());
            result
        }
        Err(fault) => Err(fault),
    };
    let mut response = result.unwrap_or_else(|error| failure(error.http_status(), error.message()));
    mark(response.headers_mut());
    response
}

impl Backend for EmulatorState {
    type Failure = ApiError;

    fn machine(&self) -> Machine {
        machine::of(&self.identities)
    }

    async fn access_token(&self, scopes: &[String]) -> Result<(String, Duration), ApiError> {
        let account = account(self)?;
        if !are_scopes(scopes) {
            return Err(ApiError::new(Code::InvalidArgument, "Some requested scopes were invalid."));
        }
        let scopes = if scopes.is_empty() { machine::default_scopes() } else { scopes.to_vec() };
        let (token, expires) =
            self.identities.reuse_access_token(account.member(), scopes.into(), LIFETIME, RENEWAL_MARGIN)?;
        Ok((token, self.identities.time_until(expires)))
    }

    async fn id_token(&self, query: &Query) -> Result<String, ApiError> {
        let account = account(self)?;
        let wanted = IdTokenClaims {
            audience: &query.audience,
            subject: account.unique_id(),
            azp: account.unique_id(),
            email: query.full.then_some(account.email()),
            google: query.full.then(|| self.machine().claims(query.licenses)),
        };
        self.identities.issue_id_token(&wanted).await
    }
}

fn account(state: &EmulatorState) -> Result<Arc<Account>, ApiError> {
    machine::account(&state.identities).ok_or_else(|| Refusal::NOT_FOUND.into())
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.status {
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND => Code::NotFound,
            _ => Code::InvalidArgument,
        };
        Self::new(code, refusal.message)
    }
}
