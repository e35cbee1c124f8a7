//! One-off allowances: bytes that somebody granted to a user for one billing month.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use crate::ledger::month::Month;
use crate::ledger::record::{Kind, stamp};

/// `grants.jsonl`: one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantLine {
    pub v: u32,
    pub kind: Kind,
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    /// The billing month in which the bytes may be used.
    pub month: Month,
    pub user: String,
    /// Added to the quota; negative where a grant was taken back.
    pub bytes: i64,
}

/// The bytes that each user was granted for `month`. A sum below zero counts as none.
pub fn granted(lines: &[GrantLine], month: Month) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.month == month) {
        *sums.entry(line.user.clone()).or_default() += i128::from(line.bytes);
    }
    let bytes = |sum: i128| u64::try_from(sum.max(0)).unwrap_or(u64::MAX);
    sums.into_iter().map(|(user, sum)| (user, bytes(sum))).filter(|(_, bytes)| *bytes > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::VERSION;

    fn line(month: &str, user: &str, bytes: i64) -> GrantLine {
        let at = DateTime::parse_from_rfc3339("2026-10-05T13:00:00+08:00").unwrap();
        GrantLine { v: VERSION, kind: Kind::Grant, at, month: month.parse().unwrap(), user: user.to_owned(), bytes }
    }

    #[test]
    fn grants_of_a_month_add_up_and_can_be_taken_back() {
        let lines = [
            line("2026-10", "ada", 50),
            line("2026-10", "ada", 70),
            line("2026-10", "ada", -20),
            line("2026-11", "ada", 1_000),
            line("2026-10", "bob", 10),
            line("2026-10", "bob", -10),
        ];
        let october = granted(&lines, "2026-10".parse().unwrap());
        assert_eq!(october, BTreeMap::from([("ada".to_owned(), 100)]));
    }

    #[test]
    fn a_line_has_the_fields_of_the_contract() {
        assert_eq!(
            serde_json::to_string(&line("2026-10", "ada", 50)).unwrap(),
            r#"{"v":1,"kind":"grant","at":"2026-10-05T13:00:00+08:00","month":"2026-10","user":"ada","bytes":50}"#
        );
    }
}
