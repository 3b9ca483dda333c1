//! opendal and reqsign: a provider of credentials.
//!
//! [`builder`] gives opendal's service for Cloud Storage the tokens. Signed URLs are made with a
//! [`Signer`](gcp_iam_credentials::Signer): opendal's `presign` fails, because it would have to sign with
//! the token itself.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, Error};
use opendal::services::Gcs;
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, ProvideCredential};
use reqsign_google::{Credential, Token};

use crate::requirement::{self, refused};

/// The variable in which opendal tells reqsign the scope that it needs.
const SCOPE: &str = "GOOGLE_SCOPE";
/// What the scopes of Cloud Storage start with.
const STORAGE: &str = "https://www.googleapis.com/auth/devstorage.";
/// Shorter than the time before a token's expiry in which reqsign asks for another one, and long enough
/// for the request that it is for.
const SOON: Duration = Duration::from_secs(60);

/// Returns a builder of the service, in the credentials' universe. Set the bucket and the root.
///
/// The service uses no other credentials. As reqsign has it, it would go on to those of the machine when
/// there is no token: it asks one provider after the other, and only logs the error. For the same reason,
/// opendal's error doesn't contain this crate's, and isn't temporary.
///
/// # Errors
///
/// As for [`Provider::new`], or the credentials can't give the scope.
pub fn builder(credentials: &Credentials, scope: &str) -> Result<Gcs, Error> {
    let provider = Provider::new(credentials.clone())?;
    provider.check_scope(scope)?;
    Ok(Gcs::default()
        .endpoint(&format!("https://{}", requirement::host("storage", credentials)))
        .scope(scope)
        .credential_provider(provider)
        .disable_config_load()
        .disable_vm_metadata())
}

/// The credentials as reqsign sees them, for its signer of Google's requests.
#[derive(Debug)]
pub struct Provider(Credentials);

impl Provider {
    /// Creates a provider of these credentials' tokens.
    ///
    /// # Errors
    ///
    /// The credentials are for ID tokens or self-signed JWTs, or have a quota project: reqsign can't
    /// send it.
    pub fn new(credentials: Credentials) -> Result<Self, Error> {
        requirement::access_tokens(&credentials)?;
        if let Some(project) = credentials.info().quota_project() {
            let problem = format!("the quota project {project} would be lost: make credentials without one");
            return Err(refused(problem));
        }
        Ok(Self(credentials))
    }

    /// Checks that the credentials can give a scope, as far as that is known.
    fn check_scope(&self, scope: &str) -> Result<(), Error> {
        let info = self.0.info();
        let covers = |granted: &String| {
            let is_wide = granted == CLOUD_PLATFORM || granted.strip_prefix(STORAGE) == Some("full_control");
            granted == scope || is_wide && scope.starts_with(STORAGE)
        };
        match info.scopes().is_empty() || info.scopes().iter().any(covers) {
            true => Ok(()),
            false => {
                Err(refused(format!("the credentials must have the scope {scope}, got {:?}", info.scopes())))
            }
        }
    }
}

impl ProvideCredential for Provider {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> reqsign_core::Result<Option<Credential>> {
        if let Some(scope) = context.env_var(SCOPE) {
            self.check_scope(&scope).map_err(failure)?;
        }
        let token = self.0.token().await.map_err(failure)?;
        // reqsign has a cache of its own, which doesn't know that a token was rejected. With an expiry
        // this soon, it asks for each request, and the credentials' cache decides.
        let soon = Timestamp::now() + SOON;
        let expiry = token.expires_at().map_or(Ok(soon), timestamp)?;
        let access_token = token.secret().to_owned();
        Ok(Some(Credential::with_token(Token { access_token, expires_at: Some(expiry.min(soon)) })))
    }
}

fn timestamp(time: SystemTime) -> reqsign_core::Result<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_second(since.as_secs().try_into().unwrap_or(i64::MAX))
}

fn failure(error: Error) -> reqsign_core::Error {
    let transient = error.is_transient();
    reqsign_core::Error::credential_invalid("no token of gcp-iam-credentials")
        .with_source(error)
        .set_retryable(transient)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use gcp_iam_credentials::scopes::{STORAGE_READ_ONLY, STORAGE_READ_WRITE};
    use http::StatusCode;
    use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter, OperationContext, Operator};

    use super::*;
    use crate::testing::{ACCOUNT, Google, Server, reply};

    fn operator(gcs: Gcs, storage: &Server) -> Operator {
        opendal::install_default();
        Operator::new(gcs.endpoint(&storage.url).bucket("bucket")).unwrap()
    }

    /// conf: K11
    #[tokio::test]
    async fn each_request_of_opendal_has_the_current_token() {
        let google = Google::start().await;
        let acting = google.robot().access_token([STORAGE_READ_ONLY]).unwrap();
        let storage = Server::always(reply(StatusCode::OK).map(|_| "content")).await;
        let operator = operator(builder(&acting, STORAGE_READ_ONLY).unwrap(), &storage);
        for _ in 0..2 {
            assert_eq!(operator.read("a b").await.unwrap().to_vec(), b"content");
            acting.refresh().await.unwrap();
        }
        let requests = storage.take();
        let tokens: Vec<&str> = requests.iter().filter_map(|request| request.bearer()).collect();
        assert_eq!(tokens.len(), requests.len());
        assert_ne!(tokens.first(), tokens.last(), "the refreshed token wasn't used");
        for token in tokens {
            assert_eq!(
                google.owner(token).unwrap(),
                (ACCOUNT.to_owned(), vec![STORAGE_READ_ONLY.to_owned()])
            );
        }
    }

    /// conf: K12
    #[tokio::test]
    async fn opendal_gets_no_other_kind_scope_or_quota_project() {
        let google = Google::start().await;
        let id_tokens = google.robot().id_token("https://storage.example").unwrap();
        builder(&id_tokens, STORAGE_READ_ONLY).unwrap_err();
        let narrow = google.robot().access_token([STORAGE_READ_ONLY]).unwrap();
        let error = builder(&narrow, STORAGE_READ_WRITE).unwrap_err();
        assert!(error.to_string().contains(STORAGE_READ_WRITE), "{error}");
        let wide = google.robot().access_token([CLOUD_PLATFORM]).unwrap();
        builder(&wide, STORAGE_READ_WRITE).unwrap();
        builder(&wide, "https://www.googleapis.com/auth/drive").unwrap_err();
        builder(&google.billed(), STORAGE_READ_ONLY).unwrap_err();

        // The scope is checked again when there is one: `scope` can still be called.
        let storage = Server::always(reply(StatusCode::OK)).await;
        let wider = builder(&narrow, STORAGE_READ_ONLY).unwrap().scope(STORAGE_READ_WRITE);
        operator(wider, &storage).read("object").await.unwrap_err();
        assert_eq!(storage.take().len(), 0);
    }

    /// Counts requests, and sends none.
    #[derive(Clone, Default)]
    struct Nowhere(Arc<AtomicUsize>);

    impl HttpTransport for Nowhere {
        async fn fetch(&self, _: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(opendal::Error::new(opendal::ErrorKind::Unexpected, "sent"))
        }
    }

    /// On its own, reqsign would go on to the metadata server.
    ///
    /// conf: K12
    #[tokio::test]
    async fn without_a_token_opendal_looks_for_no_other_credentials() {
        let failing = Credentials::from_fn(|| async { Err(Error::permanent("refused")) });
        let service = builder(&failing, STORAGE_READ_ONLY).unwrap().bucket("bucket");
        let network = Nowhere::default();
        let transport = HttpTransporter::new(network.clone());
        let context = OperationContext::new().with_http_transport(transport);
        let operator = Operator::new(service).unwrap().with_context(context);
        operator.read("object").await.unwrap_err();
        assert_eq!(network.0.load(Ordering::Relaxed), 0, "other credentials were looked for");
    }

    /// conf: K14
    #[tokio::test]
    async fn opendal_makes_no_signed_url_by_itself() {
        let google = Google::start().await;
        let acting = google.robot().access_token([CLOUD_PLATFORM]).unwrap();
        let storage = Server::always(reply(StatusCode::OK)).await;
        let operator = operator(builder(&acting, STORAGE_READ_ONLY).unwrap(), &storage);
        operator.presign_read("object", Duration::from_secs(60)).await.unwrap_err();
    }
}
