//! The reason of a gap in the language of the letter.
//!
//! Seals record reasons in English and in detail (`clsact filter bpf came before the counter (ingress)`). A letter
//! names the category in its own language. A reason that fits no category is shown to the operator as it was recorded;
//! to a customer it is another reason, because it may name programs, chains and the traffic of others.

use super::words::Words;
use crate::ledger::name;

/// A part of recorded reasons, and the text that a letter shows for them. The first match wins.
const CATEGORIES: [(&str, &str); 25] = [
    ("no bucket", "no_record"),
    ("detached", "why_detached"),
    ("could not be attached", "why_detached"),
    ("nothing was attached", "why_detached"),
    ("came before the counter", "why_overtaken"),
    ("counters were removed", "why_removed"),
    ("counters were gone", "why_removed"),
    ("removed the", "why_removed"),
    ("no packet reached the counters", "why_removed"),
    ("was deleted and restored", "why_changed"),
    ("was deleted", "why_removed"),
    ("is gone", "why_removed"),
    ("changed the", "why_changed"),
    ("interface was made again", "why_recreated"),
    ("interface appeared", "why_appeared"),
    ("no interface", "why_no_interface"),
    ("switched from", "why_switched"),
    ("moved to another kind of table", "why_switched"),
    ("log was cut", "why_damaged"),
    ("sha256", "why_damaged"),
    ("the seal", "why_damaged"),
    ("without a seal", "why_damaged"),
    ("not JSON", "why_damaged"),
    ("cut off", "why_damaged"),
    ("missing or out of range", "why_damaged"),
];

/// What joins several reasons of one gap.
const SEPARATOR: &str = "; ";

/// For whom a reason is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Customer,
    Operator,
}

/// Whether a part says how much all interfaces moved during the gap, which is no reason, and no customer's business.
fn is_of_the_whole_node(part: &str) -> bool {
    part.starts_with("the interfaces moved ") || part == "an interface was re-created in that time"
}

/// The text before and after the number of omitted gaps, with which the reason of a day's last gap ends if the day has
/// too many.
const OMITTED: (&str, &str) = (" (and ", " more gaps on this day)");

/// The reason `recorded` in the language of `words`.
pub(super) fn reason(recorded: &str, words: &Words, reader: Reader) -> String {
    let (recorded, omitted) = match recorded.strip_suffix(OMITTED.1).and_then(|rest| rest.rsplit_once(OMITTED.0)) {
        Some((rest, count)) if count.parse::<u64>().is_ok() => (rest, Some(count.to_owned())),
        Some(_) | None => (recorded, None),
    };
    let mut parts: Vec<String> = Vec::new();
    for part in recorded.split(SEPARATOR) {
        if reader == Reader::Customer && is_of_the_whole_node(part) {
            continue;
        }
        let part = match CATEGORIES.iter().find(|(contained, _)| part.contains(contained)) {
            Some((_, key)) => words.say(key, &[]),
            None if reader == Reader::Customer => words.say("why_other", &[]),
            None => printable(part),
        };
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
