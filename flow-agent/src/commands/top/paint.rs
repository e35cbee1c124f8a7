//! PURE: helpers for drawing all parts of the screen of `top`.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Block, Clear};

use super::app::App;
use super::model::TopEntry;
use crate::ledger::now::QuotaStanding;
use crate::render::screen::ScreenStyle;

/// The style for a colour, or none if colours are not wanted.
pub(super) fn color(app: &App, color: Color) -> Style {
    if app.color { Style::new().fg(color) } else { Style::new() }
}

pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

pub(super) fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The style in which `show` prints the same elements.
pub(super) fn look(app: &App, width: u16) -> ScreenStyle {
    ScreenStyle { width: width.into(), unicode: app.unicode, color: false, units: app.units, is_piped: false }
}

pub(super) fn rate(app: &App, rate: Option<u64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| app.units.rate(rate.into()))
}

pub(super) fn bytes(app: &App, bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| app.units.bytes(bytes.into()))
}

/// The used part of the quota.
pub(super) fn quota(app: &App, row: &TopEntry) -> (String, Style) {
    match row.state {
        Some(QuotaStanding::Cut) => return ("cut".to_owned(), color(app, Color::Red)),
        Some(QuotaStanding::Expired) => return ("expired".to_owned(), color(app, Color::Red)),
        Some(QuotaStanding::Open | QuotaStanding::Warned) | None => {}
    }
    let Some((used, quota)) = row.quota.filter(|(_, quota)| *quota > 0) else { return (String::new(), dim()) };
    let percent = u128::from(used) * 100 / u128::from(quota);
    let shown = match percent {
        0..80 => Color::Green,
        80..100 => Color::Yellow,
        _ => Color::Red,
    };
    (if percent > 9_999 { ">9999%".to_owned() } else { format!("{percent} %") }, color(app, shown))
}

/// Draws an empty box in the middle of the screen, and returns the area inside it.
pub(super) fn popup(frame: &mut Frame<'_>, title: &str, width: u16, height: u16) -> Rect {
    let all = frame.area();
    let (width, height) = (width.min(all.width), height.min(all.height));
    let area = Rect::new((all.width - width) / 2, (all.height - height) / 2, width, height);
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}
