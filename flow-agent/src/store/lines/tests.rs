use std::io::BufReader;

use super::*;

#[test]
fn a_line_that_is_too_long_is_measured_and_not_kept() {
    let file = b"four\n\nfives\na long one\nlast";
    for capacity in [1, 3, 64] {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, &file[..]), 4);
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let text = line.text.map(|text| String::from_utf8_lossy(text).into_owned());
            read.push((line.number, text, line.length, line.is_finished));
        }
        let kept = |text: &str| Some(text.to_owned());
        assert_eq!(
            read,
            [
                (1, kept("four"), 5, true),
                (2, kept(""), 1, true),
                (3, None, 6, true),
                (4, None, 11, true),
                (5, kept("last"), 4, false)
            ]
        );
    }
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    let mut lines = Lines::new(BufReader::new(io::repeat(0).take(64 << 20)), 1 << 10);
    let line = lines.next_line().unwrap().unwrap();
    assert_eq!((line.text, line.length, line.is_finished), (None, 64 << 20, false));
    assert!(lines.line.capacity() <= 2 << 10, "{}", lines.line.capacity());
    assert_eq!(lines.next_line().unwrap(), None);
}
