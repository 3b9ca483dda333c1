//! What a list of scopes must be.

use super::{
    BIGQUERY, CLOUD_PLATFORM, CLOUD_PLATFORM_READ_ONLY, IAM, PUBSUB, STORAGE_READ_ONLY, STORAGE_READ_WRITE,
    USERINFO_EMAIL,
};
use crate::Error;

/// The scopes of OpenID Connect: the only ones that aren't URLs.
const OPENID: [&str; 3] = ["openid", "email", "profile"];

/// Scopes that people know by the last part of their URLs.
const WELL_KNOWN: [&str; 8] = [
    CLOUD_PLATFORM,
    CLOUD_PLATFORM_READ_ONLY,
    IAM,
    USERINFO_EMAIL,
    BIGQUERY,
    PUBSUB,
    STORAGE_READ_ONLY,
    STORAGE_READ_WRITE,
];

/// Returns the scopes if there is at least one, and each is a URL or a scope of OpenID Connect.
///
/// Errors don't show the scope, because it may come from a credential file.
pub(crate) fn checked_scopes(
    scopes: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<String>, Error> {
    let checked = |(index, scope): (usize, _)| {
        let scope: &str = AsRef::as_ref(&scope);
        check(scope).map_err(|error| error.at_index(index))?;
        Ok(scope.to_owned())
    };
    let scopes: Vec<String> = scopes.into_iter().enumerate().map(checked).collect::<Result<_, _>>()?;
    match scopes.is_empty() {
        true => Err(invalid("must contain at least one scope, such as `scopes::CLOUD_PLATFORM`")),
        false => Ok(scopes),
    }
}

/// Returns whether each is a scope that Google knows the form of. The emulator refuses all others.
#[cfg(feature = "emulator")]
pub(crate) fn are_scopes(scopes: &[String]) -> bool {
    scopes.iter().all(|scope| check(scope).is_ok())
}

fn check(scope: &str) -> Result<(), Error> {
    if is_url(scope) || OPENID.contains(&scope) {
        return Ok(());
    }
    if scope.contains([',', ' ']) {
        let error = invalid("must be one scope, without a comma or a space");
        return Err(error.fix_by("pass each scope as an item of its own"));
    }
    let short_for = |url: &&&str| url.rsplit_once('/').is_some_and(|(_, name)| name == scope);
    let meant = WELL_KNOWN.iter().find(short_for);
    let fix = match meant {
        Some(url) => format!("use the full URL: {url}"),
        None => format!("use the full URL of the scope, such as {CLOUD_PLATFORM}"),
    };
    Err(invalid("must be a URL, or `openid`, `email` or `profile`").fix_by(fix))
}

/// Whether this is an http or https URL of the characters that OAuth allows in a scope, without a
/// comma. Each call checks its scopes, so nothing more of the URL is parsed.
fn is_url(scope: &str) -> bool {
    // Without branches, the compiler checks many bytes at once.
    let is_legal = |byte: u8| byte.is_ascii_graphic() & (byte != b'"') & (byte != b'\\') & (byte != b',');
    let rest = scope.strip_prefix("https://").or_else(|| scope.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let starts_with_host = rest.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        starts_with_host && rest.bytes().fold(true, |legal, byte| legal & is_legal(byte))
    })
}

fn invalid(expectation: &'static str) -> Error {
    Error::invalid("scopes", expectation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: A24
    #[test]
    fn urls_and_the_scopes_of_openid_connect_are_accepted() {
        let scopes: Vec<&str> = WELL_KNOWN.into_iter().chain(OPENID).collect();
        assert_eq!(checked_scopes(&scopes).unwrap(), scopes);
        for scope in ["https://mail.google.com/", "http://www.google.com/m8/feeds", "https://a.b/auth/x?y=1"]
        {
            checked_scopes([scope]).unwrap();
        }
    }

    /// conf: A24
    #[test]
    fn anything_else_is_refused_with_advice() {
        let of_their_own = "pass each scope as an item of its own";
        for (scope, fix) in [
            ("cloud-platform", "use the full URL: https://www.googleapis.com/auth/cloud-platform"),
            (
                "devstorage.read_only",
                "use the full URL: https://www.googleapis.com/auth/devstorage.read_only",
            ),
            ("a,b", of_their_own),
            ("openid email", of_their_own),
            ("https://www.googleapis.com/auth/iam,https://www.googleapis.com/auth/pubsub", of_their_own),
            ("", "such as https://www.googleapis.com/auth/cloud-platform"),
            ("OpenID", "such as"),
            ("openid\t", "such as"),
            ("www.googleapis.com/auth/iam", "such as"),
            ("/auth/iam", "such as"),
            ("https://", "such as"),
            ("https:///auth/iam", "such as"),
            ("https://@host/auth/iam", "such as"),
            ("ftp://www.googleapis.com/auth/iam", "such as"),
            ("https://www.googleapis.com/auth/\"iam\"", "such as"),
            ("https://www.googleapis.com/auth/\\", "such as"),
            ("https://www.googleapis.com/auth/\u{e9}", "such as"),
        ] {
            let error = checked_scopes([CLOUD_PLATFORM, scope]).unwrap_err();
            assert_eq!(error.field(), Some("scopes[1]"), "{scope:?}");
            assert!(error.hint().unwrap().contains(fix), "{scope:?}: {error}");
        }
        assert_eq!(checked_scopes([""; 0]).unwrap_err().field(), Some("scopes"));
    }
}
