//! Databases of panels, read without ever blocking the panel.
//!
//! If everything that was committed is in the database file, its bytes are read without any lock. If there is a
//! write-ahead log, SQLite reads both files; in that mode readers and writers do not wait for each other.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as SqlRow};

use super::FormatError;
use crate::ports::Listed;

/// The first bytes of every SQLite database.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A damaged database may have pages that form a cycle, so a query is aborted after this many steps of SQLite's virtual
/// machine, which take some seconds.
const MOST_CALLS: u32 = 1_000;
const STEPS_BETWEEN_CALLS: i32 = 100_000;

/// Finds the ports in a panel's tables.
pub trait PanelTables: Sync {
    /// # Errors
    /// When a required table or column does not exist, or the database is damaged.
    fn ports(&self, database: &Connection) -> Result<Listed, FormatError>;
}

/// The ports in a database that consists of these bytes alone.
pub fn parse(bytes: &[u8], tables: &dyn PanelTables) -> Result<Listed, FormatError> {
    const EXPECTED: &str = "an SQLite database";
    if bytes.is_empty() {
        return Err(FormatError::NoText);
    }
    if !bytes.starts_with(MAGIC) || bytes.len() < 100 {
        return Err(FormatError::Shape { expected: EXPECTED, found: "something else" });
    }
    if let Some(expected) = length_in_header(bytes).filter(|length| *length > bytes.len() as u64) {
        // SQLite itself would read the pages that exist, and notice a missing one only when it needs it.
        return Err(FormatError::TornDatabase { expected, found: bytes.len() as u64 });
    }
    let mut bytes = bytes.to_vec();
    // Bytes 18 and 19 are 2 if a write-ahead log is used, which a database in memory does not have.
    bytes[18] = bytes[18].min(1);
    bytes[19] = bytes[19].min(1);
    let mut database = Connection::open_in_memory()?;
    let length = bytes.len();
    database.deserialize_read_exact("main", bytes.as_slice(), length, true)?;
    query(&mut database, tables)
}

/// The length of a database in bytes according to its header; `None` if an old version of SQLite did not write it.
fn length_in_header(bytes: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let page_bytes = match u16::from_be_bytes(bytes.get(16..18)?.try_into().ok()?) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    // The number of pages is valid if the change counter is still the one with which it was written.
    (number(24)? == number(92)?).then_some(u64::from(number(28)?) * page_bytes)
}

/// Runs `tables` in one transaction, so that no change by the panel is seen in part.
pub fn query(database: &mut Connection, tables: &dyn PanelTables) -> Result<Listed, FormatError> {
    // A damaged schema could refer to harmful functions and modules.
    database.pragma_update(None, "trusted_schema", false)?;
    database.pragma_update(None, "cell_size_check", true)?;
    let mut calls = 0;
    database.progress_handler(
        STEPS_BETWEEN_CALLS,
        Some(move || {
            calls += 1;
            calls > MOST_CALLS
        }),
    )?;
    database.execute_batch("BEGIN")?;
    let listed = tables.ports(database);
    // Nothing was written, so ending with a commit has no effect.
    database.execute_batch("COMMIT")?;
    listed
}

/// Whether there is such a table.
pub fn has_table(database: &Connection, name: &str) -> Result<bool, FormatError> {
    Ok(database.table_exists(Some("main"), name)?)
}

/// Calls `each` for every row of a query.
pub fn for_each(
    database: &Connection,
    query: &str,
    mut each: impl FnMut(usize, &Columns<'_>),
) -> Result<(), FormatError> {
    let mut statement = database.prepare(query)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    let mut index = 0;
    while let Some(row) = rows.next()? {
        each(index, &Columns { names: &names, row });
        index += 1;
    }
    Ok(())
}

/// The columns of a row. A column that an older version lacks reads as null.
pub struct Columns<'a> {
    names: &'a [String],
    row: &'a SqlRow<'a>,
}

impl Columns<'_> {
    fn value(&self, name: &str) -> ValueRef<'_> {
        let index = self.names.iter().position(|column| column == name);
        index.and_then(|index| self.row.get_ref(index).ok()).unwrap_or(ValueRef::Null)
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            ValueRef::Integer(number) => Some(number),
            ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).trim().to_owned()),
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        }
        .filter(|text| !text.is_empty())
    }
}
