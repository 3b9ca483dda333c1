//! What the four methods have in common.

use crate::emulator::error::ApiError;
use crate::emulator::iam::account::Account;
use crate::emulator::iam::identities::Identities;
use crate::emulator::journal::RequestFields;
use crate::emulator::method::Method;

/// A request of the API.
pub(crate) trait ApiRequest: Sized + Send {
    type Reply: Send;
    const METHOD: Method;

    fn name(&self) -> &str;
    fn delegates(&self) -> &[String];

    /// The other fields, for the journal.
    fn fields(&self) -> RequestFields;

    /// Checks the arguments.
    fn check(&self) -> Result<(), ApiError>;

    /// Checks the arguments whose limits depend on the target or on the time.
    fn check_for_target(&self, _identities: &Identities, _target: &Account) -> Result<(), ApiError> {
        Ok(())
    }

    /// Performs the request, which has been checked and authorized.
    fn perform(
        self,
        identities: &Identities,
        target: &Account,
        options: RequestOptions,
    ) -> impl Future<Output = Result<Self::Reply, ApiError>> + Send;
}

/// The options that only REST has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestOptions {
    /// `useEmailAzp`: the claim `azp` of an ID token is the e-mail address.
    pub(crate) email_azp: bool,
    /// `organizationNumberIncluded`: an ID token contains the organization.
    pub(crate) organization: bool,
}
