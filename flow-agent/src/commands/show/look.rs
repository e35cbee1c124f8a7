//! EDGE environment: what the terminal can show, and what the user wants to see.
#![expect(clippy::disallowed_methods, reason = "edge: environment")]

use std::env;
use std::io::{IsTerminal as _, stdout};

use clap::ValueEnum;

use crate::commands::output;
use crate::ledger::amount::{Prefixes, RateUnit, Units};
use crate::render::screen::ScreenStyle;

/// The width of output to another program.
const USUAL_WIDTH: usize = 80;

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

/// The prefixes of units of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrefixChoice {
    /// Powers of 1,024: KiB, MiB, GiB
    Iec,
    /// Powers of 1,000: kB, MB, GB
    Si,
}

/// The unit of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RateChoice {
    /// kbit/s, Mbit/s
    Bits,
    /// KiB/s or kB/s, depending on --units
    Bytes,
}

/// How figures are printed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct LookArgs {
    /// Units of bytes [default: `show.units` of the configuration, or iec]
    #[arg(long, value_enum, value_name = "UNITS", hide_possible_values = false)]
    pub units: Option<PrefixChoice>,
    /// Units of rates [default: `show.rates` of the configuration, or bits]
    #[arg(long, value_enum, value_name = "UNITS")]
    pub rates: Option<RateChoice>,
    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub color: ColorChoice,
}

impl LookArgs {
    /// How figures are printed, by the options, the configuration and the terminal.
    pub fn look(self, configured: Units) -> ScreenStyle {
        let is_terminal = stdout().is_terminal();
        let color = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && variable("NO_COLOR").is_none() && has_colors(),
        };
        ScreenStyle {
            width: output::width().unwrap_or(USUAL_WIDTH),
            unicode: is_utf8(),
            color,
            units: self.units(configured),
            is_piped: !is_terminal,
        }
    }

    /// The units by the options or, without them, by the configuration.
    pub fn units(self, configured: Units) -> Units {
        Units {
            prefixes: match self.units {
                Some(PrefixChoice::Iec) => Prefixes::Iec,
                Some(PrefixChoice::Si) => Prefixes::Si,
                None => configured.prefixes,
            },
            rates: match self.rates {
                Some(RateChoice::Bits) => RateUnit::Bits,
                Some(RateChoice::Bytes) => RateUnit::Bytes,
                None => configured.rates,
            },
        }
    }
}

/// Whether the locale can show block characters, according to the first of these variables that is set.
pub fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Whether the terminal supports colours.
pub fn has_colors() -> bool {
    variable("TERM").is_some_and(|terminal| terminal != "dumb")
}

/// The value of a variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
