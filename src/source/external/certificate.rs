//! A client certificate as the source of subject tokens: its chain is the token, and the connections
//! to Google's services show it (X.509, mTLS).

mod chain;
mod config;
mod files;
mod named_file;
mod rotation;

use std::sync::Arc;

use tokio::time::Instant;

pub(crate) use self::files::CertificateFiles;
pub(crate) use self::named_file::is_path;
pub(crate) use self::rotation::ClientCertificate;
use super::{SubjectToken, SubjectTokenKind, SubjectTokenSource};
use crate::Error;
use crate::source::BoxFuture;

/// Reads the certificate anew for each exchange.
pub(crate) struct CertificateSource(pub(crate) Arc<ClientCertificate>);

impl SubjectTokenSource for CertificateSource {
    fn fetch(&self, deadline: Instant) -> BoxFuture<'_, Result<SubjectToken, Error>> {
        Box::pin(self.0.read(deadline))
    }

    fn revision(&self) -> u64 {
        self.0.revision()
    }

    fn kind(&self) -> SubjectTokenKind {
        SubjectTokenKind::Certificate
    }

    fn origin(&self) -> String {
        format!("the client certificate that the file {} names", self.0.config().display())
    }
}
