use super::*;

#[test]
fn only_files_of_the_log_are_read() {
    for name in ["2026-10-05.jsonl", "2026-10-05.jsonl.zst"] {
        assert_eq!(date_of(name), NaiveDate::from_ymd_opt(2026, 10, 5));
    }
    for name in [
        "2026-10-5.jsonl",
        ".2026-10-05.jsonl.new",
        "2026-10-05.jsonl.torn",
        "2026-10-05.jsonlzst",
        "2026-10-05.zst",
        ".2026-10-05.jsonl.zst.new",
        "2026-02-30.jsonl",
        "+2026-10-05.jsonl",
        "+262142-12-31.jsonl",
        "9999-01-01.jsonl",
    ] {
        assert_eq!(date_of(name), None, "{name}");
    }
}
