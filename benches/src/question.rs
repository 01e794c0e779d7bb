//! A question: what is asked, and the candidates that answer it beside one baseline.

use criterion::{BenchmarkGroup, Criterion, SamplingMode};

use crate::ratio::{Pair, Ratio, Run, slice};

/// What is behind the name of a question's baseline, so that a reader of the results finds it.
pub const BASELINE: &str = " (baseline)";

/// A group of benchmarks with a common baseline.
#[expect(missing_debug_implementations, reason = "functions say nothing")]
pub struct Question<'a> {
    group: BenchmarkGroup<'a, Ratio>,
    baseline: Run<'a>,
    slice: u64,
}

impl<'a> Question<'a> {
    /// Asks a question, and measures the baseline against itself: what that gives beside 1 is noise, and a candidate's
    /// difference means something only where it is larger.
    pub fn ask(criterion: &'a mut Criterion<Ratio>, question: &str, name: &str, baseline: Run<'a>) -> Self {
        let mut group = criterion.benchmark_group(question);
        group.sampling_mode(SamplingMode::Flat);
        let slice = slice(baseline);
        let mut question = Self { group, baseline, slice };
        question.candidate(&format!("{name}{BASELINE}"), baseline);
        question
    }

    /// Measures a candidate.
    pub fn candidate(&mut self, name: &str, candidate: Run<'_>) {
        let pair = Pair { candidate, baseline: self.baseline, slice: self.slice };
        self.group.bench_function(name, |bencher| bencher.iter_custom(|turns| pair.run(turns)));
    }
}
