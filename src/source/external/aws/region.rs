//! A region of AWS.

use crate::Error;

const VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Far longer than a region's name, in bytes.
const MAX_LENGTH: usize = 32;

/// The name of a region, such as `us-east-2`. It becomes part of a host's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Region(Box<str>);

impl Region {
    /// Returns the region in the environment, if there is one.
    pub(super) fn in_variables(variables: fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        let found = VARIABLES.into_iter().find_map(|name| Some((name, variables(name)?)));
        let Some((name, region)) = found else { return Ok(None) };
        let problem = || format!("no subject token: {name} must be a region of AWS such as us-east-2");
        Self::new(&region).map(Some).ok_or_else(|| Error::credentials(problem(), false))
    }

    /// Takes the region out of the name of one of its availability zones, which ends with a letter.
    pub(super) fn of_zone(zone: &str) -> Option<Self> {
        let zone = zone.trim_ascii();
        let region = zone.strip_suffix(|last: char| last.is_ascii_lowercase())?;
        Self::new(region).filter(|_| region.ends_with(|last: char| last.is_ascii_digit()))
    }

    fn new(name: &str) -> Option<Self> {
        let is_legal = (1..=MAX_LENGTH).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        is_legal.then(|| Self(name.into()))
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: F4
    #[test]
    fn a_region_comes_from_the_first_variable_that_is_set() {
        let of = |variables| Region::in_variables(variables).unwrap();
        let region = |name: &str| Some(Region(name.into()));
        assert_eq!(of(|name| Some(name.to_ascii_lowercase().replace('_', "-"))), region("aws-region"));
        assert_eq!(
            of(|name| (name == "AWS_DEFAULT_REGION").then(|| "us-east-2".into())),
            region("us-east-2")
        );
        assert_eq!(of(|_| None), None);
        for bad in ["us_east_2", "US-EAST-2", "a.evil.example/", "-", "us-east-2-", "us east"] {
            assert_eq!(Region::new(bad), None, "{bad}");
        }
        let error = Region::in_variables(|_| Some("evil.example/#".into())).unwrap_err();
        assert!(error.to_string().contains("AWS_REGION") && !error.is_transient(), "{error}");
    }

    /// conf: F4
    #[test]
    fn a_zone_is_its_region_and_a_letter() {
        for (zone, region) in [("us-east-2a", Some("us-east-2")), ("eu-west-1c\n", Some("eu-west-1"))] {
            assert_eq!(Region::of_zone(zone), region.and_then(Region::new), "{zone}");
        }
        for bad in ["", "a", "web", "us-east-2", "us-east-2A", "<html>x", "us-east-2ä", "evil.example/a"] {
            assert_eq!(Region::of_zone(bad), None, "{bad}");
        }
    }
}
