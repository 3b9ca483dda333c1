//! Faults of the platforms outside Google Cloud that the emulator plays.

/// What is wrong with the platform of an external account. [`Fault::platform`](super::Fault::platform)
/// makes a fault of it.
///
/// ```
/// use gcp_iam_credentials::emulator::{Fault, PlatformFault};
///
/// let one_stale_token = Fault::platform(PlatformFault::StaleToken).account("job").times(1);
/// # let _ = one_stale_token;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlatformFault {
    /// The platform returns tokens that have expired.
    StaleToken,
    /// The platform returns tokens for another audience.
    WrongAudience,
    /// The platform signs tokens with a key that its issuer no longer publishes.
    RotatedKey,
    /// Google can't fetch the keys of the issuer. Applies to token exchange, for all accounts of the same
    /// provider.
    IssuerUnreachable,
    /// AWS's metadata server returns credentials that have expired.
    ExpiredCredentials,
    /// AWS's metadata server returns a secret that isn't that of the access key, so the signature is wrong.
    WrongSecret,
    /// The exchange takes the signed request for one that is for another provider. Applies to token
    /// exchange, for all accounts of the same provider.
    WrongTargetResource,
    /// AWS's metadata server refuses to return a token (IMDSv2).
    SessionTokenRefused,
}

impl PlatformFault {
    /// The faults of the tokens of OpenID Connect issuers.
    pub(crate) const OF_TOKENS: [Self; 3] = [Self::StaleToken, Self::WrongAudience, Self::RotatedKey];

    pub(crate) const ALL: [Self; 8] = [
        Self::StaleToken,
        Self::WrongAudience,
        Self::RotatedKey,
        Self::IssuerUnreachable,
        Self::ExpiredCredentials,
        Self::WrongSecret,
        Self::WrongTargetResource,
        Self::SessionTokenRefused,
    ];

    /// Returns the effect's name on the control pages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::StaleToken => "staleToken",
            Self::WrongAudience => "wrongAudience",
            Self::RotatedKey => "rotatedKey",
            Self::IssuerUnreachable => "issuerUnreachable",
            Self::ExpiredCredentials => "expiredCredentials",
            Self::WrongSecret => "wrongSecret",
            Self::WrongTargetResource => "wrongTargetResource",
            Self::SessionTokenRefused => "sessionTokenRefused",
        }
    }

    /// Returns the fault with this name on the control pages.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == name)
    }
}
