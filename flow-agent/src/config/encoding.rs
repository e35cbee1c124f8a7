//! PURE: decodes a file that a spreadsheet saved in an encoding of its choice.

use encoding_rs::{GB18030, UTF_8, UTF_16BE, UTF_16LE};

/// A text, with the encoding that it was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) text: String,
    /// `None` for UTF-8.
    pub(super) encoding: Option<&'static str>,
}

/// Bytes that are not text in any recognizable encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotText {
    /// How many bytes at the beginning are UTF-8.
    pub(super) valid_up_to: usize,
}

/// Decodes UTF-8, UTF-16 with or without a byte order mark, and GB18030 (which contains GBK) if it cannot be anything
/// else.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, NotText> {
    let valid_up_to = |text: Result<&str, std::str::Utf8Error>| text.err().map_or(0, |error| error.valid_up_to());
    let marked =
        encoding_rs::Encoding::for_bom(bytes).map(|(encoding, _)| encoding).filter(|encoding| *encoding != UTF_8);
    if let Some(encoding) = marked.or_else(|| unmarked_utf_16(bytes)) {
        let (text, malformed) = encoding.decode_with_bom_removal(bytes);
        // An odd number of bytes, or half a character: the file was cut off.
        return match malformed {
            true => Err(NotText { valid_up_to: 0 }),
            false => Ok(Decoded { text: text.into_owned(), encoding: Some(encoding.name()) }),
        };
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Decoded { text: text.to_owned(), encoding: None });
    }
    let refused = NotText { valid_up_to: valid_up_to(std::str::from_utf8(bytes)) };
    if !looks_chinese(bytes) {
        return Err(refused);
    }
    match GB18030.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(Decoded { text: text.into_owned(), encoding: Some(GB18030.name()) }),
        None => Err(refused),
    }
}

/// Recognizes UTF-16 without a byte order mark: the header begins with an ASCII letter, and text contains no NUL.
fn unmarked_utf_16(bytes: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    match bytes {
        [letter, 0, ..] if *letter != 0 && letter.is_ascii() => Some(UTF_16LE),
        [0, letter, ..] if *letter != 0 && letter.is_ascii() => Some(UTF_16BE),
        _ => None,
    }
}

/// Whether bytes that are not UTF-8 are more likely GB18030 than damaged UTF-8 or a Western encoding. In a Western
/// encoding, an accented letter usually stands between ASCII letters. GB18030 would combine it with the next letter
/// into one Chinese character, which would be a wrong name on a bill.
fn looks_chinese(bytes: &[u8]) -> bool {
    let pairs = bytes.windows(2).filter(|pair| pair.iter().all(|byte| (0xA1..=0xFE).contains(byte))).count();
    let (mut whole, mut broken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    pairs > 0 && broken >= whole
}

#[cfg(test)]
mod tests;
