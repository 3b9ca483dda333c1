//! What the journal says about one request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;
use tonic::Code;

use crate::emulator::method::Method;
use crate::error::code_name;

/// One request, as the emulator received it.
///
/// It contains no secret: the values of `authorization` and of other headers with secrets are
/// replaced by the start of their SHA-256. Equal values have equal hashes.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::Code;
/// use gcp_iam_credentials::emulator::{Emulator, Method};
///
/// let emulator = Emulator::builder().start().await?;
/// // … the code under test makes its calls …
/// for entry in emulator.journal().of_method(Method::SignBlob) {
///     let code = entry.outcome().map(|outcome| outcome.code());
///     assert_eq!(code, Some(Code::Ok), "{:?}", entry.header("user-agent"));
/// }
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct JournalEntry {
    pub(crate) sequence: u64,
    pub(crate) received_at: SystemTime,
    pub(crate) method: Method,
    pub(crate) protocol: Protocol,
    pub(crate) connection: u64,
    pub(crate) principal: Option<Arc<str>>,
    pub(crate) name: String,
    pub(crate) delegates: Vec<String>,
    pub(crate) fields: RequestFields,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) outcome: Option<Outcome>,
}

impl JournalEntry {
    /// Returns the number of requests that the emulator had received before this one.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns when the request arrived, by the emulator's clock.
    pub fn received_at(&self) -> SystemTime {
        self.received_at
    }

    /// Returns the kind of request.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns whether the request came over gRPC or as JSON.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the number of the connection that the request arrived on. The first one is 1.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Returns the principal that made the request: `serviceAccount:…` or `user:…`.
    ///
    /// It is `anyone` for an unknown bearer token if there is no policy, and `None` if the request
    /// failed before the principal was known.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Returns the field `name` of the four RPCs. For other methods, returns the account or the path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the field `delegates`, as sent.
    pub fn delegates(&self) -> &[String] {
        &self.delegates
    }

    /// Returns the other fields of the request.
    pub fn fields(&self) -> &RequestFields {
        &self.fields
    }

    /// Returns all headers in the order of arrival. A name with several values comes several times.
    pub fn headers(&self) -> &[(HeaderName, String)] {
        &self.headers
    }

    /// Returns the first value of a header. `name` must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns how the request ended, or `None` while it is in progress.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Returns every text of the entry besides the names of headers.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let Self { fields, outcome, .. } = self;
        let of_outcome = outcome.iter().flat_map(|outcome| {
            [Some(code_name(outcome.code)), outcome.reason.as_deref(), outcome.message.as_deref()]
        });
        [Some(self.method.as_str()), Some(&*self.name), self.principal.as_deref()]
            .into_iter()
            .chain([&fields.audience, &fields.grant_type, &fields.options].map(Option::as_deref))
            .chain(of_outcome)
            .flatten()
            .chain(self.delegates.iter().chain(&fields.scopes).map(String::as_str))
            .chain(self.headers.iter().map(|(_, value)| &**value))
    }

    /// Returns about how much memory the entry takes.
    pub(super) fn bytes(&self) -> usize {
        let of_headers =
            self.headers.iter().map(|(name, _)| size_of::<(HeaderName, String)>() + name.as_str().len());
        size_of::<Self>()
            + self.texts().map(str::len).sum::<usize>()
            + (self.delegates.len() + self.fields.scopes.len()) * size_of::<String>()
            + of_headers.sum::<usize>()
    }
}

/// The fields of a request besides name and delegates. Fields that the method doesn't have are
/// empty.
///
/// ```
/// # use gcp_iam_credentials::emulator::JournalEntry;
/// fn requested_an_hour(entry: &JournalEntry) -> bool {
///     let lifetime = entry.fields().lifetime();
///     lifetime.is_some_and(|lifetime| lifetime.as_secs() == 3600)
/// }
/// # let _ = requested_an_hour;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestFields {
    pub(crate) scopes: Vec<String>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) audience: Option<String>,
    pub(crate) include_email: bool,
    pub(crate) payload_len: Option<usize>,
    pub(crate) grant_type: Option<String>,
    pub(crate) options: Option<String>,
}

impl RequestFields {
    /// Returns the requested scopes.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns the requested lifetime.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Returns the requested audience.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// Returns whether the claims `email` and `email_verified` were requested.
    pub fn include_email(&self) -> bool {
        self.include_email
    }

    /// Returns the size of the payload in bytes.
    pub fn payload_len(&self) -> Option<usize> {
        self.payload_len
    }

    /// Returns the options of a token exchange: JSON, perhaps percent-encoded.
    pub fn options(&self) -> Option<&str> {
        self.options.as_deref()
    }

    /// Returns the grant type, for requests to the token endpoint.
    pub fn grant_type(&self) -> Option<&str> {
        self.grant_type.as_deref()
    }
}

/// The protocol of a request.
///
/// ```
/// # use gcp_iam_credentials::emulator::{JournalEntry, Protocol};
/// fn came_over_grpc(entry: &JournalEntry) -> bool {
///     entry.protocol() == Protocol::Grpc
/// }
/// # let _ = came_over_grpc;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// HTTP with JSON or with a form.
    Rest,
}

/// How a request ended.
///
/// ```
/// # use gcp_iam_credentials::emulator::JournalEntry;
/// fn lacks_a_grant(entry: &JournalEntry) -> bool {
///     let reason = entry.outcome().and_then(|outcome| outcome.reason());
///     reason == Some("IAM_PERMISSION_DENIED")
/// }
/// # let _ = lacks_a_grant;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub(crate) code: Code,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) hop: Option<usize>,
    pub(crate) by_fault: bool,
}

impl Outcome {
    /// Returns the code that was sent, or [`Code::Cancelled`] if the client disconnected before the
    /// reply.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the reason in the error's `ErrorInfo`, or the OAuth error.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns the error's message, or `None` if the request succeeded.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Returns the hop of the chain that lacks a grant. The principal's own hop is 0.
    pub fn hop(&self) -> Option<usize> {
        self.hop
    }

    /// Returns whether a fault applied to the request.
    pub fn by_fault(&self) -> bool {
        self.by_fault
    }
}
