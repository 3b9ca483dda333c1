//! Where calls go, and which settings are refused.

use super::*;
use crate::TokenSource;
#[cfg(feature = "_tls")]
use crate::environment::{QUOTA_VARIABLE, UNIVERSE_VARIABLE};
#[cfg(feature = "credential-files")]
use crate::source::token_endpoint::GOOGLE_TOKEN_URI;
use crate::source::{BoxFuture, FetchRequest, SourceInfo};

fn builder() -> ClientBuilder {
    let mut builder = ClientBuilder::new();
    builder.environment = |_| None;
    builder
}

fn with_token() -> ClientBuilder {
    builder().credentials(Credentials::fixed(Token::new("real-token", None).unwrap()))
}

/// Credentials that are known to belong to a universe.
struct Of(&'static str);

impl TokenSource for Of {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async { Token::new("token", None) })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().with_universe_domain(self.0)
    }
}

/// Credentials with a quota project.
struct Counted(&'static str);

impl TokenSource for Counted {
    fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async { Token::new("token", None) })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo::new().with_quota_project(self.0)
    }
}

#[test]
fn a_client_for_other_credentials_keeps_the_settings_and_takes_the_quota_project_of_its_own() {
    let project = |client: &IamCredentialsClient| {
        let project = client.executor().headers().get(crate::headers::USER_PROJECT)?;
        Some(project.to_str().unwrap().to_owned())
    };
    let first =
        || builder().endpoint("http://127.0.0.1:1").credentials(Credentials::from_source(Counted("first")));
    let client = first().build().unwrap();
    let with = |client: &IamCredentialsClient, source: Credentials| client.with_credentials(source).unwrap();
    let second = with(&client, Credentials::from_source(Counted("second")));
    assert_eq!((project(&client).as_deref(), project(&second).as_deref()), (Some("first"), Some("second")));
    let none = with(&second, Credentials::fixed(Token::new("token", None).unwrap()));
    assert_eq!((project(&none), none.endpoint()), (None, client.endpoint()));

    let own = first().quota_project("own").timeout(Duration::from_secs(3)).build().unwrap();
    let other = with(&own, Credentials::from_source(Counted("second")));
    assert_eq!(project(&other).as_deref(), Some("own"));
    assert_eq!(other.settings().timeout, Duration::from_secs(3));

    let error = client.with_credentials(Credentials::from_source(Of("universe.example"))).unwrap_err();
    assert_eq!(error.field(), Some("universe_domain"));
}

#[test]
fn a_client_of_an_emulator_on_another_machine_gets_no_real_credentials_later() {
    let mut builder = builder();
    builder.environment = |name| (name == EMULATOR_VARIABLE).then(|| "emulator.example:1".to_owned());
    let error =
        builder.build().unwrap().with_credentials(Credentials::from_source(Counted("p"))).unwrap_err();
    assert_eq!(error.field(), Some(EMULATOR_VARIABLE));
}

#[cfg(feature = "_tls")]
mod endpoints {
    use super::*;

    fn identity() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    /// conf: P59, P19, P20, P38, P49, G57, G7, G72
    #[test]
    fn endpoint_universe_and_environment_decide_where_calls_go() {
        let default = "https://iamcredentials.googleapis.com";
        let own = "https://own.example.com:8443";
        for (endpoint, universe, variable, expected) in [
            (None, None, false, default),
            (None, Some("googleapis.com"), false, default),
            (None, Some("universe.example"), false, "https://iamcredentials.universe.example"),
            (None, None, true, "https://iamcredentials.variable.example"),
            (None, Some("universe.example"), true, "https://iamcredentials.universe.example"),
            (None, Some("googleapis.com"), true, default),
            (Some(own), None, false, own),
            (Some(own), Some("universe.example"), false, own),
            (Some(own), None, true, own),
            (Some("own.example.com:8443"), None, false, own),
            (Some("https://own.example.com:8443/"), Some("googleapis.com"), true, own),
            (Some("https://127.0.0.1:1"), None, false, "https://127.0.0.1:1"),
            (Some("https://[::1]:1"), None, false, "https://[::1]:1"),
            (Some("http://localhost:1"), Some("universe.example"), true, "http://localhost:1"),
        ] {
            let mut builder = with_token();
            if variable {
                builder.environment =
                    |name| (name == UNIVERSE_VARIABLE).then(|| "variable.example".to_owned());
            }
            builder.endpoint = endpoint.map(str::to_owned);
            builder.universe_domain = universe.map(str::to_owned);
            let client = builder.build().unwrap();
            assert_eq!(client.endpoint(), expected, "{endpoint:?} {universe:?} {variable}");
            let universe = universe.unwrap_or(if variable { "variable.example" } else { "googleapis.com" });
            assert_eq!(client.universe_domain(), universe);
        }
    }

    /// conf: P59
    #[test]
    fn a_client_identity_leads_to_the_mtls_endpoint() {
        let (certificate, key) = identity();
        let with = |builder: ClientBuilder| builder.client_identity(&certificate, &key);
        let client = with(with_token()).build().unwrap();
        assert_eq!(client.endpoint(), "https://iamcredentials.mtls.googleapis.com");
        let own = with(with_token().endpoint("own.example.com")).build().unwrap();
        assert_eq!(own.endpoint(), "https://own.example.com");
        let error = with(with_token().universe_domain("universe.example")).build().unwrap_err();
        assert_eq!(error.field(), Some("client_identity"));
    }

    /// conf: P60, G9
    #[test]
    fn tls_options_that_cannot_be_used_are_errors() {
        let (certificate, key) = identity();
        let service = tower::service_fn(|_: http::Request<Body>| async {
            Err::<http::Response<Body>, _>(std::io::Error::other("not called"))
        });
        let plain = || with_token().endpoint("http://127.0.0.1:1");
        for (builder, field) in [
            (plain().root_certificates(&certificate), "endpoint"),
            (plain().client_identity(&certificate, &key), "endpoint"),
            (with_token().root_certificates("no certificate"), "root_certificates"),
            (with_token().client_identity(&certificate, "no key"), "client_identity"),
            (with_token().client_identity("no certificate", &key), "client_identity"),
        ] {
            assert_eq!(builder.build().unwrap_err().field(), Some(field));
        }
        for (builder, field) in [
            (with_token().root_certificates(&certificate), "root_certificates"),
            (with_token().client_identity(&certificate, &key), "client_identity"),
            (builder(), "credentials"),
        ] {
            assert_eq!(builder.build_with(service).unwrap_err().field(), Some(field));
        }
    }

    /// conf: M33
    #[test]
    fn the_emulator_variable_gives_way_to_anything_more_specific() {
        let mut builder = with_token();
        builder.environment = |name| (name == EMULATOR_VARIABLE).then(|| "127.0.0.1:8095".to_owned());
        let endpoint = builder.clone().endpoint("own.example.com").build().unwrap().endpoint();
        assert_eq!(endpoint, "https://own.example.com");
        let endpoint = builder.universe_domain("googleapis.com").build().unwrap().endpoint();
        assert_eq!(endpoint, "https://iamcredentials.googleapis.com");
    }
}

/// conf: P59, G4
#[cfg(feature = "_tls")]
#[test]
fn a_setting_that_makes_no_sense_is_refused_with_its_name() {
    for (builder, field) in [
        (with_token().endpoint(""), "endpoint"),
        (with_token().endpoint("ftp://host"), "endpoint"),
        (with_token().endpoint("https://host/path"), "endpoint"),
        (with_token().endpoint("http://iamcredentials.googleapis.com"), "endpoint"),
        (with_token().endpoint("http://10.0.0.1:80"), "endpoint"),
        (with_token().universe_domain(""), "universe_domain"),
        (with_token().universe_domain("https://googleapis.com"), "universe_domain"),
        (with_token().endpoint("http://localhost").quota_project("a b"), "quota_project"),
        (with_token().endpoint("http://localhost").quota_project(""), "quota_project"),
        (with_token().endpoint("http://localhost").user_agent("a\nb"), "user_agent"),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), Some(field));
    }
    for variable in [UNIVERSE_VARIABLE, QUOTA_VARIABLE, EMULATOR_VARIABLE] {
        let mut builder = with_token();
        builder.environment = match variable {
            UNIVERSE_VARIABLE => |name| (name == UNIVERSE_VARIABLE).then(|| "not a domain".to_owned()),
            QUOTA_VARIABLE => |name| (name == QUOTA_VARIABLE).then(|| "not a project".to_owned()),
            _ => |name| (name == EMULATOR_VARIABLE).then(|| "not a host".to_owned()),
        };
        assert_eq!(builder.build().unwrap_err().field(), Some(variable));
    }
}

#[test]
fn plaintext_off_loopback_needs_a_word() {
    let client = with_token().endpoint("http://10.0.0.1:80").allow_plaintext().build().unwrap();
    assert_eq!(client.endpoint(), "http://10.0.0.1:80");
}

/// conf: G58, P8
#[test]
fn credentials_of_another_universe_are_refused() {
    let of = |universe| builder().credentials(Credentials::from_source(Of(universe)));
    let local = |builder: ClientBuilder| builder.endpoint("http://localhost");
    let error = local(of("universe.example")).build().unwrap_err();
    assert_eq!(error.field(), Some("universe_domain"));
    let error = local(of("googleapis.com").universe_domain("universe.example")).build().unwrap_err();
    assert!(error.to_string().contains("googleapis.com"), "{error}");
    local(of("universe.example").universe_domain("universe.example")).build().unwrap();
    local(of("googleapis.com")).build().unwrap();
}

/// conf: M33
#[test]
fn an_emulator_never_gets_a_real_token_from_afar() {
    let mut builder = builder();
    builder.environment = |name| (name == EMULATOR_VARIABLE).then(|| "emulator.internal:8095".to_owned());
    // No application default credentials are looked for: the made-up token is there at once.
    let client = builder.clone().build().unwrap();
    assert_eq!(client.endpoint(), "http://emulator.internal:8095");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = runtime.block_on(client.credentials().token()).unwrap();
    assert_eq!(token.secret(), EMULATOR_TOKEN);

    let real = Credentials::fixed(Token::new("real-token", None).unwrap());
    let error = builder.clone().credentials(real.clone()).build().unwrap_err();
    assert_eq!(error.field(), Some(EMULATOR_VARIABLE));

    builder.environment = |name| (name == EMULATOR_VARIABLE).then(|| "http://127.0.0.1:8095".to_owned());
    let client = builder.credentials(real).build().unwrap();
    assert_eq!(client.endpoint(), "http://127.0.0.1:8095");
}

/// conf: A15, A17
#[cfg(feature = "credential-files")]
#[test]
fn all_users_share_one_token_endpoint_which_is_the_emulators_if_its_variable_is_set() {
    let real = || builder().credentials(Credentials::fixed(Token::new("real", None).unwrap()));
    let mut emulated = builder();
    emulated.environment = |name| (name == EMULATOR_VARIABLE).then(|| "emulator.internal:8095".to_owned());
    for (client, uri) in [
        (emulated, "http://emulator.internal:8095/token"),
        (real().endpoint("http://localhost:8095"), "http://localhost:8095/token"),
        (real().endpoint("http://[::1]:8095"), "http://[::1]:8095/token"),
        (real().endpoint("https://iamcredentials.p.googleapis.com"), GOOGLE_TOKEN_URI),
    ] {
        let client = client.build().unwrap();
        let endpoint = client.assertion_endpoint().unwrap();
        assert_eq!(endpoint.uri(), uri);
        assert!(Arc::ptr_eq(&endpoint, &client.clone().assertion_endpoint().unwrap()));
    }
}
