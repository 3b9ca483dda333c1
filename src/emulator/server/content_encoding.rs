//! How the body of a request is compressed.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, StatusCode, header};
use tonic::Code;

use crate::emulator::error::{ApiError, shorten};

/// The header `Content-Encoding` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Identity,
    Gzip,
}

impl ContentEncoding {
    /// Reads the header, or fails if the body has another encoding or several.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let values = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let names = values.flat_map(|value| value.to_str().unwrap_or("?").split(',').map(str::trim));
        let mut names = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        match (names.next(), names.next()) {
            (None, _) => Ok(Self::Identity),
            (Some(name), None) if ["gzip", "x-gzip"].iter().any(|gzip| name.eq_ignore_ascii_case(gzip)) => {
                Ok(Self::Gzip)
            }
            (Some(name), None) => Err(unsupported(name)),
            (Some(_), Some(_)) => Err(unsupported("several")),
        }
    }

    /// Returns the decoded body, or its first `limit` bytes and one more if it is larger.
    pub(super) fn decode(self, body: Bytes, limit: usize) -> Result<Bytes, ApiError> {
        if self == Self::Identity || body.is_empty() {
            return Ok(body);
        }
        let mut plain = Vec::new();
        let mut decoder = MultiGzDecoder::new(&*body).take(limit as u64 + 1);
        decoder.read_to_end(&mut plain).map_err(|_| {
            ApiError::new(Code::InvalidArgument, "The request's body isn't in the format gzip.")
        })?;
        Ok(plain.into())
    }
}

fn unsupported(encoding: &str) -> ApiError {
    let encoding = shorten(encoding);
    let message = format!("Unsupported content encoding {encoding:?}: must be gzip or identity.");
    ApiError::new(Code::InvalidArgument, message).with_http_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    /// conf: S6
    #[test]
    fn each_spelling_of_gzip_and_of_no_encoding_is_read_and_others_are_refused() {
        use ContentEncoding::{Gzip, Identity};
        for (values, expected) in [
            (&[][..], Some(Identity)),
            (&[""], Some(Identity)),
            (&["identity"], Some(Identity)),
            (&["gzip"], Some(Gzip)),
            (&["GZip"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["identity, gzip"], Some(Gzip)),
            (&["identity", "gzip"], Some(Gzip)),
            (&["br"], None),
            (&["gzip, gzip"], None),
            (&["gzip", "gzip"], None),
            (&["gzip;q=1"], None),
            (&["\u{e9}"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(
                    header::CONTENT_ENCODING,
                    http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                );
            }
            assert_eq!(ContentEncoding::of(&headers).ok(), expected, "{values:?}");
        }
    }

    /// conf: S6
    #[test]
    fn a_body_is_decompressed_up_to_the_limit_and_anything_else_than_gzip_is_refused() {
        let decode = |body: &[u8], limit| ContentEncoding::Gzip.decode(Bytes::copy_from_slice(body), limit);
        let (whole, twice) = (gzip(b"hello"), [gzip(b"hel"), gzip(b"lo")].concat());
        assert_eq!(decode(&whole, 5).unwrap(), "hello");
        assert_eq!(decode(&twice, 5).unwrap(), "hello", "a file may have several members");
        assert_eq!(decode(b"", 5).unwrap(), "");
        // A mebibyte of zeros takes a kilobyte.
        assert_eq!(decode(&gzip(&[0; 1 << 20]), 100).unwrap().len(), 101);
        for broken in [&whole[..whole.len() - 1], b"hello", &[&whole[..], b"hello"].concat()] {
            decode(broken, 5000).unwrap_err();
        }
        let plain = Bytes::from_static(b"hello");
        assert_eq!(ContentEncoding::Identity.decode(plain.clone(), 1).unwrap(), plain);
    }
}
