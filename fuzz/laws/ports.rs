//! The laws that the readers of port files obey for every text. The fuzzer searches for a text that breaks one; tests
//! check all texts in the corpus, and mutations of real files.

use flow_agent::ledger::name;
use flow_agent::ports::{PortFileFormat, formats};

/// Checks the laws for the format selected by the first byte. Panics if one is broken.
pub fn hold(input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    hold_for(PortFileFormat::ALL[usize::from(*first) % PortFileFormat::ALL.len()], text);
}

/// Checks the laws for a text in this format. Returns whether the text is valid in it.
pub fn hold_for(format: PortFileFormat, text: &[u8]) -> bool {
    let read = || formats::of(format).parse(text);
    let Ok(listed) = read() else { return false };
    // The result depends only on the text.
    assert_eq!(read().ok().as_ref(), Some(&listed));
    assert!(!listed.owners.contains_key(&0), "port 0 is counted");
    for owner in listed.owners.values().flatten() {
        assert_eq!(name::check(owner), Ok(()), "a name that may not be one");
    }
    assert!(listed.details.keys().all(|port| listed.owners.contains_key(port)));
    // A complaint about a row fits on a screen, whatever the row contains.
    for complaint in &listed.complaints {
        let text = complaint.to_string();
        assert!(name::hidden(&text).is_none(), "{text:?}");
        assert!(text.len() < 2_000, "{} bytes: {text:.100}", text.len());
    }
    // Reading a file twice, like two equal files in a folder, adds nothing.
    let mut twice = listed.clone();
    twice.merge(listed.clone());
    assert_eq!(twice.owners, listed.owners);
    true
}
