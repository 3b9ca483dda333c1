//! reqwest: a tower service that puts a token on each request.
//!
//! [`service`] makes reqwest's client a service of `http` requests, so that it takes the layer with all it
//! does: a fresh token on each request, no token to other hosts, a rejected token invalidated. reqwest
//! follows redirects on its own, behind the layer, and takes only `authorization` and cookies off a
//! request to another host. So this client follows none.
//!
//! The layer takes `http` to a loopback address as local. If the environment names a proxy for `http`,
//! reqwest sends such requests there, unless `no_proxy` has the address.

use reqwest::redirect::Policy;
use reqwest::{Body, ClientBuilder, Request};
use tower::Service;

/// Returns a client as a service. Put the layer on it: `acting.layer().layer(service(builder)?)`.
/// `reqwest::Response::from` gives a reply the methods of reqwest, such as `json()`.
///
/// # Errors
///
/// reqwest's, if TLS can't be set up.
pub fn service(
    builder: ClientBuilder,
) -> reqwest::Result<
    impl Service<http::Request<Body>, Response = http::Response<Body>, Error = reqwest::Error, Future: Send>
    + Clone,
> {
    let client = builder.redirect(Policy::none()).build()?;
    Ok(tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move { client.execute(Request::try_from(request)?).await.map(http::Response::from) }
    }))
}

#[cfg(test)]
mod tests {
    use gcp_iam_credentials::Credentials;
    use gcp_iam_credentials::bearer::BearerError;
    use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
    use http::{HeaderName, Request, StatusCode};
    use tower::{Layer, Service, ServiceExt};

    use super::*;
    use crate::testing::{ACCOUNT, Google, Server, reply};

    /// Sends a GET request through the layer.
    async fn get(
        acting: &Credentials,
        header: HeaderName,
        url: &str,
    ) -> Result<StatusCode, BearerError<reqwest::Error>> {
        let layer = acting.layer().header_name(header).allow_hosts(["127.0.0.1"]);
        let mut http = layer.layer(service(reqwest::Client::builder()).unwrap());
        let request = Request::get(url).body(Body::default()).unwrap();
        let response = http.ready().await?.call(request).await?;
        Ok(reqwest::Response::from(response).status())
    }

    /// conf: K11
    #[tokio::test]
    async fn each_request_has_the_current_token_and_a_rejected_one_is_replaced() {
        let google = Google::start().await;
        let acting = google.robot().access_token([CLOUD_PLATFORM]).unwrap();
        let api = Server::always(reply(StatusCode::UNAUTHORIZED)).await;
        let name = http::header::AUTHORIZATION;
        for _ in 0..2 {
            assert_eq!(get(&acting, name.clone(), &api.url).await.unwrap(), StatusCode::UNAUTHORIZED);
        }
        let sent = api.take();
        let tokens: Vec<&str> = sent.iter().filter_map(|request| request.bearer()).collect();
        assert_eq!(tokens.len(), 2);
        assert_ne!(tokens[0], tokens[1], "the rejected token was sent again");
        for token in tokens {
            let owner = google.owner(token).expect("a token of the emulator");
            assert_eq!(owner, (ACCOUNT.to_owned(), vec![CLOUD_PLATFORM.to_owned()]));
        }
    }

    /// The token is in a header that reqwest doesn't know to be secret.
    ///
    /// conf: K12
    #[tokio::test]
    async fn a_redirect_takes_the_token_to_no_other_host() {
        let google = Google::start().await;
        let acting = google.robot().id_token("https://service.run.app").unwrap();
        let other = Server::always(reply(StatusCode::OK)).await;
        let mut moved = reply(StatusCode::FOUND);
        let elsewhere = other.url.replace("127.0.0.1", "localhost");
        moved.headers_mut().insert("location", elsewhere.parse().unwrap());
        let api = Server::always(moved).await;
        let name = HeaderName::from_static("x-serverless-authorization");

        assert_eq!(get(&acting, name.clone(), &api.url).await.unwrap(), StatusCode::FOUND);
        assert_eq!(other.take().len(), 0, "the redirect was followed");
        assert!(api.take()[0].headers.contains_key(&name));

        let refused = get(&acting, name, &elsewhere).await.unwrap_err();
        assert!(matches!(refused, BearerError::Token(_)), "{refused:?}");
        assert_eq!(other.take().len(), 0);
    }
}
