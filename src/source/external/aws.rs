//! AWS as the source of subject tokens.
//!
//! A subject token is a signed request that asks AWS for the identity of its caller. Google's token
//! service sends it, and learns from AWS who signed it.

mod credentials;
mod metadata_server;
mod region;
mod signed_request;
#[cfg(feature = "emulator")]
#[cfg(test)]
mod tests;
mod verification_url;

use std::time::SystemTime;

use tokio::time::Instant;

use self::credentials::AwsCredentials;
pub(crate) use self::metadata_server::MetadataServer;
use self::region::Region;
use self::signed_request::signed_request;
pub(crate) use self::verification_url::VerificationUrl;
use super::{SubjectToken, SubjectTokenKind, SubjectTokenSource};
use crate::Error;
use crate::source::BoxFuture;

/// Signs a request anew for each exchange, with the credentials that AWS's tools would use: those in
/// the environment, else those of the machine's role.
#[derive(Debug)]
pub(crate) struct AwsSource {
    /// The provider that may use the request.
    pub(crate) audience: Box<str>,
    pub(crate) verification_url: VerificationUrl,
    pub(crate) metadata_server: MetadataServer,
    /// Returns a variable of the environment.
    pub(crate) variables: fn(&str) -> Option<String>,
}

impl AwsSource {
    async fn sign(&self, deadline: Instant) -> Result<SubjectToken, Error> {
        let mut metadata = self.metadata_server.session(deadline);
        let region = match Region::in_variables(self.variables)? {
            Some(region) => region,
            None => metadata.region().await?,
        };
        let credentials = match AwsCredentials::in_variables(self.variables) {
            Some(credentials) => credentials,
            None => metadata.credentials().await?,
        };
        let url = self.verification_url.in_region(&region);
        signed_request(&url, &region, credentials, &self.audience, SystemTime::now())
    }
}

impl SubjectTokenSource for AwsSource {
    fn fetch(&self, deadline: Instant) -> BoxFuture<'_, Result<SubjectToken, Error>> {
        Box::pin(self.sign(deadline))
    }

    fn kind(&self) -> SubjectTokenKind {
        SubjectTokenKind::Aws
    }

    fn origin(&self) -> String {
        "AWS".to_owned()
    }
}
