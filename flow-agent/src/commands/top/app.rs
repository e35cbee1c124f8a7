//! PURE: the state of `top`: which rows are shown in which order, and what the keys do.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{RowKey, TopEntry, TopSnapshot};
use crate::ledger::amount::Units;
use crate::render::screen::first::ChartHour;

/// How many rates of each row are kept: a minute, at one a second.
pub const HISTORY: usize = 60;

/// What has a row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Ports,
    Users,
}

/// The order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Rate,
    In,
    Out,
    Today,
    Month,
    Quota,
    Name,
}

impl Sort {
    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::In => "in",
            Self::Out => "out",
            Self::Today => "today",
            Self::Month => "month",
            Self::Quota => "quota",
            Self::Name => "name",
        }
    }
}

/// What covers the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    None,
    Help,
    Details(RowKey),
}

/// What the caller has to do after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterKey {
    Nothing,
    Quit,
    /// Read the last 24 hours of this port or user.
    ReadHours(RowKey),
}

/// The state.
pub struct App {
    pub units: Units,
    pub unicode: bool,
    pub color: bool,
    pub shown: Shown,
    pub sort: Sort,
    pub reversed: bool,
    pub filter: String,
    pub is_typing: bool,
    pub is_frozen: bool,
    pub overlay: Overlay,
    /// Why there is no newer answer.
    pub problem: Option<String>,
    pub snapshot: Option<TopSnapshot>,
    /// The last 24 hours of the port or user whose details are shown.
    pub hours: Option<(RowKey, Vec<ChartHour>)>,
    /// The rows that match the filter, in their order, as indices into the snapshot.
    pub order: Vec<usize>,
    /// The cursor, as a position in `order`.
    pub selected: usize,
    /// The first visible position.
    pub top: usize,
    /// How many rows fit on the screen, as of the last drawing.
    pub page: usize,
    history: HashMap<RowKey, VecDeque<Option<u64>>>,
    /// An answer that arrived while the screen was frozen.
    waiting: Option<TopSnapshot>,
}

impl App {
    /// A state without any answer yet.
    pub fn new(shown: Shown, units: Units, unicode: bool, color: bool) -> Self {
        Self {
            units,
            unicode,
            color,
            shown,
            sort: Sort::Rate,
            reversed: false,
            filter: String::new(),
            is_typing: false,
            is_frozen: false,
            overlay: Overlay::None,
            problem: None,
            snapshot: None,
            hours: None,
            order: Vec::new(),
            selected: 0,
            top: 0,
            page: 1,
            history: HashMap::new(),
            waiting: None,
        }
    }

    /// Takes an answer, or the reason why there is none.
    pub fn take(&mut self, answer: Result<TopSnapshot, String>) {
        match answer {
            Err(problem) => self.problem = Some(problem),
            Ok(snapshot) => {
                self.problem = None;
                self.remember(&snapshot);
                if self.is_frozen {
                    self.waiting = Some(snapshot);
                } else {
                    self.show(snapshot);
                }
            }
        }
    }

    fn remember(&mut self, snapshot: &TopSnapshot) {
        for row in snapshot.ports.iter().chain(&snapshot.users) {
            let rate = row.rate();
            // Idle rows get no entry: a hundred thousand of them would hold nothing but zeros.
            match self.history.get_mut(&row.key) {
                Some(history) => {
                    history.push_back(rate);
                    if history.len() > HISTORY {
                        history.pop_front();
                    }
                }
                None if rate.is_none_or(|rate| rate == 0) => {}
                None => {
                    self.history.insert(row.key.clone(), VecDeque::from([rate]));
                }
            }
        }
        self.history.retain(|_, history| history.iter().any(|rate| rate.is_some_and(|rate| rate > 0)));
    }

    fn show(&mut self, snapshot: TopSnapshot) {
        let selected = self.selected_row().map(|row| row.key.clone());
        self.snapshot = Some(snapshot);
        self.arrange(selected.as_ref());
    }

    /// The rates of the last minute, the newest last.
    pub fn history(&self, key: &RowKey) -> Vec<Option<u64>> {
        self.history.get(key).map(|history| history.iter().copied().collect()).unwrap_or_default()
    }

    /// All rows of the ports or users that are shown.
    pub fn rows(&self) -> &[TopEntry] {
        match (&self.snapshot, self.shown) {
            (None, _) => &[],
            (Some(snapshot), Shown::Ports) => &snapshot.ports,
            (Some(snapshot), Shown::Users) => &snapshot.users,
        }
    }

    /// The row at the cursor.
    pub fn selected_row(&self) -> Option<&TopEntry> {
        self.order.get(self.selected).and_then(|index| self.rows().get(*index))
    }

    /// The row of `key` in the newest answer that is shown.
    pub fn row(&self, key: &RowKey) -> Option<&TopEntry> {
        let snapshot = self.snapshot.as_ref()?;
        let rows = if matches!(key, RowKey::Port(_)) { &snapshot.ports } else { &snapshot.users };
        rows.iter().find(|row| row.key == *key)
    }

    /// Filters and sorts, and keeps the cursor on `selected` if it is still there.
    fn arrange(&mut self, selected: Option<&RowKey>) {
        let filter = self.filter.to_lowercase();
        let rows = self.rows();
        let mut order: Vec<usize> = (0..rows.len()).filter(|index| rows[*index].matches(&filter)).collect();
        let sort = self.sort;
        order.sort_by(|left, right| compare(&rows[*left], &rows[*right], sort));
        if self.reversed {
            order.reverse();
        }
        let position = selected.and_then(|key| order.iter().position(|index| rows[*index].key == *key));
        // While the cursor is at the top it stays there, because people look for whoever is busiest.
        let stays = self.selected == 0 || position.is_none();
        self.selected = if stays { self.selected.min(order.len().saturating_sub(1)) } else { position.unwrap_or(0) };
        self.order = order;
        self.scroll();
    }

    /// Scrolls so that the cursor is visible.
    pub fn scroll(&mut self) {
        let page = self.page.max(1);
        self.top = self.top.min(self.selected).max((self.selected + 1).saturating_sub(page));
        self.top = self.top.min(self.order.len().saturating_sub(page));
    }

    /// Handles a key.
    pub fn key(&mut self, key: KeyEvent) -> AfterKey {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && matches!(key.code, KeyCode::Char('c')) {
            return AfterKey::Quit;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return AfterKey::Nothing;
        }
        match key.code {
            KeyCode::Char('q') if self.overlay == Overlay::None => return AfterKey::Quit,
            KeyCode::Char('q') => self.overlay = Overlay::None,
            KeyCode::Esc if self.overlay != Overlay::None => self.overlay = Overlay::None,
            KeyCode::Esc => {
                self.filter.clear();
                self.rearrange();
            }
            KeyCode::Char('?' | 'h') => {
                self.overlay = if self.overlay == Overlay::Help { Overlay::None } else { Overlay::Help };
            }
            KeyCode::Enter => {
                if self.overlay != Overlay::None {
                    self.overlay = Overlay::None;
                } else if let Some(key) = self.selected_row().map(|row| row.key.clone()) {
                    self.overlay = Overlay::Details(key.clone());
                    self.hours = None;
                    return AfterKey::ReadHours(key);
                }
            }
            KeyCode::Char('/') => {
                self.overlay = Overlay::None;
                self.is_typing = true;
            }
            KeyCode::Char(' ') => {
                self.is_frozen = !self.is_frozen;
                if let Some(snapshot) = self.waiting.take().filter(|_| !self.is_frozen) {
                    self.show(snapshot);
                }
            }
            KeyCode::Tab | KeyCode::Char('u' | 'p') => {
                self.shown = match (key.code, self.shown) {
                    (KeyCode::Char('u'), _) | (KeyCode::Tab, Shown::Ports) => Shown::Users,
                    _ => Shown::Ports,
                };
                (self.selected, self.top, self.overlay) = (0, 0, Overlay::None);
                self.arrange(None);
            }
            KeyCode::Char('S') => {
                self.reversed = !self.reversed;
                self.rearrange();
            }
            KeyCode::Char(letter) if sort_of(letter).is_some() => {
                self.sort = sort_of(letter).unwrap_or(self.sort);
                self.reversed = false;
                (self.selected, self.top) = (0, 0);
                self.arrange(None);
            }
            code => self.move_cursor(code),
        }
        AfterKey::Nothing
    }

    fn rearrange(&mut self) {
        let selected = self.selected_row().map(|row| row.key.clone());
        self.arrange(selected.as_ref());
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(character) if self.filter.len() < 128 => self.filter.push(character),
            _ => return self.move_cursor(code),
        }
        (self.selected, self.top) = (0, 0);
        self.arrange(None);
    }

    fn move_cursor(&mut self, code: KeyCode) {
        let last = self.order.len().saturating_sub(1);
        self.selected = match code {
            KeyCode::Up | KeyCode::Char('k') => self.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.selected.saturating_add(1).min(last),
            KeyCode::PageUp => self.selected.saturating_sub(self.page),
            KeyCode::PageDown => self.selected.saturating_add(self.page).min(last),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => return,
        };
        self.scroll();
    }
}

fn sort_of(letter: char) -> Option<Sort> {
    Some(match letter {
        'r' => Sort::Rate,
        'i' => Sort::In,
        'o' => Sort::Out,
        't' => Sort::Today,
        'm' => Sort::Month,
        'l' => Sort::Quota,
        'n' => Sort::Name,
        _ => return None,
    })
}

/// Largest first and unknown last; equal rows by name.
fn compare(left: &TopEntry, right: &TopEntry, sort: Sort) -> Ordering {
    let bytes = |counters: &Option<crate::ledger::counters::Counters>| counters.map(|counters| counters.bytes());
    let order = match sort {
        Sort::Rate => right.rate().cmp(&left.rate()),
        Sort::In => right.rate_in().cmp(&left.rate_in()),
        Sort::Out => right.rate_out().cmp(&left.rate_out()),
        Sort::Today => bytes(&right.today).cmp(&bytes(&left.today)),
        Sort::Month => bytes(&right.month).cmp(&bytes(&left.month)),
        Sort::Quota => {
            // Compares used / quota without division.
            let (left, right) = (left.quota, right.quota);
            match (left, right) {
                (Some((used, quota)), Some((other_used, other_quota))) => {
                    let scaled = |used: u64, quota: u64| u128::from(used) * u128::from(quota);
                    scaled(other_used, quota).cmp(&scaled(used, other_quota))
                }
                (left, right) => right.is_some().cmp(&left.is_some()),
            }
        }
        Sort::Name => Ordering::Equal,
    };
    order.then_with(|| left.key.cmp(&right.key))
}
