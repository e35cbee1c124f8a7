//! PURE: tables for the terminal, in human-readable units.

use chrono::{DateTime, FixedOffset};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};

use super::figures::{TopRow, TotalRow};
use super::screen::ScreenStyle;
use crate::ledger::counters::{Flow, Others};
use crate::ledger::reconcile::{Compared, Reconciliation};

/// The title of a column and the alignment of its cells.
type Column = (&'static str, CellAlignment);

const LEFT: CellAlignment = CellAlignment::Left;
const RIGHT: CellAlignment = CellAlignment::Right;
const SUMS: [Column; 3] = [("in", RIGHT), ("out", RIGHT), ("total", RIGHT)];

/// The nodes of a fleet: name, newest hour, lag, buckets, version, alarms.
pub fn fleet(rows: &[[String; 6]]) -> String {
    let columns =
        [("node", LEFT), ("newest", LEFT), ("lag", RIGHT), ("buckets", RIGHT), ("version", LEFT), ("alarms", LEFT)];
    build(columns.into_iter(), rows.iter().map(|row| row.to_vec()))
}

/// The owners with the most usage.
pub fn top(rows: &[TopRow], all_bytes: u64, look: &ScreenStyle) -> String {
    // The other columns take at most 64 columns of the terminal.
    let most = if look.is_piped { usize::MAX } else { look.width.saturating_sub(58).max(8) };
    let columns = [("", RIGHT), ("user", LEFT), ("ports", LEFT)].into_iter().chain(SUMS).chain([("share", RIGHT)]);
    build(
        columns,
        rows.iter().map(|row| {
            let user = row.user.as_deref().map_or_else(|| "-".to_owned(), |name| look.name(name, most));
            let before = [row.rank.to_string(), user, ports(&row.ports)];
            let amounts = line(look, "", row.sums.in_bytes, row.sums.out_bytes).into_iter().skip(1);
            before.into_iter().chain(amounts).chain([percent(row.sums.bytes, all_bytes)]).collect()
        }),
    )
}

/// The total: the traffic of ports, other traffic, and the quality of the figures.
pub fn total(row: &TotalRow, look: &ScreenStyle) -> String {
    let c = &row.sums.counters;
    let mut lines: Vec<Vec<String>> = [
        ("tcp", c.tcp_in_bytes, c.tcp_out_bytes),
        ("udp", c.udp_in_bytes, c.udp_out_bytes),
        ("all ports", row.sums.in_bytes, row.sums.out_bytes),
    ]
    .into_iter()
    .map(|(name, inward, outward)| line(look, name, inward, outward))
    .collect();
    let others = others(&row.other).into_iter().filter(|(_, flow)| *flow != Flow::default());
    lines.extend(others.map(|(name, flow)| line(look, name, flow.in_bytes, flow.out_bytes)));
    let refused = Some(row.blocked).filter(|flow| *flow != Flow::default());
    lines.extend(refused.map(|flow| line(look, "refused by quotas", flow.in_bytes, flow.out_bytes)));
    let qualities = row.quality.iter().map(|(quality, buckets)| format!("{buckets} {}", quality.name()));
    let qualities = qualities.chain((row.open).then(|| "1 open".to_owned())).collect::<Vec<_>>().join(", ");
    let head = match (row.start, row.end) {
        (Some(start), Some(end)) => format!("{}, buckets: {qualities}", span(start, end)),
        _ => "nothing was counted".to_owned(),
    };
    let foot = row.reconciliation.as_ref().map(|compared| reconciliation(compared, look)).unwrap_or_default();
    format!("{head}\n{}{foot}", build([("", LEFT)].into_iter().chain(SUMS), lines.into_iter()))
}

/// The comparison of all counters with the devices.
fn reconciliation(compared: &Reconciliation, look: &ScreenStyle) -> String {
    let row = |name: &str, compared: Compared| {
        let percent = compared.difference_percent().map_or("-".to_owned(), |percent| format!("{percent:+.4} %"));
        vec![
            name.to_owned(),
            look.units.bytes(compared.cells_bytes),
            look.units.bytes(compared.devices_bytes),
            format!("{:+} B", compared.difference_bytes()),
            percent,
        ]
    };
    let columns = [("sealed", LEFT), ("all cells", RIGHT), ("devices", RIGHT), ("difference", RIGHT), ("", RIGHT)];
    let rows = [row("in", compared.incoming), row("out", compared.outgoing)];
    format!("\n{}", build(columns.into_iter(), rows.into_iter()))
}

fn line(look: &ScreenStyle, name: &str, in_bytes: u64, out_bytes: u64) -> Vec<String> {
    let (inward, outward) = (u128::from(in_bytes), u128::from(out_bytes));
    let amounts = [inward, outward, inward + outward].map(|bytes| look.units.bytes(bytes));
    [name.to_owned()].into_iter().chain(amounts).collect()
}

fn others(others: &Others) -> [(&'static str, Flow); 6] {
    [
        ("other ports", others.other_ports),
        ("other IP", others.other_ip),
        ("not IP", others.non_ip),
        ("for other hosts", others.other_host),
        ("lost fragments", others.fragment_unmatched),
        ("not understood", others.unparsed),
    ]
}

pub(super) fn build(columns: impl Iterator<Item = Column>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let columns: Vec<_> = columns.collect();
    let cell = |(text, column): (String, &Column)| Cell::new(text).set_alignment(column.1);
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|column| cell((column.0.to_owned(), column))));
    for row in rows {
        table.add_row(row.into_iter().zip(&columns).map(cell));
    }
    // The first column begins at the left edge, and lines have no trailing spaces.
    let lines = table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n");
    lines.collect()
}

/// The first few ports, and the number of further ones.
fn ports(ports: &[u16]) -> String {
    const SHOWN: usize = 4;
    let mut text = ports.iter().take(SHOWN).map(u16::to_string).collect::<Vec<_>>().join(" ");
    if let Some(more) = ports.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text += &format!(" +{more}");
    }
    text
}

/// A percentage with two decimals, rounded down, so that only the whole is shown as 100 %.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// `2026-10-05 13:00 - 14:00`, with the date of the end if it differs, and with offsets if they differ.
fn span(start: DateTime<FixedOffset>, end: DateTime<FixedOffset>) -> String {
    let is_same_day = start.date_naive() == end.date_naive();
    let until = if is_same_day { clock(end) } else { format!("{} {}", end.date_naive(), clock(end)) };
    let offsets = if start.offset() == end.offset() {
        [String::new(), String::new()]
    } else {
        [format!(" {}", start.offset()), format!(" {}", end.offset())]
    };
    format!("{} {}{} - {until}{}", start.date_naive(), clock(start), offsets[0], offsets[1])
}

/// A time of day, with seconds only if they are not zero.
fn clock(at: DateTime<FixedOffset>) -> String {
    use chrono::Timelike as _;
    at.format(if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

#[cfg(test)]
mod tests;
