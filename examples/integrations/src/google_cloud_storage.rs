//! google-cloud-storage, one of Google's own clients: it takes the credentials and signers as they are,
//! with the feature `google-cloud-auth`.

use gcp_iam_credentials::{Credentials, Signer};
use google_cloud_storage::builder::storage::{ClientBuilder, SignedUrlBuilder};
use google_cloud_storage::client::Storage;
use google_cloud_storage::error::SigningError;

/// Returns a builder whose clients use these credentials, and name their quota project.
///
/// Credentials of another universe than `googleapis.com` need `with_universe_domain`. Without it, a
/// client can't be built: the universes differ. If the credentials are for ID tokens, requests fail.
pub fn builder(credentials: Credentials) -> ClientBuilder {
    let credentials = google_cloud_auth::credentials::Credentials::from(credentials);
    Storage::builder().with_credentials(credentials)
}

/// Returns a URL with which anyone can read an object. The target account signs it, without a key on
/// this machine.
///
/// # Errors
///
/// The client's. This crate's error is in the chain of its sources.
pub async fn signed_url(signer: Signer, bucket: &str, object: &str) -> Result<String, SigningError> {
    let signer = google_cloud_auth::signer::Signer::from(signer);
    SignedUrlBuilder::for_object(format!("projects/_/buckets/{bucket}"), object).sign_with(&signer).await
}

#[cfg(test)]
mod tests {
    use gcp_iam_credentials::scopes::STORAGE_READ_ONLY;
    use http::{Method, StatusCode};

    use super::*;
    use crate::testing::{ACCOUNT, Google, Server, is_signed, reply};

    /// A client that makes one attempt.
    async fn read(credentials: Credentials, endpoint: &str) -> google_cloud_storage::Result<Vec<u8>> {
        let builder = builder(credentials).with_endpoint(endpoint);
        let mut object =
            builder.build().await.unwrap().read_object("projects/_/buckets/bucket", "a b").send().await?;
        let mut content = Vec::new();
        while let Some(part) = object.next().await.transpose()? {
            content.extend_from_slice(&part);
        }
        Ok(content)
    }

    /// conf: K13
    #[tokio::test]
    async fn the_official_client_reads_an_object_as_the_target() {
        let google = Google::start().await;
        let acting = google.robot().access_token([STORAGE_READ_ONLY]).unwrap();
        let mut object = reply(StatusCode::OK).map(|_| "content");
        object.headers_mut().insert("x-goog-generation", 1.into());
        let storage = Server::always(object).await;
        assert_eq!(read(acting.clone(), &storage.url).await.unwrap(), b"content");
        acting.refresh().await.unwrap();
        assert_eq!(read(acting, &storage.url).await.unwrap(), b"content");

        let requests = storage.take();
        assert!(
            requests.iter().all(|request| request.path == "/storage/v1/b/bucket/o/a%20b"),
            "{requests:?}"
        );
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

    /// conf: K13, K12
    #[tokio::test]
    async fn the_official_client_sends_no_token_of_another_kind_or_universe() {
        let google = Google::start().await;
        let storage = Server::always(reply(StatusCode::OK)).await;
        let id_tokens = google.robot().id_token("https://service.run.app").unwrap();
        read(id_tokens, &storage.url).await.unwrap_err();
        let elsewhere = builder(google.billed()).with_endpoint(&storage.url);
        elsewhere.build().await.unwrap_err();
        assert_eq!(storage.take().len(), 0);
    }

    /// conf: K14
    #[tokio::test]
    async fn the_official_clients_signed_url_has_the_targets_signature() {
        let google = Google::start().await;
        let signer = google.robot().signer().unwrap();
        let url = signed_url(signer, "bucket", "a b/ü?").await.unwrap();
        assert!(url.starts_with("https://storage.googleapis.com/bucket/"), "{url}");
        assert!(is_signed(&google, &Method::GET, &url, &[]), "{url}");
        assert!(!is_signed(&google, &Method::PUT, &url, &[]), "the method isn't signed");
    }
}
