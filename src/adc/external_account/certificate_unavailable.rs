//! The replacement for client certificates in builds without TLS.

use std::borrow::Cow;

use super::subject_tokens::CERTIFICATE;
use crate::Error;
use crate::adc::credential_file::Fields;
use crate::adc::reader::Reader;
use crate::source::external::{ExternalAccount, SubjectTokenSource};

impl Reader {
    pub(super) fn for_identity(&self, _fields: Fields<'_>) -> Result<Cow<'_, Self>, Error> {
        Ok(Cow::Borrowed(self))
    }

    pub(super) fn certificate(
        &self,
        source: Fields<'_>,
        _account: &ExternalAccount,
    ) -> Result<Box<dyn SubjectTokenSource>, Error> {
        Err(not_built_in(source))
    }

    pub(super) fn shows_certificate(&self) -> bool {
        false
    }
}

fn not_built_in(source: Fields<'_>) -> Error {
    let error = source.invalid(CERTIFICATE, "must not be used, because this build has no TLS");
    error.fix_by("enable the feature tls-ring or tls-aws-lc of gcp-iam-credentials")
}
