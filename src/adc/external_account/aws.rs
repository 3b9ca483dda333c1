//! The fields of `credential_source` for AWS.

use crate::Error;
use crate::adc::credential_file::Fields;
use crate::adc::reader::Reader;
use crate::source::external::{ExternalAccount, SubjectTokenSource};
use crate::sts_protocol::AWS_TYPE;

pub(super) const ENVIRONMENT_ID: &str = "environment_id";

/// The only version of the protocol.
const AWS: &str = "aws1";

impl Reader {
    /// Reads where the region and the credentials of AWS come from.
    pub(super) fn aws(
        &self,
        source: Fields<'_>,
        account: &ExternalAccount,
    ) -> Result<Box<dyn SubjectTokenSource>, Error> {
        let id = source.text(ENVIRONMENT_ID)?;
        if id != AWS {
            return Err(source.invalid(ENVIRONMENT_ID, format!("must be {AWS:?}, which is the only version")));
        }
        if *account.subject_token_type != *AWS_TYPE {
            let expectation = format!("must start with \"aws\" only if `subject_token_type` is {AWS_TYPE:?}");
            return Err(source.invalid(ENVIRONMENT_ID, expectation));
        }
        self.signed_requests(source, account)
    }

    #[cfg(feature = "aws")]
    fn signed_requests(
        &self,
        source: Fields<'_>,
        account: &ExternalAccount,
    ) -> Result<Box<dyn SubjectTokenSource>, Error> {
        use crate::source::external::{AwsSource, MetadataServer, VerificationUrl};

        const VERIFICATION_URL: &str = "regional_cred_verification_url";

        let verification_url = VerificationUrl::new(source.text(VERIFICATION_URL)?, VERIFICATION_URL)
            .map_err(|error| source.locate(error))?;
        let metadata_server = MetadataServer {
            http: self.settings.http.clone(),
            url: self.metadata_url(source, "url")?,
            region_url: self.metadata_url(source, "region_url")?,
            session_token_url: self.metadata_url(source, "imdsv2_session_token_url")?,
        };
        Ok(Box::new(AwsSource {
            audience: account.audience.clone(),
            verification_url,
            metadata_server,
            variables: self.settings.variables,
        }))
    }

    #[cfg(feature = "aws")]
    fn metadata_url(&self, source: Fields<'_>, field: &'static str) -> Result<Option<http::Uri>, Error> {
        let Some(url) = source.optional_text(field)? else { return Ok(None) };
        let uri = self.settings.trust.check_subject_token_url(url, field);
        let uri = uri.map_err(|error| source.locate(error))?;
        self.settings.http.check(&uri, field).map_err(|error| source.locate(error))?;
        Ok(Some(uri))
    }

    #[cfg(not(feature = "aws"))]
    fn signed_requests(
        &self,
        source: Fields<'_>,
        _account: &ExternalAccount,
    ) -> Result<Box<dyn SubjectTokenSource>, Error> {
        let expectation = "must not be for AWS, because this build can't sign its requests";
        let error = source.invalid(ENVIRONMENT_ID, expectation);
        Err(error.fix_by("enable the feature aws of gcp-iam-credentials"))
    }
}
