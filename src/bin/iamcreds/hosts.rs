//! Which hosts get tokens, and of which account, for helpers that tools start without arguments.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::chain::{Chain, account};
use crate::failure::Failure;
use crate::folders::named_by;

/// The target of hosts without one of their own, and its delegates, separated by commas.
const TARGET_VARIABLE: &str = "IAMCREDS_HELPER_TARGET";
const VIA_VARIABLE: &str = "IAMCREDS_HELPER_VIA";

/// The user name that Google's registries and repositories expect with an access token.
pub(crate) const USERNAME: &str = "oauth2accesstoken";

/// The hosts of the settings file, and the account of all others.
pub(crate) struct Hosts {
    entries: BTreeMap<String, Account>,
    /// What the arguments name, which counts for all hosts.
    chain: Option<Chain>,
    usual: Option<Chain>,
}

/// The account of a host. Without a target, it is the one in the credential file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    target: Option<String>,
    #[serde(default)]
    via: Vec<String>,
}

impl Hosts {
    /// Reads `iamcreds/hosts.json` in `$XDG_CONFIG_HOME`, else in `~/.config`, or in `%APPDATA%` on Windows.
    /// It may be missing. `chain` is that of the arguments.
    pub(crate) fn read(chain: Option<Chain>) -> Result<Self, Failure> {
        let entries = match settings_file() {
            Some(path) => read_entries(&path)?,
            None => BTreeMap::new(),
        };
        let via = env::var(VIA_VARIABLE).unwrap_or_default();
        let usual = Account {
            target: env::var(TARGET_VARIABLE).ok().filter(|target| !target.is_empty()),
            via: via.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        };
        let usual = usual
            .chain()
            .map_err(|problem| Failure::usage(format!("{TARGET_VARIABLE} or {VIA_VARIABLE}: {problem}")))?;
        Ok(Self { entries, chain, usual })
    }

    /// Returns the account of a host; `None` if the host gets no token. It gets one if the settings file
    /// names it, or if `is_known`.
    pub(crate) fn chain_for(&self, host: &str, is_known: fn(&str) -> bool) -> Option<Option<Chain>> {
        let entry = self.entry(host);
        if entry.is_none() && !is_known(host) {
            return None;
        }
        let own = entry.and_then(|account| account.chain().ok().flatten());
        Some(self.chain.clone().or(own).or_else(|| self.usual.clone()))
    }

    /// Returns the hosts that the settings file names in full.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str).filter(|name| !name.starts_with('*'))
    }

    /// Returns the entry for a host: its own, or else that of the longest domain, `*.pkg.dev`, for example.
    fn entry(&self, host: &str) -> Option<&Account> {
        let domains = self.entries.iter().filter(|(name, _)| is_in_domain(host, name));
        self.entries
            .get(host)
            .or_else(|| domains.max_by_key(|(name, _)| name.len()).map(|(_, account)| account))
    }
}

impl Account {
    /// Returns the chain, unless no target is named.
    fn chain(&self) -> Result<Option<Chain>, String> {
        let delegates = self.via.iter().map(|name| account(name)).collect::<Result<Vec<_>, _>>()?;
        match &self.target {
            Some(target) => Ok(Some(Chain { target: account(target)?, delegates })),
            None if delegates.is_empty() => Ok(None),
            None => Err("delegates without a target".to_owned()),
        }
    }
}

/// Returns the host of a URL, with its port if it isn't that of https. Without a scheme, the text begins with
/// the host.
pub(crate) fn host_of(url: &str) -> Option<String> {
    let url = url.trim();
    let (scheme, url) = match url.split_once("://") {
        Some((scheme, _)) => (scheme, url.to_owned()),
        None => ("https", format!("https://{url}")),
    };
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
    let is_local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    match (scheme, uri.port_u16()) {
        ("https", None | Some(443)) => Some(host),
        ("https", Some(port)) => Some(format!("{host}:{port}")),
        // A token isn't sent in plaintext to another machine.
        ("http", port) if is_local => Some(format!("{host}:{}", port.unwrap_or(80))),
        _ => None,
    }
}

/// Whether a host is in a domain such as `*.pkg.dev`.
pub(crate) fn is_in_domain(host: &str, domain: &str) -> bool {
    let suffix = domain.strip_prefix('*').filter(|suffix| suffix.starts_with('.'));
    suffix.is_some_and(|suffix| host.len() > suffix.len() && host.ends_with(suffix))
}

fn settings_file() -> Option<PathBuf> {
    let folder = named_by("XDG_CONFIG_HOME").or_else(|| match env::consts::OS {
        "windows" => named_by("APPDATA"),
        _ => named_by("HOME").map(|home| home.join(".config")),
    });
    folder.map(|folder| folder.join("iamcreds/hosts.json"))
}

fn read_entries(path: &Path) -> Result<BTreeMap<String, Account>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Failure::file(path, &error)),
    };
    let unusable = |problem: String| {
        Failure::usage(format!("{}: {problem}", path.display()))
            .fix_by(r#"write {"HOST": {"target": "ACCOUNT", "via": []}, "*.DOMAIN": {"target": "ACCOUNT"}}"#)
    };
    let entries: BTreeMap<String, Account> =
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    for (host, account) in &entries {
        account.chain().map_err(|problem| unusable(format!("{host}: {problem}")))?;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str, chain: Option<Chain>, usual: Option<Chain>) -> Result<Hosts, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let entries = read_entries(file.path()).map_err(|failure| failure.to_string())?;
        Ok(Hosts { entries, chain, usual })
    }

    fn chain(target: &str) -> Chain {
        Chain { target: target.to_owned(), delegates: Vec::new() }
    }

    /// conf: I36
    #[test]
    fn a_url_has_one_host_however_it_is_written() {
        for (url, host) in [
            ("gcr.io", Some("gcr.io")),
            (" https://EU.gcr.io/v2/\n", Some("eu.gcr.io")),
            ("europe-docker.pkg.dev/project/image", Some("europe-docker.pkg.dev")),
            (
                "https://oauth2accesstoken@europe-python.pkg.dev:443/p/r/simple/",
                Some("europe-python.pkg.dev"),
            ),
            ("https://gcr.io@evil.test/", Some("evil.test")),
            ("https://evil.test/gcr.io", Some("evil.test")),
            ("https://evil.test#gcr.io", Some("evil.test")),
            ("gcr.io:5000", Some("gcr.io:5000")),
            ("http://127.0.0.1:80/", Some("127.0.0.1:80")),
            ("http://gcr.io/", None),
            ("ftp://gcr.io/", None),
            ("https:///path", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }

    /// conf: I36
    #[test]
    fn the_account_is_that_of_the_arguments_the_host_its_domain_or_the_variable() {
        let text = r#"{"one.pkg.dev": {"target": "one@p.com", "via": ["hop@p.com"]},
            "*.pkg.dev": {"target": "all@p.com"}, "*.dev": {"target": "dev@p.com"}, "own.test": {}}"#;
        let known = |host: &str| host == "gcr.io";
        let file = hosts(text, None, Some(chain("usual@p.com"))).unwrap();
        let target = |hosts: &Hosts, host: &str| {
            hosts
                .chain_for(host, known)
                .map(|chain| chain.map_or_else(|| "of the file".to_owned(), |chain| chain.target))
        };
        for (host, expected) in [
            ("one.pkg.dev", Some("one@p.com")),
            ("two.pkg.dev", Some("all@p.com")),
            ("pkg.dev", Some("dev@p.com")),
            ("own.test", Some("usual@p.com")),
            ("gcr.io", Some("usual@p.com")),
            ("evil.test", None),
            ("pkg.dev.evil.test", None),
            ("evilpkg.dev.", None),
        ] {
            assert_eq!(target(&file, host).as_deref(), expected, "{host}");
        }
        assert_eq!(file.chain_for("one.pkg.dev", known).unwrap().unwrap().delegates, ["hop@p.com"]);
        let arguments = hosts(text, Some(chain("given@p.com")), None).unwrap();
        assert_eq!(target(&arguments, "one.pkg.dev").as_deref(), Some("given@p.com"));
        assert_eq!(target(&hosts("{}", None, None).unwrap(), "gcr.io").as_deref(), Some("of the file"));
        assert_eq!(file.names().collect::<Vec<_>>(), ["one.pkg.dev", "own.test"]);
    }

    #[test]
    fn a_settings_file_that_cannot_be_used_says_where_and_how_to_write_it() {
        for (text, problem) in [
            ("{", "line 1"),
            (r#"{"gcr.io": {"traget": "a@p.com"}}"#, "traget"),
            (r#"{"gcr.io": {"target": "nobody"}}"#, "gcr.io"),
            (r#"{"gcr.io": {"via": ["a@p.com"]}}"#, "gcr.io: delegates without a target"),
        ] {
            let failure = hosts(text, None, None).err().unwrap();
            assert!(failure.contains(problem) && failure.contains("\nfix: write {"), "{failure}");
        }
    }
}
