//! `cargo xtask soak`: a long run of everything at once, with a chart of the results.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::process::{command, root, run as run_command};

/// Runs an agent under traffic with kills, restarts, reloads and port changes; compares and charts the results (root)
#[derive(clap::Args)]
pub struct Options {
    /// How long to run
    #[arg(long, default_value_t = 2.0)]
    hours: f64,
    /// Where to write the samples (soak.csv) and the chart (soak.svg) [default: target/soak]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the soak test and draws its samples.
///
/// # Errors
/// When the run ends with a difference, or cannot be carried out. The samples up to then are kept.
pub fn run(options: Options) -> Result<()> {
    if !(options.hours > 0.0 && options.hours < 1_000.0) {
        bail!("--hours {}: expected more than 0 and less than 1000", options.hours);
    }
    packages::install(packages::FOR_TESTS)?;
    let out = options.out.unwrap_or_else(|| root().join("target/soak"));
    fs::create_dir_all(&out).with_context(|| format!("failed to make {}", out.display()))?;
    let out = out.canonicalize()?;
    let (samples, picture) = (out.join("soak.csv"), out.join("soak.svg"));
    let test = ["test", "--workspace", "--features", "flow-agent/sqlite", "--locked", "--test", "kernel"];
    let mut cargo = command("cargo", test);
    cargo.args(["long_run::", "--", "--ignored", "--nocapture"]);
    cargo.env("FLOW_AGENT_TEST_REQUIRE", "1").env("FLOW_AGENT_SOAK_SAMPLES", &samples);
    cargo.env("FLOW_AGENT_SOAK_SECONDS", format!("{:.0}", options.hours * 3_600.0));
    let outcome = run_command(&mut cargo);
    // A failed run is drawn as well, because the chart shows where it went wrong.
    if let Ok(text) = fs::read_to_string(&samples) {
        fs::write(&picture, draw(&text)?)?;
        println!("{}\n{}", samples.display(), picture.display());
    }
    outcome
}

/// The panels of the chart: the column of the samples, the title, and the divisor for the values.
const PANELS: [(usize, &str, f64); 4] = [
    (2, "difference to the observer, bytes", 1.0),
    (4, "memory of the agent, MiB", 1_024.0),
    (5, "open files", 1.0),
    (6, "state directory, MiB", 1_048_576.0),
];

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 120.0;
const LEFT: f64 = 60.0;

/// Draws the panels one below another, over the time of the run.
fn draw(samples: &str) -> Result<String> {
    let rows: Vec<Vec<f64>> = samples
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(str::parse).collect::<Result<_, _>>())
        .collect::<Result<_, _>>()
        .context("the samples are not numbers")?;
    let end = rows.last().and_then(|row| row.first()).copied().unwrap_or(1.0).max(1.0);
    let total = (HEIGHT + 40.0) * 4.0 + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{total}\" fill=\"#fff\"/>\n"
    );
    for (number, (column, name, unit)) in (0_u8..).zip(PANELS) {
        let values = || rows.iter().map(|row| (row[0], row[column] / unit));
        let most = values().map(|(_, value)| value).fold(0.0, f64::max);
        let scale = if most > 0.0 { most } else { 1.0 };
        let bottom = f64::from(number) * (HEIGHT + 40.0) + HEIGHT + 30.0;
        let points: Vec<String> = values()
            .map(|(seconds, value)| {
                let (x, y) = (LEFT + seconds / end * (WIDTH - LEFT - 20.0), bottom - value / scale * HEIGHT);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        write!(
            svg,
            "<text x=\"{LEFT}\" y=\"{:.0}\">{name}</text>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most:.1}</text>\n\
             <text x=\"{:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>\n\
             <path d=\"M{LEFT} {bottom}H{:.0}\" stroke=\"#bbb\"/>\n\
             <polyline points=\"{}\" fill=\"none\" stroke=\"#173d6b\" stroke-width=\"1.5\"/>\n",
            bottom - HEIGHT - 8.0,
            LEFT - 6.0,
            bottom - HEIGHT + 12.0,
            LEFT - 6.0,
            WIDTH - 20.0,
            points.join(" "),
        )?;
    }
    let minutes = end / 60.0;
    writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{minutes:.0} minutes</text>\n</svg>",
        WIDTH - 20.0,
        total - 6.0
    )?;
    Ok(svg)
}

#[cfg(test)]
mod tests;
