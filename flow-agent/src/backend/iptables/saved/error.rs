//! PURE: what a dump cannot say.

/// Why a text is not what `iptables-save -c` or `ipset save` prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ParseError {
    pub line: usize,
    pub why: &'static str,
}

/// A counter, as both programs print it.
pub(super) fn number(text: &str) -> Result<u64, &'static str> {
    // `parse` alone would take a leading plus.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a counter is not a number");
    }
    text.parse().map_err(|_| "a counter is not a number below 2^64")
}
