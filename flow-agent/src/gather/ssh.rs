//! Runs the programs of OpenSSH, which may hang or produce endless output.

use std::ffi::OsString;
use std::path::Path;

use super::MOST_FILE_BYTES;
use super::error::FetchError;
use crate::process::{self, Ended, ProcessLimits};

/// A fetched file may not become larger than [`MOST_FILE_BYTES`], and the program is killed if flow-agent is.
const LIMITS: ProcessLimits =
    ProcessLimits { output_bytes: 16 << 10, file_bytes: Some(MOST_FILE_BYTES), dies_with_caller: true };

/// Runs `program` to its end, with `input` as its standard input. Dropping the future kills it.
///
/// # Errors
/// When it cannot be started.
pub(super) async fn run(
    program: &'static str,
    arguments: &[OsString],
    input: Option<&str>,
) -> Result<Ended, FetchError> {
    let ended = process::run_within(Path::new(program), arguments, input, LIMITS).await;
    ended.map_err(|source| FetchError::Start { program, source })
}
