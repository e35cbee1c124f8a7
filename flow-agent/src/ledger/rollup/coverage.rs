//! Which seconds of a day lie inside sealed buckets; each second is counted once.

/// A half-open interval, in seconds since 1970.
type Interval = (i64, i64);

/// The seconds of one day that buckets cover, and those among them that were not measured.
#[derive(Clone, Debug)]
pub(super) struct Coverage {
    day: Interval,
    covered: Vec<Interval>,
    unseen: Vec<Interval>,
}

impl Coverage {
    /// Covers nothing so far of the day from `start` to `end`.
    pub(super) fn new(start: i64, end: i64) -> Self {
        Self { day: (start, end), covered: Vec::new(), unseen: Vec::new() }
    }

    pub(super) fn day(&self) -> Interval {
        self.day
    }

    pub(super) fn cover(&mut self, start: i64, end: i64) {
        let interval = self.within_day(start, end);
        self.covered.extend(interval);
    }

    /// Removes a time that was not measured, whichever bucket it lies in.
    pub(super) fn uncover(&mut self, start: i64, end: i64) {
        let interval = self.within_day(start, end);
        self.unseen.extend(interval);
    }

    /// The number of seconds that were measured.
    pub(super) fn seconds(&self) -> i64 {
        let seen = union(&self.covered);
        let unseen = union(&self.unseen);
        length(&seen) - length(&intersection(&seen, &unseen))
    }

    /// The end of the newest bucket that overlaps the day.
    pub(super) fn newest(&self) -> Option<i64> {
        self.covered.iter().map(|(_, end)| *end).max()
    }

    /// The times before `until` that no bucket covers.
    pub(super) fn holes(&self, until: i64) -> Vec<Interval> {
        let whole = (self.day.0, until.min(self.day.1));
        let mut holes = vec![whole];
        holes.retain(|(start, end)| start < end);
        for covered in union(&self.covered) {
            let Some(last) = holes.pop() else { break };
            holes.extend(without(last, covered));
        }
        holes
    }

    fn within_day(&self, start: i64, end: i64) -> Option<Interval> {
        let interval = (start.max(self.day.0), end.min(self.day.1));
        (interval.0 < interval.1).then_some(interval)
    }
}

/// The parts of `interval` before and after `cut`.
pub(super) fn without(interval: Interval, cut: Interval) -> impl Iterator<Item = Interval> {
    let before = (interval.0, interval.1.min(cut.0));
    let after = (interval.0.max(cut.1), interval.1);
    [before, after].into_iter().filter(|(start, end)| start < end)
}

/// The same seconds as sorted, disjoint intervals.
fn union(intervals: &[Interval]) -> Vec<Interval> {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable();
    let mut union: Vec<Interval> = Vec::new();
    for (start, end) in sorted {
        match union.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            Some(_) | None => union.push((start, end)),
        }
    }
    union
}

/// The seconds in both lists, which must be sorted and disjoint.
fn intersection(left: &[Interval], right: &[Interval]) -> Vec<Interval> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let common = (a.0.max(b.0), a.1.min(b.1));
        if common.0 < common.1 {
            both.push(common);
        }
        if a.1 < b.1 {
            left.next()
        } else {
            right.next()
        };
    }
    both
}

fn length(intervals: &[Interval]) -> i64 {
    intervals.iter().map(|(start, end)| end - start).sum()
}

#[cfg(test)]
mod tests;
