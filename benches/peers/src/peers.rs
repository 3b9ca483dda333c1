//! The peers, one file each.

mod gcloud_sdk;
mod gcp_auth;
mod google_cloud_auth;
mod iam_credentials_v1;
mod ours;
mod yup_oauth2;

use std::process::Command;

use crate::BoxError;
use crate::child::Order;
use crate::measure::measure as measure_peer;
use crate::peer::Peer;
use gcloud_sdk::GcloudSdk;
use gcp_auth::GcpAuth;
use google_cloud_auth::GoogleCloudAuth;
use iam_credentials_v1::IamCredentialsV1;
use ours::Ours;
use yup_oauth2::YupOauth2;

/// The names of all peers, in the table's order.
pub const NAMES: [&str; 6] = [
    Ours::NAME,
    GoogleCloudAuth::NAME,
    IamCredentialsV1::NAME,
    GcloudSdk::NAME,
    YupOauth2::NAME,
    GcpAuth::NAME,
];

/// Makes a measurement in this process, and returns a text for each of its rows.
pub fn measure(order: &Order) -> Result<Vec<String>, BoxError> {
    match order.peer.as_str() {
        Ours::NAME => measure_peer::<Ours>(order),
        GoogleCloudAuth::NAME => measure_peer::<GoogleCloudAuth>(order),
        IamCredentialsV1::NAME => measure_peer::<IamCredentialsV1>(order),
        GcloudSdk::NAME => measure_peer::<GcloudSdk>(order),
        YupOauth2::NAME => measure_peer::<YupOauth2>(order),
        GcpAuth::NAME => measure_peer::<GcpAuth>(order),
        other => Err(format!("no peer is named `{other}`").into()),
    }
}

/// Returns how a peer comes to its tokens.
pub fn acts_as(name: &str) -> &'static str {
    match name {
        Ours::NAME => Ours::ACTS_AS,
        GoogleCloudAuth::NAME => GoogleCloudAuth::ACTS_AS,
        IamCredentialsV1::NAME => IamCredentialsV1::ACTS_AS,
        GcloudSdk::NAME => GcloudSdk::ACTS_AS,
        YupOauth2::NAME => YupOauth2::ACTS_AS,
        _ => GcpAuth::ACTS_AS,
    }
}

/// Removes what a developer's machine would add to a measurement.
pub fn forget_environment(command: &mut Command) {
    for name in [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_QUOTA_PROJECT",
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
        "IAM_CREDENTIALS_EMULATOR_HOST",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        command.env_remove(name);
    }
}

/// Returns the source of a minimal program that gets one token.
pub fn minimal_program(name: &str) -> &'static str {
    match name {
        Ours::NAME => include_str!("../minimal/gcp_iam_credentials.rs"),
        GoogleCloudAuth::NAME => include_str!("../minimal/google_cloud_auth.rs"),
        IamCredentialsV1::NAME => include_str!("../minimal/iam_credentials_v1.rs"),
        GcloudSdk::NAME => include_str!("../minimal/gcloud_sdk.rs"),
        YupOauth2::NAME => include_str!("../minimal/yup_oauth2.rs"),
        _ => include_str!("../minimal/gcp_auth.rs"),
    }
}

/// Whether the minimal program of a peer depends on `package`.
pub fn needs(peer: &str, package: &str) -> bool {
    peer == package || peer == IamCredentialsV1::NAME && package == GoogleCloudAuth::NAME
}
