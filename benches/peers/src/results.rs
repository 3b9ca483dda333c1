//! The cells of the table, of this run and of earlier ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::BoxError;
use crate::measurement::Measurement;

/// The texts of the rows that each measurement of each peer filled.
#[derive(Debug, Default)]
pub struct Results(BTreeMap<String, Vec<String>>);

impl Results {
    /// Reads the cells of earlier runs, or returns none if there is no such file.
    pub fn read(path: &Path) -> Result<Self, BoxError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        Ok(Self(serde_json::from_str(&fs::read_to_string(path)?)?))
    }

    /// Writes all cells.
    pub fn write(&self, path: &Path) -> Result<(), BoxError> {
        Ok(fs::write(path, serde_json::to_string_pretty(&self.0)?)?)
    }

    /// Replaces the cells of a measurement.
    pub fn set(&mut self, peer: &str, measurement: Measurement, cells: Vec<String>) {
        self.0.insert(key(peer, measurement), cells);
    }

    /// Returns a measurement's cell for a row, if it was made.
    pub fn get(&self, peer: &str, measurement: Measurement, row: usize) -> Option<&str> {
        self.0.get(&key(peer, measurement))?.get(row).map(String::as_str)
    }
}

fn key(peer: &str, measurement: Measurement) -> String {
    format!("{peer} {}", measurement.name())
}
