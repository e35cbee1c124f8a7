//! The reason of a gap in the language of the letter.
//!
//! Seals record reasons in English and in detail (`clsact filter bpf came before the counter (ingress)`). A letter
//! names the category in its own language; a reason that fits no category is shown as it was recorded.

use super::words::Words;
use crate::ledger::name;

/// A part of recorded reasons, and the text that a letter shows for them. The first match wins.
const CATEGORIES: [(&str, &str); 19] = [
    ("no bucket", "no_record"),
    ("detached", "why_detached"),
    ("could not be attached", "why_detached"),
    ("nothing was attached", "why_detached"),
    ("came before the counter", "why_overtaken"),
    ("counters were removed", "why_removed"),
    ("removed the", "why_removed"),
    ("changed the", "why_changed"),
    ("interface was made again", "why_recreated"),
    ("interface appeared", "why_appeared"),
    ("no interface", "why_no_interface"),
    ("switched from", "why_switched"),
    ("moved to another kind of table", "why_switched"),
    ("sha256", "why_damaged"),
    ("the seal", "why_damaged"),
    ("without a seal", "why_damaged"),
    ("not JSON", "why_damaged"),
    ("cut off", "why_damaged"),
    ("missing or out of range", "why_damaged"),
];

/// What joins several reasons of one gap.
const SEPARATOR: &str = "; ";

/// The text before and after the number of omitted gaps, with which the reason of a day's last gap ends if the day has
/// too many.
const OMITTED: (&str, &str) = (" (and ", " more gaps on this day)");

/// The reason `recorded` in the language of `words`.
pub(super) fn reason(recorded: &str, words: &Words) -> String {
    let (recorded, omitted) = match recorded.strip_suffix(OMITTED.1).and_then(|rest| rest.rsplit_once(OMITTED.0)) {
        Some((rest, count)) if count.parse::<u64>().is_ok() => (rest, Some(count.to_owned())),
        Some(_) | None => (recorded, None),
    };
    let mut parts: Vec<String> = Vec::new();
    for part in recorded.split(SEPARATOR) {
        let category = CATEGORIES.iter().find(|(contained, _)| part.contains(contained));
        let part = category.map_or_else(|| printable(part), |(_, key)| words.say(key, &[]));
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    let why = parts.join(&words.say("comma", &[]));
    match omitted {
        Some(count) => words.say("why_and_more", &[("why", why), ("count", count)]),
        None => why,
    }
}

/// `text` without characters that are invisible or change how others are shown, and cut to 200 characters. Other nodes
/// wrote it, and unlike names it has not been checked.
pub(super) fn printable(text: &str) -> String {
    let keep = |c: char| name::hidden(c.encode_utf8(&mut [0; 4])).is_none();
    text.chars().filter(|c| keep(*c)).take(200).collect()
}

#[cfg(test)]
mod tests;
