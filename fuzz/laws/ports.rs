//! What holds for the readers of port files on every text. The fuzzer looks for one that breaks it; the tests look at every
//! text that was ever of interest, and at mutations of real ones.

use flow_agent::ledger::name;
use flow_agent::ports::{PortFileFormat, formats};

/// The first byte says which format; panics where a law is broken.
pub fn hold(input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    hold_for(PortFileFormat::ALL[usize::from(*first) % PortFileFormat::ALL.len()], text);
}

/// What holds for a text of this format. Whether it is of this format at all.
pub fn hold_for(format: PortFileFormat, text: &[u8]) -> bool {
    let read = || formats::of(format).parse(text);
    let Ok(listed) = read() else { return false };
    // Nothing but the text decides.
    assert_eq!(read().ok().as_ref(), Some(&listed));
    assert!(!listed.owners.contains_key(&0), "port 0 is counted");
    for owner in listed.owners.values().flatten() {
        assert_eq!(name::check(owner), Ok(()), "a name that may not be one");
    }
    assert!(listed.details.keys().all(|port| listed.owners.contains_key(port)));
    // What is said of the rows fits on a screen, whatever stands in them.
    for complaint in &listed.complaints {
        let text = complaint.to_string();
        assert!(name::hidden(&text).is_none(), "{text:?}");
        assert!(text.len() < 2_000, "{} bytes: {text:.100}", text.len());
    }
    // A file that is read twice, as two files of a folder that are equal, says nothing more.
    let mut twice = listed.clone();
    twice.merge(listed.clone());
    assert_eq!(twice.owners, listed.owners);
    true
}
