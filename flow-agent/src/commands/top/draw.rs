//! PURE: draws the state of `top`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};

use super::app::{App, HISTORY, Overlay, Shown};
use super::model::TopEntry;
use super::paint::{bold, bytes, color, dim, look, popup, quota, rate};
use crate::ledger::counters::Counters;
use crate::ledger::record::BackendKind;
use crate::ledger::units::count;
use crate::render::screen::{ScreenStyle, cut};

/// The widest column of names. A wider one would only move the figures away from the names.
const WIDEST_NAME: u16 = 40;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let [head, status, table, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(2), Constraint::Length(1)])
            .areas(frame.area());
    draw_head(frame, app, head);
    draw_status(frame, app, status);
    draw_table(frame, app, table);
    draw_foot(frame, app, foot);
    match app.overlay.clone() {
        Overlay::None => {}
        Overlay::Help => draw_help(frame, app),
        Overlay::Details(key) => super::details::draw(frame, app, &key),
    }
}

fn total(counters: Option<Counters>) -> Option<u64> {
    counters.map(|counters| counters.bytes())
}

fn draw_head(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let Some(snapshot) = &app.snapshot else {
        frame.render_widget(Line::from("waiting for the agent"), area);
        return;
    };
    let backend = match snapshot.backend {
        BackendKind::Ebpf => "eBPF",
        BackendKind::Nftables => "nftables",
        BackendKind::Iptables => "iptables",
    };
    let time = snapshot.at.format("%H:%M:%S").to_string();
    let (rate_in, rate_out) = (rate(app, snapshot.rate_in), rate(app, snapshot.rate_out));
    let right = format!("in {rate_in}  out {rate_out}  {time}");
    let room = usize::from(area.width).saturating_sub(right.len() + 2);
    let node = cut(&snapshot.node, room.min(30), app.unicode);
    let rest = format!("  {} by {backend}", snapshot.interfaces.join(", "));
    let rest = cut(&rest, room.saturating_sub(Span::raw(&node).width()), app.unicode);
    let used = Span::raw(&node).width() + Span::raw(&rest).width() + right.len();
    let line = Line::from(vec![
        Span::styled(node, bold()),
        Span::raw(rest),
        Span::raw(" ".repeat(usize::from(area.width).saturating_sub(used))),
        Span::raw("in "),
        Span::styled(rate_in, color(app, Color::Cyan)),
        Span::raw("  out "),
        Span::styled(rate_out, color(app, Color::Green)),
        Span::styled(format!("  {time}"), dim()),
    ]);
    frame.render_widget(line, area);
}

fn draw_status(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let what = match app.shown {
        Shown::Ports => "port",
        Shown::Users => "user",
    };
    let all = count(app.rows().len(), what);
    let number = if app.filter.is_empty() { all } else { format!("{} of {all}", app.order.len()) };
    let order = if app.reversed { ", reversed" } else { "" };
    let mut spans = vec![Span::raw(format!("{number} by {}{order}", app.sort.name()))];
    if app.is_typing || !app.filter.is_empty() {
        let end = if app.is_typing { "_" } else { "" };
        spans.push(Span::styled(format!("  filter: {}{end}", app.filter), color(app, Color::Yellow)));
    }
    if app.is_frozen {
        spans.push(Span::styled("  frozen, space resumes", color(app, Color::Yellow)));
    }
    if app.snapshot.as_ref().is_some_and(|snapshot| !snapshot.attached) {
        spans.push(Span::styled("  an interface is not being counted", color(app, Color::Red)));
    }
    if let Some(problem) = &app.problem {
        spans.push(Span::styled(format!("  {problem}"), color(app, Color::Red)));
    }
    frame.render_widget(Line::from(spans), area);
}

fn draw_table(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    app.page = usize::from(area.height).saturating_sub(1).max(1);
    app.scroll();
    let is_of_users = app.shown == Shown::Users;
    // The width of the columns that are always shown, and of the spaces between them.
    let fixed = if is_of_users { 45 + 5 } else { 43 + 5 };
    let room = area.width.saturating_sub(fixed);
    let spark = match room {
        0..=20 => 0,
        _ => (room - 1).saturating_sub(WIDEST_NAME).max((room - 1) / 2).min(HISTORY as u16),
    };
    let name = room.saturating_sub(if spark > 0 { spark + 1 } else { 0 }).clamp(4, WIDEST_NAME);
    let look = look(app, area.width);
    let mut columns: Vec<(&str, u16)> =
        if is_of_users { vec![("user", name)] } else { vec![("port", 5), ("user", name)] };
    columns.extend([("in", 11), ("out", 11)]);
    if spark > 0 {
        columns.push(("last minute", spark));
    }
    columns.extend([("today", 8), ("month", 8)]);
    if is_of_users {
        columns.push(("quota", 7));
    }
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    let head = TableRow::new(columns.iter().map(|(title, _)| {
        let line = Line::styled((*title).to_owned(), dim());
        Cell::from(if matches!(*title, "user" | "port" | "last minute") { line } else { line.right_aligned() })
    }));
    let visible = app.order.iter().skip(app.top).take(app.page);
    let rows = visible.enumerate().map(|(position, index)| {
        let row = &app.rows()[*index];
        let mut cells = vec![Cell::from(cut(&row.name, if is_of_users { name.into() } else { 5 }, app.unicode))];
        if !is_of_users {
            cells.push(Cell::from(cut(&row.owner, name.into(), app.unicode)));
        }
        cells.push(right(rate(app, row.rate_in())).style(color(app, Color::Cyan)));
        cells.push(right(rate(app, row.rate_out())).style(color(app, Color::Green)));
        if spark > 0 {
            cells.push(Cell::from(sparkline(app, &look, row, spark.into())).style(color(app, Color::Green)));
        }
        cells.push(right(bytes(app, total(row.today))));
        cells.push(right(bytes(app, total(row.month))).style(bold()));
        if is_of_users {
            let (text, style) = quota(app, row);
            cells.push(right(text).style(style));
        }
        let is_selected = position + app.top == app.selected;
        TableRow::new(cells).style(if is_selected {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        })
    });
    let rows: Vec<TableRow<'_>> = rows.collect();
    frame.render_widget(Table::new(rows, widths).header(head).column_spacing(1), area);
}

fn sparkline(app: &App, look: &ScreenStyle, row: &TopEntry, width: usize) -> String {
    let history = app.history(&row.key);
    let newest = &history[history.len().saturating_sub(width)..];
    let text = look.sparkline(&newest.iter().map(|rate| rate.map(u128::from)).collect::<Vec<_>>());
    // Aligned to the right, where the newest rate is.
    " ".repeat(width.saturating_sub(newest.len())) + &text
}

fn draw_foot(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let keys: &[(&str, &str)] = if app.is_typing {
        &[("Enter", "keep the filter"), ("Esc", "no filter")]
    } else {
        &[
            ("Tab", "ports/users"),
            ("/", "filter"),
            ("space", "freeze"),
            ("Enter", "details"),
            ("?", "help"),
            ("q", "quit"),
        ]
    };
    let spans = keys.iter().flat_map(|(key, what)| {
        [
            Span::styled(format!(" {key} "), Style::new().add_modifier(Modifier::REVERSED)),
            // All of them together fit into 80 columns.
            Span::raw(format!(" {what} ")),
        ]
    });
    frame.render_widget(Line::from_iter(spans), area);
}

fn draw_help(frame: &mut Frame<'_>, _app: &App) {
    const KEYS: [(&str, &str); 17] = [
        ("Tab, p, u", "ports or users"),
        ("r, i, o", "sort by the rate: both directions, in, out"),
        ("t, m", "sort by today, by this month"),
        ("l", "sort by the used part of the quota"),
        ("n", "sort by name or port"),
        ("S", "reverse the order"),
        ("/", "show only rows that contain what you type"),
        ("Esc", "remove the filter, or close a popup"),
        ("space", "freeze the screen; again to resume"),
        ("Enter", "details of a port or user"),
        ("arrows, j, k", "move"),
        ("PgUp, PgDn, g, G", "move by a page, to the first, to the last"),
        ("?, h", "this help"),
        ("q, Ctrl-C", "quit"),
        ("", ""),
        ("", "Rates cover the last second, in counted bytes."),
        ("", "today and month include both directions."),
    ];
    let lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, what)| Line::from(vec![Span::styled(format!("{key:<18}"), bold()), Span::raw(*what)]))
        .collect();
    let inner = popup(frame, "keys", 74, KEYS.len() as u16 + 2);
    frame.render_widget(Paragraph::new(lines), inner);
}
