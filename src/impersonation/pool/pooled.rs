//! The options and verbs of an impersonation whose credentials come from a pool.

use std::time::Duration;

use super::ImpersonationPool;
use crate::impersonation::{Diagnosis, Impersonation, Operation, Signer};
use crate::{Credentials, Error};

/// The options for acting as a target service account, with credentials from a pool.
/// [`ImpersonationPool::impersonate`] returns it.
///
/// It has the options and verbs of [`Impersonation`]. The table there shows which verb can use which
/// option. The pool's client makes the calls.
///
/// ```no_run
/// use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
/// use gcp_iam_credentials::{Error, ImpersonationPool};
///
/// # fn act(pool: ImpersonationPool) -> Result<(), Error> {
/// let acting = pool
///     .impersonate("customer-1@project.iam.gserviceaccount.com")
///     .delegates(["broker@project.iam.gserviceaccount.com"])
///     .access_token([CLOUD_PLATFORM])?;
/// # Ok(())
/// # }
/// ```
#[must_use = "call a verb to get credentials"]
#[derive(Clone, Debug)]
pub struct PooledImpersonation {
    pool: ImpersonationPool,
    options: Impersonation,
}

impl PooledImpersonation {
    pub(super) fn new(pool: ImpersonationPool, options: Impersonation) -> Self {
        Self { pool, options }
    }

    /// Drops the lifetime, which is that of access tokens.
    #[cfg(feature = "broker")]
    pub(crate) fn for_id_tokens(mut self) -> Self {
        self.options.lifetime = None;
        self
    }

    /// Sets the delegates, as [`Impersonation::delegates`] does.
    pub fn delegates(mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.options = self.options.delegates(delegates);
        self
    }

    /// Sets the lifetime of each token, as [`Impersonation::lifetime`] does.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.options = self.options.lifetime(lifetime);
        self
    }

    /// Sets whether ID tokens have e-mail claims, as [`Impersonation::include_email`] does.
    pub fn include_email(mut self, include: bool) -> Self {
        self.options = self.options.include_email(include);
        self
    }

    /// Sets the user to act as, as [`Impersonation::subject`] does.
    pub fn subject(mut self, user: impl Into<String>) -> Self {
        self.options = self.options.subject(user);
        self
    }

    /// Sets the quota project of calls with the credentials, as [`Impersonation::quota_project`]
    /// does.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.options = self.options.quota_project(project);
        self
    }

    /// Returns credentials with access tokens, as [`Impersonation::access_token`] does.
    ///
    /// # Errors
    ///
    /// The same as for [`Impersonation::access_token`].
    pub fn access_token(
        &self,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Credentials, Error> {
        Ok(self.pool.credentials(self.options.access_token_source(scopes)?))
    }

    /// Returns credentials with ID tokens, as [`Impersonation::id_token`] does.
    ///
    /// # Errors
    ///
    /// The same as for [`Impersonation::id_token`].
    pub fn id_token(&self, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        Ok(self.pool.credentials(self.options.id_token_source(audience)?))
    }

    /// Returns credentials with self-signed JWTs, as [`Impersonation::self_signed_jwt`] does.
    ///
    /// # Errors
    ///
    /// The same as for [`Impersonation::self_signed_jwt`].
    pub fn self_signed_jwt(&self, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        Ok(self.pool.credentials(self.options.self_signed_jwt_source(audience)?))
    }

    /// Makes a signer, as [`Impersonation::signer`] does. A signer has no token, so it isn't an
    /// identity of the pool.
    ///
    /// # Errors
    ///
    /// The same as for [`Impersonation::signer`].
    pub fn signer(&self) -> Result<Signer, Error> {
        self.options.signer()
    }

    /// Finds out why an operation fails, as [`Impersonation::diagnose`] does. It doesn't use the
    /// pool's identities.
    ///
    /// # Errors
    ///
    /// The same as for [`Impersonation::diagnose`].
    pub async fn diagnose(&self, operation: Operation) -> Result<Diagnosis, Error> {
        self.options.diagnose(operation).await
    }
}

impl From<Impersonation> for PooledImpersonation {
    /// Puts the impersonation into a pool of its own.
    fn from(options: Impersonation) -> Self {
        Self { pool: ImpersonationPool::builder(options.client.clone()).build(), options }
    }
}
