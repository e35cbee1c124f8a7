//! PURE: examines a text of JSON5 before its parser does, or after the parser has rejected it.

use super::FormatError;

/// How deeply JSON5 may be nested, because its parser recurses without a limit. `serde_json` has the same limit built
/// in.
const MOST_NESTED: usize = 128;

/// Rejects JSON5 that is nested too deeply for a recursive parser.
pub fn refuse_deep(text: &str) -> Result<(), FormatError> {
    let (mut depth, mut deepest) = (0_usize, 0);
    walk(text, |_, byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        Step::Go
    });
    if deepest > MOST_NESTED { Err(FormatError::TooDeep { most: MOST_NESTED }) } else { Ok(()) }
}

/// The text with every `#` that begins a comment replaced by `//`; `None` if there is none.
pub fn without_hash_comments(text: &str) -> Option<String> {
    let mut places = Vec::new();
    walk(text, |at, byte| match byte {
        b'#' => {
            places.push(at);
            Step::SkipLine
        }
        _ => Step::Go,
    });
    let (mut changed, mut from) = (String::new(), 0);
    for at in &places {
        changed += &text[from..*at];
        changed += "//";
        from = at + 1;
    }
    changed += &text[from..];
    (!places.is_empty()).then_some(changed)
}

/// What [`walk`] does next.
enum Step {
    Go,
    /// The rest of the line is a comment.
    SkipLine,
}

/// Passes every byte of JSON5 outside of strings and comments to `see`, with its offset. Up to the first error, strings
/// and comments are recognized exactly as the parser does it.
fn walk(text: &str, mut see: impl FnMut(usize, u8) -> Step) {
    enum Within {
        Code,
        String(u8),
        LineComment,
        BlockComment,
    }
    let mut within = Within::Code;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match (&within, byte) {
            (Within::Code, b'"' | b'\'') => within = Within::String(byte),
            (Within::Code, b'/') if bytes.next_if(|(_, next)| *next == b'/').is_some() => within = Within::LineComment,
            (Within::Code, b'/') if bytes.next_if(|(_, next)| *next == b'*').is_some() => within = Within::BlockComment,
            (Within::Code, byte) => {
                if let Step::SkipLine = see(at, byte) {
                    within = Within::LineComment;
                }
            }
            (Within::String(_), b'\\') => {
                bytes.next();
            }
            (Within::String(quote), byte) if *quote == byte => within = Within::Code,
            (Within::LineComment, b'\n' | b'\r') => within = Within::Code,
            (Within::BlockComment, b'*') if bytes.next_if(|(_, next)| *next == b'/').is_some() => within = Within::Code,
            (Within::String(_) | Within::LineComment | Within::BlockComment, _) => {}
        }
    }
}
