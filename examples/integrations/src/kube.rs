//! kube: the layer in the client's stack.
//!
//! kube's own way to authenticate, in `ClientBuilder::try_from(config)`, takes a token from the
//! kubeconfig, or from a program that it names. `iamcreds kubectl-credential` is such a program. A
//! process that has credentials of this crate needs none: [`client`] puts their tokens on the requests.

use gcp_iam_credentials::{Credentials, Error};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::ServiceBuilder;

use crate::requirement;

/// Returns a client that acts as the principal of the credentials, in place of the one in the config.
///
/// Its tokens go only to the cluster, over https or to a loopback address. A token that the cluster
/// rejects is invalidated. The connector is kube's `config.rustls_https_connector()` with kube's feature
/// `rustls-tls`: it knows the cluster's certificate authority. GKE wants the scope `cloud-platform`, and
/// `userinfo.email` so that it knows the account by its address. What else the config says about
/// connections, such as a proxy, is up to the connector.
///
/// # Errors
///
/// The credentials are for ID tokens or self-signed JWTs, or a header of the config is invalid.
pub fn client<C>(config: &Config, credentials: &Credentials, connector: C) -> Result<Client, Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    requirement::access_tokens(credentials)?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        // What the config says about impersonation inside Kubernetes still holds.
        .layer(config.extra_headers_layer().map_err(Error::permanent)?)
        .layer(credentials.layer())
        .service(http);
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[cfg(test)]
mod tests {
    use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
    use http::{Request, Response, StatusCode};
    use hyper_util::client::legacy::connect::HttpConnector;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;

    use super::*;
    use crate::testing::{ACCOUNT, Google, Server, reply};

    const NAMESPACE: &str = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default"}}"#;

    /// A cluster that rejects the first token.
    async fn cluster() -> Server {
        let first = std::sync::Arc::new(std::sync::OnceLock::new());
        Server::start(move |request| {
            let token = request.bearer().unwrap_or_default().to_owned();
            let mut reply = Response::new(NAMESPACE.to_owned());
            if *first.get_or_init(|| token.clone()) == token {
                *reply.status_mut() = StatusCode::UNAUTHORIZED;
            }
            reply
        })
        .await
    }

    /// conf: K11
    #[tokio::test]
    async fn kubes_client_acts_as_the_target_and_replaces_a_rejected_token() {
        let google = Google::start().await;
        let acting = google.robot().access_token([CLOUD_PLATFORM]).unwrap();
        let cluster = cluster().await;
        let mut config = Config::new(cluster.url.parse().unwrap());
        config.auth_info.impersonate = Some("reader".to_owned());
        config.auth_info.username = Some("other".to_owned());
        let client = client(&config, &acting, HttpConnector::new()).unwrap();

        let namespaces: Api<Namespace> = Api::all(client);
        namespaces.get("default").await.unwrap_err();
        let namespace = namespaces.get("default").await.unwrap();
        assert_eq!(namespace.metadata.name.as_deref(), Some("default"));
        for request in cluster.take() {
            assert_eq!(request.path, "/api/v1/namespaces/default");
            let owner = google.owner(request.bearer().unwrap()).unwrap();
            assert_eq!(owner, (ACCOUNT.to_owned(), vec![CLOUD_PLATFORM.to_owned()]));
            assert_eq!(request.header("impersonate-user"), Some("reader"));
        }
    }

    /// conf: K12
    #[tokio::test]
    async fn kubes_client_sends_no_token_to_another_host_and_no_id_token() {
        let google = Google::start().await;
        let cluster = cluster().await;
        let config = Config::new(cluster.url.parse().unwrap());
        let id_tokens = google.robot().id_token("https://cluster.example").unwrap();
        assert!(client(&config, &id_tokens, HttpConnector::new()).is_err());

        let acting = google.robot().access_token([CLOUD_PLATFORM]).unwrap();
        let elsewhere = Server::always(reply(StatusCode::OK)).await;
        let client = client(&config, &acting, HttpConnector::new()).unwrap();
        let request = Request::get(format!("{}/version", elsewhere.url)).body(Vec::new()).unwrap();
        let _ = client.request_text(request).await;
        assert_eq!(elsewhere.take().len(), 0, "the request's host was used");
        cluster.take();

        let other = Config::new(cluster.url.replace("127.0.0.1", "cluster.example").parse().unwrap());
        let client = super::client(&other, &acting, HttpConnector::new()).unwrap();
        let request = Request::get("/version").body(Vec::new()).unwrap();
        let error = client.request_text(request).await.unwrap_err();
        assert!(format!("{error:?}").contains("TokenError"), "{error:?}");
        assert_eq!(cluster.take().len(), 0);
    }
}
