//! The body of one insert: rows as JSON, one per line, compressed as they are added.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::error::FleetError;

/// The maximum number of rows in one request.
pub const MOST_ROWS: usize = 50_000;

/// Rows for one table. Only the compressed text is kept in memory.
#[derive(Debug)]
pub struct Insert {
    table: &'static str,
    rows: usize,
    encoder: GzEncoder<Vec<u8>>,
    line: Vec<u8>,
}

impl Insert {
    /// An insert without rows so far.
    pub fn new(table: &'static str) -> Self {
        // Lines repeat most of their text: the fastest level compresses them to a tenth, and the best one to hardly
        // less.
        Self { table, rows: 0, encoder: GzEncoder::new(Vec::new(), Compression::fast()), line: Vec::new() }
    }

    pub fn table(&self) -> &'static str {
        self.table
    }

    /// The number of rows that were added.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn add(&mut self, row: &impl Serialize) -> Result<(), FleetError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, row).map_err(|error| FleetError::Compress(error.into()))?;
        self.line.push(b'\n');
        self.encoder.write_all(&self.line).map_err(FleetError::Compress)?;
        self.rows += 1;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, FleetError> {
        self.encoder.finish().map_err(FleetError::Compress)
    }
}
