//! The two checksums that protect a block: SHA-256 over its lines, and CRC-32C over its seal.

use sha2::{Digest, Sha256};

/// Lower-case hex SHA-256 of `bytes`, as `sha256sum` prints it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// [`sha256_hex`] of bytes that are not all in memory at once.
#[derive(Clone, Debug, Default)]
pub struct RunningSha256(Sha256);

impl RunningSha256 {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hex SHA-256 of everything that was added.
    pub fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds a seal's own checksum: `{…}` becomes `{…,"check":"1f2e3d4c"}`, where the checksum is the CRC-32C (Castagnoli)
/// of all bytes before `,"check"`.
///
/// # Panics
/// Never for a struct that serde wrote, because that ends in `}`.
pub fn with_check(seal_json: &str) -> String {
    let body = seal_json.strip_suffix('}').expect("a JSON object ends in a brace");
    format!("{body},\"check\":\"{:08x}\"}}", crc32c::crc32c(body.as_bytes()))
}

/// Whether a seal's own checksum is right; `None` if the line has none (it is optional).
pub fn check_holds(line: &str) -> Option<bool> {
    let (body, tail) = line.rsplit_once(",\"check\":\"")?;
    let digits = tail.trim_end().strip_suffix("\"}")?;
    Some(digits == format!("{:08x}", crc32c::crc32c(body.as_bytes())))
}

#[cfg(test)]
mod tests;
