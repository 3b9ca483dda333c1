//! object_store: a provider of credentials, and a signer of URLs.
//!
//! [`builder`] gives object_store the tokens. It asks for one for each request, so the credentials'
//! cache is the only one. object_store's own signer signs with the token itself, and calls an API whose
//! host is fixed. [`UrlSigner`] signs with a [`Signer`] instead, which may be of another account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gcp_iam_credentials::signed_url::SignedUrlRequest;
use gcp_iam_credentials::{Credentials, Error, Signer};
use http::{HeaderMap, HeaderValue, Method};
use object_store::client::ClientOptions;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Url};
use object_store::{CredentialProvider, Result, signer};

use crate::requirement;

const STORE: &str = "GCS";

/// Returns a builder whose stores use these credentials, in their universe, and name their quota project.
///
/// The quota project is one of the builder's client options: `with_client_options` would replace it.
///
/// # Errors
///
/// The credentials are for ID tokens or self-signed JWTs, or their quota project isn't a header's value.
pub fn builder(credentials: &Credentials) -> std::result::Result<GoogleCloudStorageBuilder, Error> {
    requirement::access_tokens(credentials)?;
    let mut headers = HeaderMap::new();
    if let Some(project) = credentials.info().quota_project() {
        let project = HeaderValue::from_str(project).map_err(Error::permanent)?;
        headers.insert("x-goog-user-project", project);
    }
    Ok(GoogleCloudStorageBuilder::new()
        .with_base_url(&format!("https://{}", requirement::host("storage", credentials)))
        .with_client_options(ClientOptions::new().with_default_headers(headers))
        .with_credentials(Arc::new(Provider(credentials.clone()))))
}

#[derive(Debug)]
struct Provider(Credentials);

#[async_trait]
impl CredentialProvider for Provider {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> Result<Arc<GcpCredential>> {
        let token = self.0.token().await.map_err(failure)?;
        Ok(Arc::new(GcpCredential { bearer: token.secret().to_owned() }))
    }
}

/// Signs URLs of one bucket's objects, wherever object_store takes a signer.
#[derive(Clone, Debug)]
pub struct UrlSigner {
    signer: Signer,
    bucket: String,
}

impl UrlSigner {
    /// Creates a signer for the objects of a bucket. The URLs are of the signer's universe.
    pub fn new(signer: Signer, bucket: impl Into<String>) -> Self {
        Self { signer, bucket: bucket.into() }
    }
}

#[async_trait]
impl signer::Signer for UrlSigner {
    async fn signed_url(&self, method: Method, path: &Path, expires_in: Duration) -> Result<Url> {
        self.signed_url_opts(method, path, expires_in, &SignedUrlOptions::new()).await
    }

    async fn signed_url_opts(
        &self,
        method: Method,
        path: &Path,
        expires_in: Duration,
        options: &SignedUrlOptions,
    ) -> Result<Url> {
        let mut request = SignedUrlRequest::new(method, &self.bucket, path.as_ref()).lifetime(expires_in);
        for (name, value) in &options.extra_query {
            request = request.query(name, value);
        }
        for (name, value) in &options.signed_headers {
            let value = value.to_str().map_err(|error| failure(Error::permanent(error)))?;
            request = request.header(name.as_str(), value);
        }
        let url = self.signer.signed_url(request).await.map_err(failure)?;
        Url::parse(url.as_str()).map_err(|error| failure(Error::permanent(error)))
    }
}

fn failure(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: STORE, source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use gcp_iam_credentials::scopes::STORAGE_READ_ONLY;
    use http::{HeaderName, StatusCode};
    use object_store::ObjectStoreExt;
    use object_store::signer::Signer as _;

    use super::*;
    use crate::testing::{ACCOUNT, Google, Server, is_signed, reply};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    async fn storage() -> Server {
        let mut object = reply(StatusCode::OK).map(|_| "content");
        object.headers_mut().insert("etag", HeaderValue::from_static("\"1\""));
        object
            .headers_mut()
            .insert("last-modified", HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"));
        Server::always(object).await
    }

    /// Reads an object from the local server.
    async fn read(builder: GoogleCloudStorageBuilder, storage: &Server) -> Result<Vec<u8>> {
        // The client options of the builder stay as they are: they have the quota project.
        let config = object_store::gcp::GoogleConfigKey::Client(object_store::ClientConfigKey::AllowHttp);
        let builder = builder.with_config(config, "true").with_base_url(&storage.url);
        let store = builder.with_bucket_name("bucket").build()?;
        let content = store.get(&Path::from("a b")).await?.bytes().await?;
        Ok(content.to_vec())
    }

    /// conf: K11
    #[tokio::test]
    async fn each_request_of_object_store_has_the_current_token() {
        let google = Google::start().await;
        let acting = google.robot().access_token([STORAGE_READ_ONLY]).unwrap();
        let storage = storage().await;
        for _ in 0..2 {
            assert_eq!(read(builder(&acting).unwrap(), &storage).await.unwrap(), b"content");
            acting.refresh().await.unwrap();
        }
        let requests = storage.take();
        assert!(requests.iter().all(|request| request.path == "/bucket/a%20b"), "{requests:?}");
        let tokens: Vec<&str> = requests.iter().filter_map(|request| request.bearer()).collect();
        assert_eq!(tokens.len(), 2, "{requests:?}");
        assert_ne!(tokens[0], tokens[1], "the refreshed token wasn't used");
        for token in tokens {
            assert_eq!(
                google.owner(token).unwrap(),
                (ACCOUNT.to_owned(), vec![STORAGE_READ_ONLY.to_owned()])
            );
        }
    }

    /// conf: K12
    #[tokio::test]
    async fn object_store_keeps_the_universe_and_the_quota_project_and_gets_no_id_token() {
        let google = Google::start().await;
        let id_tokens = google.robot().id_token("https://storage.example").unwrap();
        builder(&id_tokens).unwrap_err();

        let elsewhere = google.billed();
        let storage = storage().await;
        let store = builder(&elsewhere).unwrap();
        let url = store.get_config_value(&object_store::gcp::GoogleConfigKey::BaseUrl);
        assert_eq!(url.as_deref(), Some("https://storage.elsewhere.example"));
        read(store, &storage).await.unwrap();
        assert_eq!(storage.take()[0].header("x-goog-user-project"), Some("billing"));
    }

    /// conf: K11
    #[tokio::test]
    async fn object_stores_error_has_the_cause() {
        let failing = Credentials::from_fn(|| async { Err(Error::permanent("refused")) });
        let storage = storage().await;
        let error = read(builder(&failing).unwrap(), &storage).await.unwrap_err();
        let object_store::Error::Generic { source, .. } = error else { panic!("{error:?}") };
        assert!(source.downcast_ref::<Error>().is_some(), "{source:?}");
        assert_eq!(storage.take().len(), 0);
    }

    /// conf: K14
    #[tokio::test]
    async fn a_url_that_object_store_asks_for_has_the_targets_signature() {
        let google = Google::start().await;
        let signer: Arc<dyn signer::Signer> =
            Arc::new(UrlSigner::new(google.robot().signer().unwrap(), "bucket"));
        for object in ["object", "a b/c", "100%", "ü?&=#+"] {
            let url = signer.signed_url(Method::GET, &Path::from(object), DAY).await.unwrap();
            assert!(is_signed(&google, &Method::GET, url.as_str(), &[]), "{url}");
            assert!(!is_signed(&google, &Method::DELETE, url.as_str(), &[]), "the method isn't signed");
        }
        let longer = Duration::from_secs(8 * 24 * 60 * 60);
        signer.signed_url(Method::GET, &Path::from("object"), longer).await.unwrap_err();
    }

    /// conf: K14
    #[tokio::test]
    async fn the_parameters_and_headers_that_object_store_names_are_signed() {
        let google = Google::start().await;
        let signer = UrlSigner::new(google.robot().signer().unwrap(), "bucket");
        let part = SignedUrlOptions::new()
            .with_query([("partNumber", "1"), ("uploadId", "a/b")])
            .with_signed_header(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let url = signer.signed_url_opts(Method::PUT, &Path::from("object"), DAY, &part).await.unwrap();
        assert!(url.query().unwrap().contains("uploadId=a%2Fb"), "{url}");
        assert!(is_signed(&google, &Method::PUT, url.as_str(), &[("content-type", "text/plain")]));
        for headers in [&[][..], &[("content-type", "text/html")]] {
            assert!(!is_signed(&google, &Method::PUT, url.as_str(), headers), "{headers:?}");
        }
        let binary = HeaderValue::from_bytes(b"\xff").unwrap();
        let lost =
            SignedUrlOptions::new().with_signed_header(HeaderName::from_static("x-goog-meta-a"), binary);
        signer.signed_url_opts(Method::PUT, &Path::from("object"), DAY, &lost).await.unwrap_err();
    }
}
