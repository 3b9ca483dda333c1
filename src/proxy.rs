//! Which proxy a connection goes through, if it goes through one.

mod connector;
mod exemptions;
mod failure;
#[cfg(test)]
mod tests;
#[cfg(feature = "_tls")]
mod tls_connector;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

#[cfg(feature = "credential-files")]
pub(crate) use self::connector::BoxedStream;
pub(crate) use self::connector::ProxyConnector;
use self::exemptions::Exemptions;
pub(crate) use self::failure::ProxyFailure;
use crate::Error;
use crate::host::is_loopback;

/// The name of the metadata server. Its address is link-local.
const METADATA_SERVER: &str = "metadata.google.internal";

/// The port that a URL without one means, for SOCKS.
const SOCKS_PORT: u16 = 1080;

/// The setting that names a program's proxies.
#[derive(Clone, Default)]
pub(crate) enum ProxyChoice {
    /// The environment's variables.
    #[default]
    Environment,
    /// There are none.
    Direct,
    /// The URL of one for all connections.
    At(String),
}

impl ProxyChoice {
    /// Returns the proxies.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names `proxy`, if the chosen one isn't the URL of a proxy.
    pub(crate) fn proxies(&self, variables: fn(&str) -> Option<String>) -> Result<Proxies, Error> {
        match self {
            Self::Environment => Ok(Proxies::from_environment(variables)),
            Self::Direct => Ok(Proxies::none()),
            Self::At(url) => Proxies::at(url, "proxy"),
        }
    }
}

/// The proxies of a program. A clone is cheap.
///
/// Connections to this machine and to the metadata server never go through a proxy.
#[derive(Clone, Default)]
pub(crate) struct Proxies(Option<Arc<Rules>>);

struct Rules {
    matcher: Matcher,
    exemptions: Exemptions,
    /// The settings that aren't URLs of proxies, for http and https destinations.
    invalid_http: Option<&'static str>,
    invalid_https: Option<&'static str>,
}

impl Proxies {
    /// Returns the setting that no connection goes through a proxy.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Returns the proxies in `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Each variable
    /// may be in lower case instead.
    ///
    /// In a CGI program (`REQUEST_METHOD` is set), `HTTP_PROXY` in upper case is ignored: there it
    /// is the header `Proxy` of a request.
    pub(crate) fn from_environment(variables: fn(&str) -> Option<String>) -> Self {
        let either = |upper: &'static str, lower: &'static str| {
            let is_set = |name: &'static str| variables(name).map(|value| (name, value));
            is_set(upper).or_else(|| is_set(lower))
        };
        let is_cgi = variables("REQUEST_METHOD").is_some();
        let all = either("ALL_PROXY", "all_proxy");
        let http = either(if is_cgi { "http_proxy" } else { "HTTP_PROXY" }, "http_proxy");
        let https = either("HTTPS_PROXY", "https_proxy");
        let no = either("NO_PROXY", "no_proxy").map(|(_, list)| list).unwrap_or_default();
        Self::new(http.or_else(|| all.clone()), https.or(all), &no)
    }

    /// Returns the setting that all connections go through the proxy at `url`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names `field`, if it isn't the URL of a proxy.
    pub(crate) fn at(url: &str, field: &'static str) -> Result<Self, Error> {
        let setting = Some((field, url.to_owned()));
        if is_proxy(url) { Ok(Self::new(setting.clone(), setting, "")) } else { Err(invalid(field)) }
    }

    fn new(
        http: Option<(&'static str, String)>,
        https: Option<(&'static str, String)>,
        exempt: &str,
    ) -> Self {
        if http.is_none() && https.is_none() {
            return Self::none();
        }
        // An invalid setting is an error only for the destinations that it applies to.
        let checked = |setting: Option<(&'static str, String)>| match setting {
            None => (None, String::new()),
            Some((_, url)) if is_proxy(&url) => (None, url),
            Some((name, _)) => (Some(name), exemptions::PLACEHOLDER.to_owned()),
        };
        let ((invalid_http, http), (invalid_https, https)) = (checked(http), checked(https));
        let exemptions = Exemptions::new(exempt);
        let matcher = Matcher::builder().http(http).https(https).build();
        Self(Some(Arc::new(Rules { matcher, exemptions, invalid_http, invalid_https })))
    }

    /// Returns the proxy for connections to `destination`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names the variable, if it isn't the URL of a proxy.
    pub(crate) fn proxy_for(&self, destination: &Uri) -> Result<Option<Proxy>, Error> {
        let Some(rules) = &self.0 else { return Ok(None) };
        if is_never_proxied(destination) || rules.exemptions.contain(destination) {
            return Ok(None);
        }
        let Some(intercept) = rules.matcher.intercept(destination) else { return Ok(None) };
        let is_plain = destination.scheme() == Some(&Scheme::HTTP);
        match if is_plain { rules.invalid_http } else { rules.invalid_https } {
            Some(name) => Err(invalid(name)),
            None => Ok(Some(Proxy(intercept))),
        }
    }
}

fn invalid(name: &'static str) -> Error {
    Error::invalid(name, "must be the URL of a proxy: http://, https://, socks5:// or socks5h:// and a host")
}

/// Returns whether the URL names a proxy that the crate can use.
fn is_proxy(url: &str) -> bool {
    let proxy = Matcher::builder().all(url).build().intercept(&Uri::from_static("https://destination.test"));
    proxy.is_some_and(|proxy| {
        let is_known = matches!(proxy.uri().scheme_str(), Some("http" | "https" | "socks5" | "socks5h"));
        is_known && proxy.uri().authority().is_some_and(is_host_and_port)
    })
}

/// Returns whether it is a name or an address, with a port or without. What stands in their place
/// may be a password.
fn is_host_and_port(authority: &Authority) -> bool {
    let host = authority.host();
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty(),
    };
    is_host && (authority.port_u16().is_some() || authority.as_str() == host)
}

/// Returns whether a host is this machine, or is reached only over its own network: the metadata
/// servers have link-local addresses.
fn is_never_proxied(destination: &Uri) -> bool {
    let host = destination.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = match bare.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unicast_link_local() || is_metadata_server_of_aws(address),
        Err(_) => bare.eq_ignore_ascii_case(METADATA_SERVER),
    };
    is_local || is_loopback(destination)
}

/// Returns whether it is `fd00:ec2::254`.
fn is_metadata_server_of_aws(address: Ipv6Addr) -> bool {
    address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
}

/// Returns the URI with its port. hyper-util's tunnels take 443 for every URI without one.
fn with_port(uri: &Uri) -> Uri {
    let port = match uri.scheme_str() {
        _ if uri.port().is_some() => return uri.clone(),
        Some("http") => 80,
        Some("socks5" | "socks5h") => SOCKS_PORT,
        _ => 443,
    };
    let mut parts = uri.clone().into_parts();
    let authority = format!("{}:{port}", uri.host().unwrap_or_default());
    parts.authority = Authority::try_from(authority).ok().or(parts.authority);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// One proxy, with the user and the password for it.
#[derive(Clone)]
pub(crate) struct Proxy(Intercept);

impl Proxy {
    fn uri(&self) -> Uri {
        with_port(self.0.uri())
    }

    /// Returns host and port, for errors: never a user or a password.
    fn name(&self) -> String {
        self.uri().authority().map(ToString::to_string).unwrap_or_default()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.name()).finish()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxies").field(&self.0.as_ref().map(|rules| &rules.matcher)).finish()
    }
}
