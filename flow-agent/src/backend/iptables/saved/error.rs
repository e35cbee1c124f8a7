//! PURE: errors in dumps.

/// Why a text is not valid output of `iptables-save -c` or `ipset save`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ParseError {
    pub line: usize,
    pub why: &'static str,
}

/// Parses a counter as both programs print it.
pub(super) fn number(text: &str) -> Result<u64, &'static str> {
    // `parse` alone would accept a leading plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a counter is not a number");
    }
    text.parse().map_err(|_| "a counter is not a number below 2^64")
}
