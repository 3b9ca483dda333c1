//! Which connections go through which proxy.

use super::*;

fn proxy_of(variables: fn(&str) -> Option<String>, destination: &str) -> Option<String> {
    let proxies = Proxies::from_environment(variables);
    let proxy = proxies.proxy_for(&destination.parse().unwrap()).unwrap();
    proxy.map(|proxy| format!("{}://{}", proxy.uri().scheme_str().unwrap(), proxy.name()))
}

/// Returns the value of a variable in a list.
macro_rules! environment {
    ($($name:literal = $value:literal),* $(,)?) => {{
        let variables: fn(&str) -> Option<String> = |name| match name {
            $($name => Some($value.to_owned()),)*
            _ => None,
        };
        variables
    }};
}

/// conf: F14
#[test]
fn the_variables_of_a_scheme_choose_the_proxy_in_upper_or_lower_case() {
    let both = environment! {"HTTPS_PROXY" = "http://secure:1", "HTTP_PROXY" = "http://plain:2"};
    assert_eq!(proxy_of(both, "https://sts.googleapis.com").as_deref(), Some("http://secure:1"));
    assert_eq!(proxy_of(both, "http://sts.googleapis.com").as_deref(), Some("http://plain:2"));

    let lower = environment! {"https_proxy" = "secure:1", "http_proxy" = "https://plain"};
    assert_eq!(proxy_of(lower, "https://sts.googleapis.com").as_deref(), Some("http://secure:1"));
    assert_eq!(proxy_of(lower, "http://sts.googleapis.com").as_deref(), Some("https://plain:443"));

    let all = environment! {"ALL_PROXY" = "socks5://all", "http_proxy" = "http://plain"};
    assert_eq!(proxy_of(all, "https://sts.googleapis.com").as_deref(), Some("socks5://all:1080"));
    assert_eq!(proxy_of(all, "http://sts.googleapis.com").as_deref(), Some("http://plain:80"));
    assert_eq!(proxy_of(|_| None, "https://sts.googleapis.com"), None);
}

/// conf: F14
#[test]
fn in_a_cgi_program_http_proxy_in_upper_case_is_a_header_of_a_request_and_is_ignored() {
    let cgi = environment! {
        "REQUEST_METHOD" = "GET",
        "HTTP_PROXY" = "http://evil",
        "HTTPS_PROXY" = "http://good",
    };
    assert_eq!(proxy_of(cgi, "http://sts.googleapis.com"), None);
    assert_eq!(proxy_of(cgi, "https://sts.googleapis.com").as_deref(), Some("http://good:80"));
    let lower = environment! {"REQUEST_METHOD" = "GET", "HTTP_PROXY" = "http://evil", "http_proxy" = "good"};
    assert_eq!(proxy_of(lower, "http://sts.googleapis.com").as_deref(), Some("http://good:80"));
}

/// conf: F14
#[test]
fn this_machine_and_the_metadata_server_are_called_directly() {
    let all = environment! {"ALL_PROXY" = "http://proxy"};
    for direct in [
        "http://localhost:8095",
        "https://127.0.0.1",
        "http://127.8.9.1",
        "http://[::1]:1",
        "http://169.254.169.254/computeMetadata",
        "http://metadata.google.internal",
        "http://[fd00:ec2::254]/latest",
        "http://[fe80::1]",
    ] {
        assert_eq!(proxy_of(all, direct), None, "{direct}");
    }
    for proxied in
        ["https://localhost.example", "http://10.0.0.1", "http://[fd00:ec2::255]", "http://metadata"]
    {
        assert!(proxy_of(all, proxied).is_some(), "{proxied}");
    }
}

/// conf: F14
#[test]
fn no_proxy_takes_domains_addresses_networks_and_ports() {
    let some = environment! {
        "ALL_PROXY" = "http://proxy",
        "no_proxy" = "googleapis.com, .corp.example,*.star.example 192.0.2.0/24,2001:db8::1,[2001:db8::2],ported.example:8443",
    };
    for direct in [
        "https://googleapis.com",
        "https://sts.googleapis.com",
        "https://STS.googleapis.com",
        "https://a.corp.example",
        "https://a.star.example",
        "https://192.0.2.7:8443",
        "https://[2001:db8::1]",
        "https://[2001:db8::2]",
        "https://ported.example:8443",
    ] {
        assert_eq!(proxy_of(some, direct), None, "{direct}");
    }
    for proxied in [
        "https://evilgoogleapis.com",
        "https://googleapis.com.evil.example",
        "https://192.0.3.7",
        "https://[2001:db8::3]",
        "https://ported.example",
        "https://star.example.evil",
    ] {
        assert!(proxy_of(some, proxied).is_some(), "{proxied}");
    }
    let everything = environment! {"ALL_PROXY" = "http://proxy", "NO_PROXY" = "*"};
    for direct in ["https://sts.googleapis.com", "https://192.0.2.7", "https://[2001:db8::1]"] {
        assert_eq!(proxy_of(everything, direct), None, "{direct}");
    }
}

/// conf: F14
#[test]
fn a_value_that_is_no_proxy_is_an_error_that_names_the_variable_and_not_the_value() {
    let wrong = environment! {"HTTPS_PROXY" = "socks4://user:hidden@proxy", "HTTP_PROXY" = "http://good"};
    let proxies = Proxies::from_environment(wrong);
    let error = proxies.proxy_for(&Uri::from_static("https://sts.googleapis.com")).unwrap_err();
    assert_eq!(error.field(), Some("HTTPS_PROXY"));
    assert!(!format!("{error:?} {error} {proxies:?}").contains("hidden"), "{error:?}");
    assert!(proxies.proxy_for(&Uri::from_static("http://sts.googleapis.com")).unwrap().is_some());
    assert!(proxies.proxy_for(&Uri::from_static("https://localhost")).unwrap().is_none());

    for url in [
        "",
        "http://",
        "ftp://proxy",
        "socks4a://proxy",
        "http://user:hidden@",
        "http://user:hidden",
        "proxy port",
    ] {
        let error = Proxies::at(url, "proxy").unwrap_err();
        assert_eq!(error.field(), Some("proxy"), "{url}");
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    }
}

/// conf: F14, R5
#[test]
fn user_and_password_of_a_proxy_are_in_no_debug_form() {
    for url in ["http://user:hidden@proxy", "socks5://user:hidden@proxy:1", "https://hidden@proxy"] {
        let proxies = Proxies::at(url, "proxy").unwrap();
        let proxy = proxies.proxy_for(&Uri::from_static("https://sts.googleapis.com")).unwrap().unwrap();
        let shown = format!("{proxies:?} {proxy:?} {}", proxy.name());
        assert!(shown.contains("proxy") && !shown.contains("hidden"), "{shown}");
    }
}

#[test]
fn a_tunnel_is_requested_for_the_port_of_the_scheme() {
    for (url, expected) in [
        ("https://host", "https://host:443/"),
        ("http://host/path", "http://host:80/path"),
        ("http://[::2]", "http://[::2]:80/"),
        ("https://host:1/", "https://host:1/"),
    ] {
        assert_eq!(with_port(&url.parse().unwrap()).to_string(), expected, "{url}");
    }
}

/// conf: F14, R5
#[test]
fn no_setting_whatever_makes_a_panic_shows_a_password_or_sends_this_machines_requests_away() {
    const PIECES: [&str; 24] = [
        "*",
        ".",
        ",",
        " ",
        ":",
        "/",
        "@",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        "10.0.0.0/8",
        "443",
        "http://",
        "socks5://",
        "https://",
        "socks4a://",
        "user:hidden",
        "googleapis.com",
        "sts",
        "%2F",
        "\u{e4}",
        "-",
        "0",
    ];
    let mut random = crate::random::Random::new(14);
    let mut any = || -> String {
        let length = random.within(0..8);
        (0..length).map(|_| PIECES[random.within(0..PIECES.len() as u64) as usize]).collect()
    };
    for _ in 0..20_000 {
        let (http, https, exempt) = (any(), any(), any());
        let proxies = Proxies::new(Some(("HTTP_PROXY", http)), Some(("HTTPS_PROXY", https)), &exempt);
        for destination in ["https://sts.googleapis.com", "http://10.1.2.3:80", "https://[2001:db8::1]"] {
            let outcome = proxies.proxy_for(&destination.parse().unwrap());
            assert!(!format!("{proxies:?} {outcome:?}").contains("hidden"), "{proxies:?} {outcome:?}");
            if exempt == "*" {
                assert!(matches!(outcome, Ok(None)));
            }
        }
        for own in ["http://localhost:1", "https://[::1]", "http://169.254.169.254"] {
            assert!(matches!(proxies.proxy_for(&own.parse().unwrap()), Ok(None)), "{own}");
        }
    }
}
