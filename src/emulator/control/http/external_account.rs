//! The pages of credential files of external accounts.

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{Reply, requests};
use crate::emulator::control::commands::Commands;
use crate::emulator::control::external_account_file::{ExternalAccountFile, SubjectTokenSource};
use crate::emulator::reply::Json;

/// What the file contains.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Parameters {
    source: String,
    path: Option<String>,
    target: Option<String>,
    lifetime: Option<String>,
    #[serde(rename = "userProject")]
    user_project: Option<String>,
}

/// Returns the credential file of an external account.
pub(super) async fn file(
    State(commands): State<Commands>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> Reply {
    let mut file = ExternalAccountFile::new();
    if let Some(source) = SubjectTokenSource::from_name(&query.source, query.path)? {
        file = file.source(source);
    }
    if let Some(target) = &query.target {
        file = file.impersonate(target);
    }
    if let Some(lifetime) = &query.lifetime {
        file = file.lifetime(requests::duration("lifetime", lifetime)?);
    }
    if let Some(project) = &query.user_project {
        file = file.user_project(project);
    }
    Ok(Json(commands.external_account_file(&name, &file)?))
}

/// Returns the credential file of a person who signed in.
pub(super) async fn authorized_user(State(commands): State<Commands>, Path(name): Path<String>) -> Reply {
    Ok(Json(commands.external_account_authorized_user_file(&name)?))
}

/// Returns the file that says where a person signs in.
pub(super) async fn login_config(State(commands): State<Commands>, Path(name): Path<String>) -> Reply {
    Ok(Json(commands.login_config_file(&name)?))
}
