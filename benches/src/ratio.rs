//! Time as a ratio: a candidate and its baseline, turn about.
//!
//! On a shared machine the pace changes from one second to the next, by more than the differences that are looked for.
//! So a candidate is not timed by itself and then held against a baseline that was timed before: both run turn about,
//! in slices shorter than a tick of the operating system's clock, and each pair of slices gives one ratio. The median
//! of a sample's pairs is what criterion gets; a slice that was interrupted is an outlier and changes nothing.

use std::time::{Duration, Instant};

use criterion::{
    Throughput,
    measurement::{Measurement, ValueFormatter},
};

/// A slice of the baseline takes at least so long: some hundred times what it takes to look at the clock.
const SLICE: Duration = Duration::from_micros(10);
/// More turns are in no slice.
const TURNS_MAX: u64 = 1 << 20;

/// Measures in turns of the baseline. Only for [`Pair::run`]: a time by itself is no ratio.
#[derive(Clone, Copy, Debug)]
pub struct Ratio;

impl Measurement for Ratio {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {
        panic!("a ratio needs a baseline");
    }

    fn end(&self, (): ()) -> f64 {
        panic!("a ratio needs a baseline");
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Ratio {
    fn scale_values(&self, _: f64, _: &mut [f64]) -> &'static str {
        "x baseline"
    }

    fn scale_throughputs(&self, _: f64, _: &Throughput, _: &mut [f64]) -> &'static str {
        panic!("a ratio has no throughput");
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "x baseline"
    }
}

/// Does something so many times.
pub type Run<'a> = &'a dyn Fn(u64);

/// A candidate beside its baseline.
#[expect(missing_debug_implementations, reason = "functions say nothing")]
pub struct Pair<'a> {
    /// What is measured.
    pub candidate: Run<'a>,
    /// In what it is measured.
    pub baseline: Run<'a>,
    /// Turns in a slice of either: [`slice()`].
    pub slice: u64,
}

/// Returns how many turns of a baseline are in a slice.
pub fn slice(baseline: Run<'_>) -> u64 {
    let mut turns = 1;
    while turns < TURNS_MAX && time(baseline, turns) < SLICE {
        turns *= 2;
    }
    turns
}

impl Pair<'_> {
    /// Runs so many turns of either, and returns what those of the candidate took, in turns of the baseline.
    pub fn run(&self, turns: u64) -> f64 {
        let slice = self.slice.min(turns);
        let mut ratios: Vec<f64> = (0..turns / slice).map(|number| self.ratio(slice, number)).collect();
        turns as f64 * median(&mut ratios)
    }

    /// Returns the ratio of one slice of each. Who is first alternates, so that being second is no advantage.
    fn ratio(&self, slice: u64, number: u64) -> f64 {
        let (candidate, baseline) = if number.is_multiple_of(2) {
            let baseline = time(self.baseline, slice);
            (time(self.candidate, slice), baseline)
        } else {
            (time(self.candidate, slice), time(self.baseline, slice))
        };
        candidate.as_nanos().max(1) as f64 / baseline.as_nanos().max(1) as f64
    }
}

fn time(run: Run<'_>, turns: u64) -> Duration {
    let start = Instant::now();
    run(turns);
    start.elapsed()
}

/// Returns the value in the middle; of an even number the lower one.
fn median(values: &mut [f64]) -> f64 {
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, thread};

    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.0);
    }

    #[test]
    fn an_interrupted_slice_changes_nothing() {
        let wait = |turns: u64| thread::sleep(Duration::from_millis(turns));
        let slices = Cell::new(0);
        let interrupted = |turns: u64| {
            slices.set(slices.get() + 1);
            wait(if slices.get() == 2 { 50 * turns } else { 3 * turns });
        };
        let pair = Pair { candidate: &interrupted, baseline: &wait, slice: 2 };
        let ratio = pair.run(10) / 10.0;
        assert_eq!(slices.get(), 5);
        assert!((2.0..4.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn fewer_turns_than_a_slice_are_one_pair() {
        let turns = Cell::new(0);
        let count = |more| turns.set(turns.get() + more);
        Pair { candidate: &count, baseline: &|_| (), slice: 1024 }.run(1);
        assert_eq!(turns.get(), 1);
    }
}
