//! PURE: draws the details of one port or user.

use ratatui::Frame;
use ratatui::style::Color;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::app::App;
use super::model::{RowKey, TopEntry};
use super::paint::{bold, bytes, color, dim, look, popup, rate};
use crate::ledger::counters::Counters;
use crate::render::screen::{cut, first};

/// Draws the details of `key` over the table.
pub fn draw(frame: &mut Frame<'_>, app: &App, key: &RowKey) {
    let Some(row) = app.row(key) else {
        let inner = popup(frame, "details", 60, 3);
        frame.render_widget(Line::from("it is no longer counted"), inner);
        return;
    };
    let title = match key {
        RowKey::Port(port) if row.owner.is_empty() => format!("port {port}"),
        RowKey::Port(port) => format!("port {port} of {}", row.owner),
        RowKey::User(_) => format!("user {}", row.name),
    };
    let mut lines = rates(app, row);
    lines.push(Line::default());
    lines.extend(amounts(app, row));
    if matches!(key, RowKey::User(_)) {
        let ports = crate::ports::spec::text(row.ports.iter().copied());
        lines.push(Line::from(vec![Span::styled("ports      ", dim()), Span::raw(cut(&ports, 60, app.unicode))]));
        if let Some((used, quota)) = row.quota {
            let text = format!("{} of {}", bytes(app, Some(used)), bytes(app, Some(quota)));
            lines.push(Line::from(vec![Span::styled("quota      ", dim()), Span::raw(text)]));
        }
        if let Some(forecast) = row.forecast {
            let text = format!("~{} by the end of the month", bytes(app, Some(forecast)));
            lines.push(Line::from(vec![Span::styled("forecast   ", dim()), Span::raw(text)]));
        }
    }
    if let Some(blocked) = row.blocked {
        let refused = |of: u64| bytes(app, Some(of));
        let text = format!("{} in, {} out", refused(blocked.in_bytes), refused(blocked.out_bytes));
        lines.push(Line::from(vec![Span::styled("refused    ", dim()), Span::styled(text, color(app, Color::Red))]));
    }
    lines.push(Line::default());
    match &app.hours {
        Some((of, hours)) if of == key => {
            lines.push(Line::styled("last 24 hours: in and out", dim()));
            let chart = first::chart(&look(app, 76), hours);
            lines.extend(chart.lines().map(|line| Line::styled(line.to_owned(), color(app, Color::Green))));
        }
        Some(_) | None => lines.push(Line::styled("reading the last 24 hours", dim())),
    }
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inner = popup(frame, &cut(&title, 74, app.unicode), 78, height);
    frame.render_widget(Paragraph::new(lines), inner);
}

fn rates(app: &App, row: &TopEntry) -> Vec<Line<'static>> {
    let line = |name: &str, inward, outward| {
        Line::from(vec![
            Span::styled(format!("{name:<11}"), dim()),
            Span::styled(format!("in {:>11}", rate(app, inward)), color(app, Color::Cyan)),
            Span::styled(format!("   out {:>11}", rate(app, outward)), color(app, Color::Green)),
        ])
    };
    vec![
        line("1 s", row.rates.in_1s, row.rates.out_1s),
        line("10 s", row.rates.in_10s, row.rates.out_10s),
        line("60 s", row.rates.in_60s, row.rates.out_60s),
    ]
}

/// The bytes and packets of TCP and UDP for each span of time.
fn amounts(app: &App, row: &TopEntry) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(
        format!("{:<11}{:>16}{:>16}{:>16}{:>16}", "", "TCP in", "TCP out", "UDP in", "UDP out"),
        dim(),
    )];
    for (name, counters) in [("open bucket", row.open), ("today", row.today), ("month", row.month)] {
        let Some(counters) = counters else { continue };
        lines.push(Line::from(format!("{name:<11}{}", cells(counters, |c| bytes(app, Some(c)), false))));
        lines.push(Line::styled(format!("{:<11}{}", "  packets", cells(counters, grouped, true)), dim()));
    }
    if let Some(line) = lines.get_mut(1) {
        *line = std::mem::take(line).style(bold());
    }
    lines
}

fn cells(counters: Counters, show: impl Fn(u64) -> String, packets: bool) -> String {
    let all = counters.to_array();
    let wanted = all.chunks(2).filter_map(|pair| pair.get(usize::from(packets)).copied());
    wanted.map(|number| format!("{:>16}", show(number))).collect()
}

fn grouped(number: u64) -> String {
    crate::render::screen::grouped(number)
}
