//! Which user names are allowed in files, tables and letters.

/// Maximum length of a name, in bytes of UTF-8.
pub const MAX_BYTES: usize = 128;

/// Maximum length of the name of a node.
pub const MAX_NODE_BYTES: usize = 63;

/// Maximum length of the name of a billed owner: a user that only a node knows is called `NODE/USER`.
const MAX_OWNER_BYTES: usize = MAX_NODE_BYTES + 1 + MAX_BYTES;

/// Why a text is not an allowed name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("an empty name, expected 1 to {MAX_BYTES} bytes")]
    Empty,
    #[error("a name of {bytes} bytes, expected at most {most}")]
    TooLong { bytes: usize, most: usize },
    /// A control or bidirectional character, which could hide or reorder the text around it.
    #[error("U+{code:04X} in {found:?}, expected no control or bidirectional characters", code = u32::from(*.character))]
    Hidden { character: char, found: String },
}

/// Checks the name of a user: 1 to 128 bytes, without characters that [`hidden`] finds.
///
/// # Errors
/// The first rule that the name breaks.
pub fn check(name: &str) -> Result<(), NameError> {
    check_within(name, MAX_BYTES)
}

/// Checks the name of a billed owner: that of a user, or `NODE/USER`.
///
/// # Errors
/// The first rule that the name breaks.
pub fn check_owner(name: &str) -> Result<(), NameError> {
    check_within(name, MAX_OWNER_BYTES)
}

fn check_within(name: &str, most: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > most {
        return Err(NameError::TooLong { bytes: name.len(), most });
    }
    match hidden(name) {
        Some(character) => Err(NameError::Hidden { character, found: name.to_owned() }),
        None => Ok(()),
    }
}

/// The first character that affects how the text around it is shown: control characters, line and paragraph separators,
/// and the explicit bidirectional formatting characters of Unicode (UAX #9, section 2).
pub fn hidden(text: &str) -> Option<char> {
    text.chars().find(|c| is_hidden(*c))
}

/// Whether a character is one of those that [`hidden`] finds.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
