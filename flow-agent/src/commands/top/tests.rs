//! Tests `top` on a screen in memory: what it shows, and what the keys do.

use std::fmt::Write as _;

use chrono::DateTime;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{AfterKey, App, Overlay, Shown, Sort};
use super::draw::draw;
use super::model::{RowKey, TopSnapshot};
use crate::ledger::amount::Units;
use crate::ledger::counters::{Counters, Others};
use crate::ledger::now::{Now, OpenBucket, PortNow, QuotaStanding, Rates, UserNow};
use crate::ledger::record::{BackendKind, CountMode, Quality};
use crate::render::screen::first::ChartHour;

/// Ports, their owners, and how many bytes they receive and send in a second.
const PORTS: [(u16, Option<&str>, u64, u64); 5] = [
    (443, None, 1_000_000, 12_500_000),
    (8388, Some("alice"), 250_000, 6_250_000),
    (8389, Some("张三"), 125, 1_250),
    (8390, Some("北京市朝阳区某某国际数据通信与内容分发服务股份有限公司"), 0, 0),
    (8391, Some("\u{1b}[2Jevil"), 10, 10),
];

fn counters(in_bytes: u64, out_bytes: u64) -> Counters {
    Counters {
        tcp_in_bytes: in_bytes,
        tcp_in_packets: in_bytes / 1_000,
        tcp_out_bytes: out_bytes,
        tcp_out_packets: out_bytes / 1_000,
        ..Counters::default()
    }
}

fn rates(in_bytes: u64, out_bytes: u64) -> Rates {
    Rates { in_1s: Some(in_bytes), out_1s: Some(out_bytes), in_10s: Some(in_bytes / 2), ..Rates::default() }
}

/// The answer after `second` seconds, which also multiplies the rates.
fn answer(second: u32) -> Now {
    let at = |time: &str| DateTime::parse_from_rfc3339(&format!("2026-11-27T{time}+08:00")).unwrap();
    let factor = u64::from(second);
    let port = |(port, user, inward, outward): &(u16, Option<&str>, u64, u64)| PortNow {
        blocked: None,
        port: *port,
        user: user.map(str::to_owned),
        open: counters(inward * 60, outward * 60),
        total: None,
        today: Some(counters(inward * 3_600, outward * 3_600)),
        month: Some(counters(inward * 864_000, outward * 864_000)),
        rate: rates(inward * factor, outward * factor),
    };
    let user = |(port, user, inward, outward): &(u16, Option<&str>, u64, u64)| {
        user.map(|user| UserNow {
            user: user.to_owned(),
            ports: vec![*port],
            today: Some(counters(inward * 3_600, outward * 3_600)),
            month: Some(counters(inward * 864_000, outward * 864_000)),
            rate: rates(inward * factor, outward * factor),
            forecast: None,
            quota: (user == "alice").then_some(6 << 40),
            used: (user == "alice").then_some((inward + outward) * 864_000),
            state: (user == "张三").then_some(QuotaStanding::Expired),
            blocked: None,
        })
    };
    Now {
        v: 1,
        node: "hk-1".to_owned(),
        at: at("16:23:30") + chrono::TimeDelta::seconds(second.into()),
        zone: "Asia/Shanghai".to_owned(),
        version: "0.1.0".to_owned(),
        backend: BackendKind::Ebpf,
        count: CountMode::Ip,
        epoch: "boot-1".to_owned(),
        since: at("09:00:00"),
        interfaces: vec!["eth0".to_owned()],
        attached: true,
        day: "2026-11-27".parse().unwrap(),
        billing_month: "2026-11".parse().unwrap(),
        open: OpenBucket {
            seq: 7,
            start: at("16:00:00"),
            end_planned: at("17:00:00"),
            quality: Quality::Exact,
            gaps: Vec::new(),
        },
        last_seal: Some(at("16:00:00")),
        waiting: 0,
        damages: 0,
        ports: PORTS.iter().map(port).collect(),
        users: PORTS.iter().filter_map(user).collect(),
        other: Others::default(),
        other_total: Others::default(),
        devices: Vec::new(),
    }
}

fn app(shown: Shown) -> App {
    let mut app = App::new(shown, Units::default(), true, false);
    for second in 1..=4 {
        app.take(Ok(TopSnapshot::of(answer(second))));
    }
    app
}

fn press(app: &mut App, keys: &[KeyCode]) -> AfterKey {
    keys.iter().fold(AfterKey::Nothing, |_, key| app.key(KeyEvent::new(*key, KeyModifiers::NONE)))
}

/// The contents of a screen of that size; the row of the cursor is marked by `>`.
fn screen(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    terminal.backend().to_string()
}

fn names(app: &App) -> Vec<&str> {
    app.order.iter().map(|index| app.rows()[*index].name.as_str()).collect()
}

#[test]
fn screens_of_both_sizes() {
    let mut text = String::new();
    for (width, height) in [(80, 24), (140, 24), (200, 60)] {
        for shown in [Shown::Users, Shown::Ports] {
            let shown = screen(&mut app(shown), width, height);
            assert!(!shown.contains('\u{1b}'), "{shown}");
            // Below the rows there is only the line of keys.
            let used: Vec<&str> = shown.lines().filter(|line| !line.trim_matches(['"', ' ']).is_empty()).collect();
            writeln!(text, "{width} x {height}\n{}\n", used.join("\n")).unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn help_and_details_lie_over_the_table() {
    let mut app = app(Shown::Ports);
    assert_eq!(press(&mut app, &[KeyCode::Char('?')]), AfterKey::Nothing);
    let mut text = screen(&mut app, 80, 24);
    press(&mut app, &[KeyCode::Esc]);
    let action = press(&mut app, &[KeyCode::Enter]);
    assert_eq!(action, AfterKey::ReadHours(RowKey::Port(443)));
    let hour = |hour: u128| ChartHour { label: format!("{hour:02}"), bytes: (hour != 3).then_some((hour, 2 * hour)) };
    app.hours = Some((RowKey::Port(443), (0..24).map(hour).collect()));
    text += &screen(&mut app, 80, 24);
    insta::assert_snapshot!(text);
}

#[test]
fn rows_are_sorted_and_what_is_not_known_comes_last() {
    let mut app = app(Shown::Ports);
    assert_eq!(names(&app), ["443", "8388", "8389", "8391", "8390"]);
    press(&mut app, &[KeyCode::Char('n')]);
    assert_eq!(names(&app), ["443", "8388", "8389", "8390", "8391"]);
    press(&mut app, &[KeyCode::Char('S')]);
    assert_eq!(names(&app)[0], "8391");
    let mut next = answer(5);
    next.ports[0].rate = Rates::default();
    app.take(Ok(TopSnapshot::of(next)));
    press(&mut app, &[KeyCode::Char('r')]);
    assert_eq!(names(&app), ["8388", "8389", "8391", "8390", "443"]);
    assert_eq!(app.sort, Sort::Rate);
}

#[test]
fn a_filter_is_applied_while_it_is_typed() {
    let mut app = app(Shown::Ports);
    press(&mut app, &[KeyCode::Char('/'), KeyCode::Char('张')]);
    assert_eq!(names(&app), ["8389"]);
    // A letter that is a key elsewhere is text in the filter.
    press(&mut app, &[KeyCode::Backspace, KeyCode::Char('q')]);
    assert!(names(&app).is_empty() && app.is_typing);
    press(&mut app, &[KeyCode::Backspace, KeyCode::Char('A'), KeyCode::Char('l'), KeyCode::Enter]);
    assert_eq!((names(&app), app.is_typing), (vec!["8388"], false));
    press(&mut app, &[KeyCode::Esc]);
    assert_eq!(names(&app).len(), 5);
}

#[test]
fn a_frozen_screen_waits_and_then_shows_the_newest() {
    let mut app = app(Shown::Ports);
    press(&mut app, &[KeyCode::Char(' ')]);
    app.take(Ok(TopSnapshot::of(answer(9))));
    assert!(screen(&mut app, 80, 24).contains("16:23:34"));
    press(&mut app, &[KeyCode::Char(' ')]);
    assert!(screen(&mut app, 80, 24).contains("16:23:39"));
}

#[test]
fn the_cursor_stays_with_its_row() {
    let mut app = app(Shown::Ports);
    press(&mut app, &[KeyCode::Down]);
    assert_eq!(app.selected_row().unwrap().name, "8388");
    let mut next = answer(5);
    next.ports[1].rate = Rates::default();
    app.take(Ok(TopSnapshot::of(next)));
    assert_eq!((app.selected_row().unwrap().name.as_str(), app.selected), ("8388", 4));
    press(&mut app, &[KeyCode::End, KeyCode::Down, KeyCode::PageDown]);
    assert_eq!(app.selected, 4);
}

#[test]
fn an_agent_that_does_not_answer_is_named_and_the_rows_stay() {
    let mut app = app(Shown::Users);
    app.take(Err("no agent answers at `/run/flow-agent/x.sock`".to_owned()));
    let shown = screen(&mut app, 80, 24);
    assert!(shown.contains("no agent answers") && shown.contains("alice"), "{shown}");
    app.take(Ok(TopSnapshot::of(answer(5))));
    assert!(!screen(&mut app, 80, 24).contains("no agent answers"));
}

#[test]
fn every_size_and_every_key_is_survived() {
    let mut app = app(Shown::Ports);
    for (width, height) in [(1, 1), (5, 3), (20, 4), (79, 10), (500, 200)] {
        for key in "?upriotmlnS /x".chars() {
            press(&mut app, &[KeyCode::Char(key)]);
            screen(&mut app, width, height);
        }
        press(&mut app, &[KeyCode::Esc, KeyCode::Enter, KeyCode::Esc, KeyCode::Tab]);
        screen(&mut app, width, height);
    }
    assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), AfterKey::Quit);
    assert_eq!(app.overlay, Overlay::None);
}

#[test]
fn every_port_at_once_is_no_burden() {
    let mut all = answer(1);
    let line = all.ports[0].clone();
    all.ports = (1..=65_530).map(|port| PortNow { port, ..line.clone() }).collect();
    let mut app = App::new(Shown::Ports, Units::default(), true, false);
    app.take(Ok(TopSnapshot::of(all.clone())));
    app.take(Ok(TopSnapshot::of(all)));
    press(&mut app, &[KeyCode::End]);
    assert_eq!(app.selected_row().unwrap().name, "65530");
    press(&mut app, &[KeyCode::Char('/'), KeyCode::Char('6'), KeyCode::Char('5'), KeyCode::Char('5')]);
    assert!(names(&app).iter().all(|name| name.contains("655")));
    assert!(screen(&mut app, 80, 24).contains("65530") || names(&app).len() > 20);
}
