use super::*;
use crate::ledger::block::DayBlock;
use crate::ledger::record::{DayLine, DaySeal, MonthLine};
use crate::ledger::statement::NodeMonth;

fn node<'d>(directory: &'d Directory, name: &str, users: &[String]) -> NodeOutcome<'d> {
    let day = "2026-10-05".parse().unwrap();
    let most = Counters { tcp_in_bytes: 1 << 40, ..Counters::default() };
    let line = |(port, user): (u16, &String)| DayLine::new(day, port, Some(user.clone()), most);
    let seal = r#"{"v":1,"kind":"seal","day":"2026-10-05","node":"","zone":"UTC","ports":0,"seconds_in_day":86400,
            "seconds_covered":86400,"sha256":""}"#;
    let seal: DaySeal = serde_json::from_str(seal).unwrap();
    let seal = DaySeal { node: name.to_owned(), ports: u32::try_from(users.len()).unwrap(), ..seal };
    let block = DayBlock { lines: (1..).zip(users).map(line).collect(), seal };
    let mut figures = NodeMonth::new(name, directory, "2026-10".parse().unwrap(), 1);
    figures.add(&block).unwrap();
    NodeOutcome::taken(figures)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("u{number}")).collect()
}

#[test]
fn the_node_with_the_most_users_is_left_out_wherever_it_stands() {
    let directory = Directory::default();
    let (few, many) = (names(3), names(8));
    for order in [["a", "big", "b"], ["big", "a", "b"], ["a", "b", "big"]] {
        let users = |name: &str| if name == "big" { many.as_slice() } else { few.as_slice() };
        let mut nodes: Vec<_> = order.iter().map(|name| node(&directory, name, users(name))).collect();
        // 3 + 3 users fit, 3 + 3 + 8 do not.
        let left_out = cut(&directory, &mut nodes, 13, usize::MAX);
        let why = "its 8 users and ports do not fit in a month's report".to_owned();
        assert_eq!(left_out, [NodeCut { node: "big".to_owned(), why: why.clone() }]);
        for node in &nodes {
            let is_big = node.figures.node == "big";
            assert_eq!(
                (node.figures.sums.len(), node.why.clone()),
                if is_big { (0, Some(why.clone())) } else { (3, None) }
            );
        }
        let mut nodes: Vec<_> = order.iter().map(|name| node(&directory, name, users(name))).collect();
        assert_eq!(cut(&directory, &mut nodes, 14, usize::MAX), []);
    }
}

#[test]
fn the_bytes_of_a_line_are_never_more_than_they_are_taken_for() {
    let most = Counters::from_array([u64::MAX; 8]);
    let name = format!("{}/{}", "n".repeat(63), "\"".repeat(128));
    for nodes in [1, 2, 7] {
        let by_node = (0..nodes).map(|index| (format!("{index}{}", "n".repeat(62)), most)).collect();
        let month = "2026-10".parse().unwrap();
        let line =
            MonthLine::new(month, Some(name.clone()), vec![65_535; 9], most, by_node, Some(0.123_456_789_012_345_67));
        let written = serde_json::to_string(&line).unwrap().len() + 1;
        let taken_for = statement_bytes(&name) + nodes * by_node_bytes(&"n".repeat(63), most) + 9 * PORT_BYTES;
        assert!(written <= taken_for && taken_for < written + 100, "{written} {taken_for}");
    }
}

#[test]
fn a_month_may_take_exactly_as_many_bytes_as_there_are() {
    let directory = Directory::default();
    let user = ["ada".to_owned()];
    // A line takes 410 bytes, 2 quotation marks and `hk-1/ada`; its node 146 bytes, the name and 13 + 7 digits of the
    // counters; its port 6.
    let one = (410 + 2 + 8) + (146 + 4 + 13 + 7) + 6;
    for (most, left_out) in [(one, 0), (one - 1, 1)] {
        let mut nodes = [node(&directory, "hk-1", &user)];
        assert_eq!(cut(&directory, &mut nodes, 9, most).len(), left_out, "{most}");
    }
    for (most, left_out) in [(2 * one, 0), (2 * one - 1, 1)] {
        let mut nodes = [node(&directory, "hk-1", &user), node(&directory, "us-1", &user)];
        assert_eq!(cut(&directory, &mut nodes, 9, most).len(), left_out, "{most}");
    }
}

#[test]
fn a_name_that_is_longer_than_a_month_is_left_out() {
    let directory = Directory::default();
    let mut nodes = [node(&directory, "hk-1", &names(3)), node(&directory, "us-1", &["x".repeat(Monthly::MAX_BYTES)])];
    let left_out = cut_to_limits(&directory, &mut nodes);
    assert_eq!(left_out.iter().map(|cut| cut.node.as_str()).collect::<Vec<_>>(), ["us-1"]);
}
