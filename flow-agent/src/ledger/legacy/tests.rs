use super::*;

/// Imports lines, numbered from 1.
fn import(lines: &str) -> Imported<usize> {
    let mut import = Import::new(chrono_tz::Asia::Shanghai);
    for (number, line) in (1..).zip(lines.lines()) {
        import.take(line, number);
    }
    import.finish("hk-1")
}

/// `start port bytes` of every line that came out.
fn hours(imported: &Imported<usize>) -> Vec<String> {
    let line = |line: &HourLine| format!("{} {} {}", line.start.format("%m-%d %H"), line.port, line.tcp_out_bytes);
    imported.buckets.iter().flat_map(|bucket| bucket.lines.iter().map(line)).collect()
}

#[test]
fn a_line_is_of_the_hour_before_it() {
    let imported = import(
        "2017/09/01_13:00:07 port:8388 100\n2017/09/01_13:01:09 port:443  20\n\n2017/09/01_14:00:07 port:8388 7\n",
    );
    assert_eq!(hours(&imported), ["09-01 12 443 20", "09-01 12 8388 100", "09-01 13 8388 7"]);
    assert!(imported.doubts.is_empty() && imported.prefixes.is_empty());
    let seal = &imported.buckets[0].seal;
    assert_eq!((seal.quality, seal.seq, seal.node.as_str()), (Quality::Import, None, "hk-1"));
    assert_eq!(seal.end.to_rfc3339(), "2017-09-01T13:00:00+08:00");
}

#[test]
fn midnight_belongs_to_the_day_and_month_before() {
    assert_eq!(hours(&import("2017/10/01_00:00:07 port:443 5\n")), ["09-30 23 443 5"]);
}

#[test]
fn what_is_no_figure_is_no_zero_and_what_is_two_is_none() {
    let imported =
        import("2017/09/01_13:00:07 port:8388\n2017/09/01_13:00:08 port:443 10 4433\n2017/09/01_13:00:09 port:80 0\n");
    assert_eq!(hours(&imported), ["09-01 12 80 0"]);
    assert_eq!(imported.doubts, [(1, LegacyDoubt::NoFigure), (2, LegacyDoubt::Ambiguous { count: 2 })]);
}

#[test]
fn a_port_that_begins_another_is_named() {
    let imported = import("2017/09/01_13:00:07 port:443 1\n2017/09/01_13:00:07 port:4433 2\n");
    assert_eq!(imported.prefixes, [(443, 4433)]);
}

#[test]
fn every_line_of_a_port_that_begins_another_is_in_doubt_and_so_is_every_line_of_the_other() {
    let lines = "2017/09/01_13:00:07 port:443 10 5\n2017/09/01_13:00:09 port:4433 5\n2017/09/01_13:00:10 port:80 1\n\
                 2017/09/01_14:00:07 port:443 15\n170902  port:4433 7\n170902  port:44330 8\n";
    let imported = import(lines);
    assert_eq!(
        hours(&imported),
        ["09-01 12 80 1", "09-01 12 4433 5", "09-01 13 443 15", "09-02 00 4433 7", "09-02 00 44330 8"]
    );
    let prefix = |port, others: &[u16]| LegacyDoubt::Prefix { port, others: others.to_owned() };
    let mut doubts = imported.doubts;
    doubts.sort_by_key(|(line, _)| *line);
    assert_eq!(
        doubts,
        [
            (1, LegacyDoubt::Ambiguous { count: 2 }),
            (2, prefix(4433, &[443, 44330])),
            (4, prefix(443, &[4433, 44330])),
            (5, prefix(4433, &[443, 44330])),
            (6, prefix(44330, &[443, 4433])),
        ]
    );
    assert!(doubts[1..].iter().all(|(_, doubt)| doubt.is_taken()) && !doubts[0].1.is_taken());
    assert_eq!(doubts[2].1.to_string(), "the scripts could not tell port 443 from 4433, 44330");
}

#[test]
fn figures_that_cannot_be_added_are_named() {
    let imported = import("2017/09/01_13:00:07 port:443 18446744073709551615\n2017/09/01_13:05:07 port:443 1\n");
    assert!(imported.buckets.is_empty());
    assert_eq!(imported.doubts, [1, 2].map(|line| (line, LegacyDoubt::TooMany { port: 443 })));
}

#[test]
fn a_copy_counts_once_and_two_readings_add_up() {
    let twice = "2017/09/01_13:00:07 port:443 5\n2017/09/01_13:00:07 port:443 5\n2017/09/01_13:05:00 port:443 7\n";
    assert_eq!(hours(&import(twice)), ["09-01 12 443 12"]);
    let imported = import("2017/09/01_13:00:07 port:443 5\n2017/09/01_13:00:07 port:443 6\n");
    assert!(imported.buckets.is_empty());
    assert_eq!(imported.doubts, [1, 2].map(|line| (line, LegacyDoubt::Contradiction { port: 443 })));
}

#[test]
fn a_days_sum_is_taken_only_where_its_hours_are_not_known() {
    let imported = import("170901  port:443 500\n170902  port:443 7\n2017/09/01_13:00:07 port:443 100\n");
    assert_eq!(hours(&imported), ["09-01 12 443 100", "09-02 00 443 7"]);
    assert_eq!(imported.buckets[1].seal.end.to_rfc3339(), "2017-09-03T00:00:00+08:00");
    assert_eq!(imported.doubts, [(1, LegacyDoubt::KnownByTheHour)]);
}

#[test]
fn what_is_off_the_hour_is_taken_and_named() {
    let imported = import("2017/09/01_13:37:00 port:443 5\n2017/09/01_13:58:00 port:443 6\n");
    assert_eq!(hours(&imported), ["09-01 12 443 5", "09-01 13 443 6"]);
    assert_eq!(imported.doubts, [(1, LegacyDoubt::OffTheHour { minutes: 37 })]);
}

#[test]
fn ten_minutes_are_not_off_the_hour() {
    let imported = import("2017/09/01_13:10:00 port:443 5\n2017/09/01_13:50:00 port:443 6\n");
    assert_eq!(hours(&imported), ["09-01 12 443 5", "09-01 13 443 6"]);
    assert_eq!(imported.doubts, []);
    let imported = import("2017/09/01_13:10:01 port:443 5\n2017/09/01_13:49:59 port:443 6\n");
    assert_eq!(hours(&imported), ["09-01 12 443 11"]);
    let off = |minutes| LegacyDoubt::OffTheHour { minutes };
    assert_eq!(imported.doubts, [(1, off(10)), (2, off(49))]);
}

#[test]
fn other_lines_are_named_and_never_taken() {
    let imported = import(
        "hello\n2017/09/01_13:00:07 port:70000 5\n2017/09/01_13:00:07 port:443 -5\n2017/13/01_13:00:07 port:443 5\n\
         2017/09/01_13:00:07 port:443 18446744073709551616\n2017/09/01_13:00:07 443 5\n1709 port:443 5\n\
         2017/09/01_13:00:07 port:0 5\n2017/09/01_13:00:07 port:+443 5\n2017/09/01_13:00:07 port:443 +5\n",
    );
    assert!(imported.buckets.is_empty());
    assert_eq!(imported.doubts.iter().map(|(line, _)| *line).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert!(imported.doubts.iter().all(|(_, doubt)| !doubt.is_taken()));
}

#[test]
fn a_line_that_was_refused_unread_is_named() {
    let mut import = Import::new(chrono_tz::Asia::Shanghai);
    import.refuse(7);
    assert_eq!(import.finish("hk-1").doubts, [(7, LegacyDoubt::Unknown)]);
}

#[test]
fn a_time_that_the_clock_never_showed_is_named() {
    let mut import = Import::new(chrono_tz::Europe::Paris);
    import.take("2017/03/26_02:00:05 port:443 5", 1);
    let imported = import.finish("fr-1");
    assert_eq!(imported.doubts, [(1, LegacyDoubt::NoSuchTime { zone: chrono_tz::Europe::Paris })]);
}

#[test]
fn a_year_that_no_file_of_ours_can_bear_is_no_line_of_these_logs() {
    let imported = import(
        "+262142/12/31_23:59:59 port:443 5\n+10000/01/01_00:00:00 port:443 5\n-0001/01/01_00:00:00 port:443 5\n0000/01/01_00:00:00 port:443 5\n",
    );
    assert!(imported.buckets.is_empty());
    assert_eq!(imported.doubts.len(), 4);
    assert!(imported.doubts.iter().all(|(_, doubt)| *doubt == LegacyDoubt::Unknown), "{:?}", imported.doubts);
}
