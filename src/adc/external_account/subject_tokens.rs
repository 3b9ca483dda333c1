//! The field `credential_source`: where subject tokens come from.

mod executable;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::aws::ENVIRONMENT_ID;
use crate::Error;
use crate::adc::credential_file::Fields;
use crate::adc::reader::Reader;
use crate::adc::target::Target;
use crate::source::external::{ExternalAccount, FileSource, SubjectTokenSource, TokenFormat, UrlSource};

const SOURCE: &str = "credential_source";
pub(super) const CERTIFICATE: &str = "certificate";
const FORMAT: &str = "credential_source.format";

/// The fields of which exactly one must exist. It is the kind of source.
const KINDS: [&str; 5] = ["file", "url", "executable", CERTIFICATE, ENVIRONMENT_ID];

/// Headers that belong to one connection or to the body. The HTTP client sets them.
const RESERVED: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Reader {
    /// Reads where subject tokens come from.
    pub(super) fn subject_tokens(
        &self,
        fields: Fields<'_>,
        account: &ExternalAccount,
        target: Option<&Target>,
    ) -> Result<Box<dyn SubjectTokenSource>, Error> {
        let (source, kind) = source_in(fields)?;
        match kind {
            "file" => file(source),
            "url" => self.url(source),
            "executable" => self.executable(source, account, target),
            CERTIFICATE => self.certificate(source, account),
            _ => self.aws(source, account),
        }
    }

    fn url(&self, source: Fields<'_>) -> Result<Box<dyn SubjectTokenSource>, Error> {
        let uri = self.settings.trust.check_subject_token_url(source.text("url")?, "url");
        let uri = uri.map_err(|error| source.locate(error))?;
        let http = self.settings.http.clone();
        http.check(&uri, "url").map_err(|error| source.locate(error))?;
        Ok(Box::new(UrlSource { http, uri, headers: headers(source)?, format: format(source)? }))
    }
}

/// Returns the source of subject tokens in an object, and its kind.
pub(super) fn source_in(fields: Fields<'_>) -> Result<(Fields<'_>, &'static str), Error> {
    let Some(source) = fields.section(SOURCE)? else {
        return Err(fields.invalid(SOURCE, "must be an object, got nothing"));
    };
    // For AWS, `url` is a page of its metadata server.
    let belongs_to_aws = |kind: &str| kind == "url" && source.has(ENVIRONMENT_ID);
    let is_there = |kind: &&str| source.has(kind) && !belongs_to_aws(kind);
    let kinds: Vec<&'static str> = KINDS.into_iter().filter(is_there).collect();
    match kinds[..] {
        [kind] => Ok((source, kind)),
        _ => {
            let got = if kinds.is_empty() { "none".to_owned() } else { kinds.join(" and ") };
            let expectation = format!("must have one of the fields {}, got {got}", KINDS.join(", "));
            Err(fields.invalid(SOURCE, expectation))
        }
    }
}

fn file(source: Fields<'_>) -> Result<Box<dyn SubjectTokenSource>, Error> {
    Ok(Box::new(FileSource { path: source.text("file")?.into(), format: format(source)? }))
}

fn format(source: Fields<'_>) -> Result<TokenFormat, Error> {
    const TYPE: &str = "type";
    const FIELD: &str = "subject_token_field_name";
    let Some(format) = source.section(FORMAT)? else { return Ok(TokenFormat::Text) };
    match format.optional_text(TYPE)? {
        None | Some("text") => {
            format.optional_text(FIELD)?;
            Ok(TokenFormat::Text)
        }
        Some("json") => Ok(TokenFormat::Json { field: format.text(FIELD)?.into() }),
        Some(_) => Err(format.invalid(TYPE, "must be \"text\" or \"json\"")),
    }
}

/// Returns the headers of the request. They may contain a secret.
fn headers(source: Fields<'_>) -> Result<HeaderMap, Error> {
    const FIELD: &str = "headers";
    let mut headers = HeaderMap::new();
    for (name, value) in source.texts_by_name(FIELD)? {
        let name: HeaderName =
            name.parse().map_err(|_| source.invalid(FIELD, "must have legal names of headers"))?;
        if RESERVED.contains(&name) {
            return Err(source.invalid(FIELD, format!("must not have the header {name}")));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| source.invalid(FIELD, "must have values that a header can carry"))?;
        value.set_sensitive(true);
        if headers.insert(name, value).is_some() {
            return Err(source.invalid(FIELD, "must have each header only once, in any case"));
        }
    }
    Ok(headers)
}
