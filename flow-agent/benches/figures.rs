//! Results: tables for people, JSON for tools, and goals with which figures are compared.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use crate::rounds::Spread;

/// Everything measured in one run.
#[derive(Default)]
pub struct Report {
    rows: Vec<Value>,
    goals: Vec<Goal>,
}

/// A table with the same figures in each row.
pub struct Figures {
    bench: &'static str,
    title: String,
    columns: Vec<Column>,
    rows: Vec<(String, Vec<Option<Spread>>)>,
}

/// A column: the name of a figure and its unit.
#[derive(Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub unit: &'static str,
}

/// The value that a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

struct Goal {
    what: String,
    bound: Bound,
    seen: f64,
}

impl Figures {
    pub fn new(bench: &'static str, title: impl Into<String>, columns: &[Column]) -> Self {
        Self { bench, title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one figure for each column, or `None` where there is none.
    pub fn row(&mut self, case: impl Into<String>, figures: impl IntoIterator<Item = Option<Spread>>) {
        self.rows.push((case.into(), figures.into_iter().collect()));
    }
}

impl Report {
    /// Prints a table, and stores it for the JSON output.
    pub fn add(&mut self, figures: &Figures) {
        let mut table = Table::new();
        table.load_style(NOTHING);
        let heads = figures.columns.iter().map(|column| match column.unit {
            "" => column.name.to_owned(),
            unit => format!("{} ({unit})", column.name),
        });
        table.set_header(std::iter::once(String::new()).chain(heads));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for (case, row) in &figures.rows {
            let cells = row.iter().map(|figure| figure.map_or_else(String::new, |spread| spread.to_string()));
            table.add_row(std::iter::once(case.clone()).chain(cells));
            for (column, spread) in figures.columns.iter().zip(row) {
                let Some(Spread { median, low, high }) = spread else { continue };
                self.rows.push(json!({
                    "bench": figures.bench, "table": figures.title, "case": case, "figure": column.name,
                    "unit": column.unit, "median": median, "low": low, "high": high,
                }));
            }
        }
        println!("\n{}: {}\n{table}", figures.bench, figures.title);
    }

    /// Compares a figure with its goal.
    pub fn goal(&mut self, what: impl Into<String>, bound: Bound, seen: f64) {
        self.goals.push(Goal { what: what.into(), bound, seen });
    }

    /// Prints every figure that an earlier run has, too, and the ratio of the two. Absolute times of two runs differ
    /// with the machine's speed; ratios within a run do not.
    pub fn print_against(&self, baseline: &Baseline) {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["", "figure", "earlier", "now", "now / earlier"]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            let Some((key, now)) = key(row).zip(row["median"].as_f64()) else { continue };
            let Some(earlier) = baseline.0.get(&key) else { continue };
            let [bench, _, case, figure, unit] = key;
            let named = if unit.is_empty() { figure } else { format!("{figure} ({unit})") };
            let ratio = if *earlier == 0.0 { String::new() } else { number(now / earlier) };
            table.add_row([format!("{bench}: {case}"), named, number(*earlier), number(now), ratio]);
        }
        println!("\nagainst the earlier run:\n{table}");
    }

    /// Prints the goals and the figures reached.
    pub fn print_goals(&self) {
        if self.goals.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["goal", "reach", "seen", ""]);
        for goal in &self.goals {
            let verdict = if goal.is_met() { "met" } else { "MISSED" };
            table.add_row([goal.what.clone(), goal.bound.to_string(), number(goal.seen), verdict.to_owned()]);
        }
        println!("\n{table}");
    }

    /// The number of goals that were missed.
    pub fn missed(&self) -> usize {
        self.goals.iter().filter(|goal| !goal.is_met()).count()
    }

    /// The results as `{"figures":[…],"goals":[…]}`, for other tools.
    ///
    /// # Errors
    /// When serialization fails.
    pub fn json(&self) -> Result<String> {
        let goals = self.goals.iter().map(|goal| {
            let (at_most, at_least) = match goal.bound {
                Bound::AtMost(bound) => (Some(bound), None),
                Bound::AtLeast(bound) => (None, Some(bound)),
            };
            json!({"goal": goal.what, "at_most": at_most, "at_least": at_least, "seen": goal.seen, "met": goal.is_met()})
        });
        let all = json!({"figures": self.rows, "goals": goals.collect::<Vec<_>>()});
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }
}

/// The figures of an earlier run: the medians by bench, table, case, figure and unit.
pub struct Baseline(BTreeMap<[String; 5], f64>);

impl Baseline {
    /// Reads what [`Report::json`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read or has another form.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {shown}"))?;
        let all: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        let figures = all["figures"].as_array().with_context(|| format!("{shown} has no figures of a bench"))?;
        let known = figures.iter().filter_map(|row| Some((key(row)?, row["median"].as_f64()?)));
        Ok(Self(known.collect()))
    }
}

/// What a figure is called in a table; `None` if the row is incomplete.
fn key(row: &Value) -> Option<[String; 5]> {
    let name = |field: &str| row[field].as_str().map(str::to_owned);
    Some([name("bench")?, name("table")?, name("case")?, name("figure")?, name("unit")?])
}

impl Goal {
    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.seen <= bound,
            Bound::AtLeast(bound) => self.seen >= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(formatter, "<= {}", number(*bound)),
            Self::AtLeast(bound) => write!(formatter, ">= {}", number(*bound)),
        }
    }
}

impl fmt::Display for Spread {
    /// Writes the median, followed by the middle half of the rounds if there are several.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", number(self.median))?;
        if self.low < self.high {
            write!(formatter, " [{} {}]", number(self.low), number(self.high))?;
        }
        Ok(())
    }
}

/// Formats three significant digits.
fn number(figure: f64) -> String {
    let digits = match figure.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        _ => 4,
    };
    format!("{figure:.digits$}")
}
