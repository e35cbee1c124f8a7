//! Subjects are measured in turn, so that all of them suffer equally from other activity on the machine.

use anyhow::{Context, Result};

/// Something to measure. The meaning and the unit of its result are up to the subject, but must be the same for all
/// subjects of a run.
pub struct Subject<'a> {
    pub name: String,
    pub measure: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Subject<'a> {
    pub fn new(name: impl Into<String>, measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), measure: Box::new(measure) }
    }
}

/// One figure from every round, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Series(Vec<f64>);

/// The median and the quartiles of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    /// The lower and the upper quartile.
    pub low: f64,
    pub high: f64,
}

/// Measures every subject once per round. Every other round runs backwards, so that no subject always comes first. An
/// extra round at the beginning warms up and is discarded.
///
/// # Errors
/// When a subject cannot be measured.
pub fn interleave(rounds: usize, subjects: &mut [Subject<'_>]) -> Result<Vec<Series>> {
    let mut all = vec![Vec::with_capacity(rounds); subjects.len()];
    for round in 0..=rounds {
        for turn in 0..subjects.len() {
            let at = if round % 2 == 0 { turn } else { subjects.len() - 1 - turn };
            let subject = &mut subjects[at];
            let figure = (subject.measure)().with_context(|| format!("failed to measure {}", subject.name))?;
            if round > 0 {
                all[at].push(figure);
            }
        }
    }
    Ok(all.into_iter().map(Series).collect())
}

impl Series {
    /// Combines each round's figure with that of `other` in the same round.
    pub fn with(&self, other: &Self, pair: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(ours, theirs)| pair(*ours, *theirs)).collect())
    }

    /// The ratio to `other`, round by round.
    pub fn over(&self, other: &Self) -> Self {
        self.with(other, |ours, theirs| ours / theirs)
    }

    /// The difference to `other`, round by round.
    pub fn minus(&self, other: &Self) -> Self {
        self.with(other, |ours, theirs| ours - theirs)
    }

    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|figure| change(*figure)).collect())
    }

    pub fn spread(&self) -> Spread {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let at = share * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            below + (above - below) * at.fract()
        };
        Spread { median: quantile(0.5), low: quantile(0.25), high: quantile(0.75) }
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Self {
        Self(figures.into_iter().collect())
    }
}

impl From<f64> for Spread {
    /// A figure that was measured only once, or that is exact.
    fn from(figure: f64) -> Self {
        Self { median: figure, low: figure, high: figure }
    }
}
