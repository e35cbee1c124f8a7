//! PURE: the bucket that is not sealed yet, from the newest reading on disk.

use chrono::{DateTime, FixedOffset};

use crate::ledger::block::HourBlock;
use crate::ledger::counters::{Counters, Others};
use crate::ledger::record::Checkpoint;
use crate::ports::Owners;

/// What was read since the last seal, as far as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub start: DateTime<FixedOffset>,
    /// When it was read.
    pub end: DateTime<FixedOffset>,
    /// Only ports that moved something.
    pub lines: Vec<(u16, Option<String>, Counters)>,
    pub other: Others,
}

/// The open bucket after the seal `last`; `None` when `checkpoint` is not about it. `owners` says whose the ports are
/// now, else the last lines do.
pub fn open(last: Option<&HourBlock>, checkpoint: &Checkpoint, owners: &Owners) -> Option<Open> {
    let sealed = last.map(|block| &block.seal);
    // A checkpoint older than the seal is in the log already; one that follows a seal that is not there has no baseline.
    if checkpoint.seq != sealed.and_then(|seal| seal.seq).unwrap_or(0) {
        return None;
    }
    let start = checkpoint.start.or_else(|| sealed.map(|seal| seal.end))?;
    let same_epoch = last.filter(|block| block.seal.epoch == checkpoint.epoch);
    let lines = checkpoint.totals.iter().map(|(port, total)| {
        let total = Counters::from_array(*total);
        // The last line of a port that was closed is no baseline: its counters began anew.
        let line = same_epoch.and_then(|block| block.lines.iter().find(|line| line.port == *port && !line.closed));
        let before = line.and_then(|line| line.total).map(Counters::from_array).unwrap_or_default();
        let user = owners.get(port).cloned().unwrap_or_else(|| {
            last.and_then(|block| block.lines.iter().find(|line| line.port == *port)).and_then(|line| line.user.clone())
        });
        // Counters that are less than before were zeroed by somebody: all of the new ones is usage.
        (*port, user, total.checked_sub(before).unwrap_or(total))
    });
    let lines = lines.filter(|(_, _, counters)| !counters.is_zero()).collect();
    let before = same_epoch.and_then(|block| block.seal.other_total).unwrap_or_default();
    let other = checkpoint.other_total.checked_sub(before).unwrap_or(checkpoint.other_total);
    Some(Open { start, end: checkpoint.at, lines, other })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ledger::counters::Flow;
    use crate::ledger::record::{HourLine, HourSeal, Kind, Quality, VERSION};

    fn at(text: &str) -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339(text).unwrap()
    }

    fn line(port: u16, total: u64, closed: bool) -> HourLine {
        let (start, end) = (at("2026-10-05T13:00:00+08:00"), at("2026-10-05T14:00:00+08:00"));
        let user = Some(format!("was-{port}"));
        let total = Some([total; 8]);
        let mut line = HourLine { v: VERSION, kind: Kind::Hour, start, end, port, user, total, closed, ..empty() };
        line.set_counters(Counters::from_array([1; 8]));
        line
    }

    fn empty() -> HourLine {
        serde_json::from_str(
            r#"{"v":1,"kind":"hour","start":"2026-10-05T13:00:00+08:00","end":"2026-10-05T14:00:00+08:00","port":1,
            "tcp_in_bytes":0,"tcp_in_packets":0,"tcp_out_bytes":0,"tcp_out_packets":0,
            "udp_in_bytes":0,"udp_in_packets":0,"udp_out_bytes":0,"udp_out_packets":0}"#,
        )
        .unwrap()
    }

    fn others(in_bytes: u64) -> Others {
        Others { other_ip: Flow { in_bytes, ..Flow::default() }, ..Others::default() }
    }

    fn last() -> HourBlock {
        let mut seal: HourSeal = serde_json::from_str(
            r#"{"v":1,"kind":"seal","seq":42,"start":"2026-10-05T13:00:00+08:00","end":"2026-10-05T14:00:00+08:00",
            "node":"hk-1","epoch":"e1","quality":"exact","ports":3,"sha256":""}"#,
        )
        .unwrap();
        assert_eq!(seal.quality, Quality::Exact);
        seal.other_total = Some(others(100));
        HourBlock { lines: vec![line(443, 10, false), line(8388, 20, false), line(9000, 30, true)], seal }
    }

    fn checkpoint(seq: u64, epoch: &str, totals: &[(u16, u64)]) -> Checkpoint {
        Checkpoint {
            v: VERSION,
            seq,
            start: None,
            at: at("2026-10-05T14:23:30+08:00"),
            epoch: epoch.to_owned(),
            totals: totals.iter().map(|(port, total)| (*port, [*total; 8])).collect(),
            other_total: others(130),
        }
    }

    fn figures(open: &Open) -> Vec<(u16, u64)> {
        open.lines.iter().map(|(port, _, counters)| (*port, counters.tcp_in_bytes)).collect()
    }

    #[test]
    fn it_is_the_newest_reading_less_the_last_seal() {
        // 9000 was closed and is back, from zero; 9001 is new; 443 did not move and is not in the checkpoint.
        let checkpoint = checkpoint(42, "e1", &[(8388, 25), (9000, 7), (9001, 8)]);
        let open = open(Some(&last()), &checkpoint, &BTreeMap::new()).unwrap();
        assert_eq!((open.start, open.end), (at("2026-10-05T14:00:00+08:00"), at("2026-10-05T14:23:30+08:00")));
        assert_eq!(figures(&open), [(8388, 5), (9000, 7), (9001, 8)]);
        assert_eq!(open.other, others(30));
    }

    #[test]
    fn a_new_epoch_counts_from_zero() {
        let open = open(Some(&last()), &checkpoint(42, "e2", &[(8388, 5)]), &BTreeMap::new()).unwrap();
        assert_eq!(figures(&open), [(8388, 5)]);
        assert_eq!(open.other, others(130));
    }

    #[test]
    fn counters_that_fell_are_taken_whole() {
        let open = open(Some(&last()), &checkpoint(42, "e1", &[(8388, 3)]), &BTreeMap::new()).unwrap();
        assert_eq!(figures(&open), [(8388, 3)]);
    }

    #[test]
    fn a_checkpoint_of_another_seal_says_nothing() {
        for seq in [41, 43] {
            assert_eq!(open(Some(&last()), &checkpoint(seq, "e1", &[(8388, 25)]), &BTreeMap::new()), None);
        }
    }

    #[test]
    fn before_the_first_seal_everything_is_open() {
        let mut checkpoint = checkpoint(0, "e1", &[(8388, 25)]);
        assert_eq!(open(None, &checkpoint, &BTreeMap::new()), None);
        checkpoint.start = Some(at("2026-10-05T14:20:00+08:00"));
        let open = open(None, &checkpoint, &BTreeMap::new()).unwrap();
        assert_eq!((figures(&open), open.start), (vec![(8388, 25)], at("2026-10-05T14:20:00+08:00")));
    }

    #[test]
    fn whose_a_port_is_now_goes_before_whose_it_was() {
        let checkpoint = checkpoint(42, "e1", &[(443, 11), (8388, 25)]);
        let now = BTreeMap::from([(8388, Some("is-8388".to_owned()))]);
        let open = open(Some(&last()), &checkpoint, &now).unwrap();
        let users: Vec<_> = open.lines.iter().map(|(_, user, _)| user.as_deref()).collect();
        assert_eq!(users, [Some("was-443"), Some("is-8388")]);
    }
}
