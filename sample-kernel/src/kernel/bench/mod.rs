//! Benchmarks: what ops, exits, clocks and page tables cost, counted by the time-stamp counter.
//!
//! Where that counter counts instructions (QEMU's `-icount shift=0,sleep=off`) the figures are exact. A line
//!
//! ```text
//! bench NAME VARIANT SURROUNDING PHASE TURNS BATCHES SHORT LEAST SUM MOST
//! ```
//!
//! says that the fastest batch of TURNS turns took SHORT ticks, and that BATCHES batches of twice as many took LEAST at
//! least, SUM together and MOST at most. So a turn costs (LEAST - SHORT) / TURNS: what surrounds the loop is in both.
//!
//! A turn is more than what is to be measured. What is to be subtracted has the variant `empty`, and the same surrounding
//! and phase: it is the benchmark of that variant with the same NAME where there is one, otherwise the one called `empty`.

mod measure;
mod select;

use super::{
    checks::PASSED,
    console::line,
    insn::keep::{keep, nothing},
    tally::{Outcome, Tally},
};
pub use select::Selection;

/// The state in which sites are while benchmarks are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Native, before `vmi::init`.
    Before,
    /// As the backend for this machine edited them.
    After,
    /// Native again.
    Teardown,
}

impl Phase {
    /// The phases of a kernel's life: what a benchmark is measured in unless it says otherwise.
    pub const LIFE: &[Self] = &[Self::Before, Self::After, Self::Teardown];

    const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Teardown => "teardown",
        }
    }
}

/// Something to measure.
#[derive(Clone, Copy, Debug)]
pub struct Benchmark {
    /// What is done: an op, or what else a kernel pays for.
    pub name: &'static str,
    /// The way in which it is done.
    pub variant: &'static str,
    /// What is around it: `loop`, `function` or `live`.
    pub surrounding: &'static str,
    /// Does it so many times.
    pub run: fn(u64),
    phases: &'static [Phase],
    obstacle: fn() -> Option<&'static str>,
}

impl Benchmark {
    /// Returns a benchmark of all phases of a kernel's life, which nothing hinders.
    pub const fn new(
        name: &'static str,
        variant: &'static str,
        surrounding: &'static str,
        run: fn(u64),
    ) -> Self {
        Self { name, variant, surrounding, run, phases: Phase::LIFE, obstacle: || None }
    }

    /// Measures it in these phases alone.
    #[allow(dead_code, reason = "for the suites to come")]
    pub const fn in_phases(self, phases: &'static [Phase]) -> Self {
        Self { phases, ..self }
    }

    #[allow(dead_code, reason = "for the suites to come")]
    /// Skips it, aloud, where `obstacle` returns a reason. It is asked in each phase.
    pub const fn unless(self, obstacle: fn() -> Option<&'static str>) -> Self {
        Self { obstacle, ..self }
    }

    /// Returns why it cannot be measured here and now, if so.
    pub fn obstacle(&self) -> Option<&'static str> {
        (self.obstacle)()
    }

    /// Tells whether it is only there to be subtracted from others of any name.
    fn is_general(&self) -> bool {
        self.name == "empty"
    }
}

/// All benchmarks, by suite. Those of one name stand together.
const SUITES: [&[Benchmark]; 1] = [&[
    Benchmark::new("empty", "empty", "loop", empty),
    Benchmark::new("clock::tsc", "site", "loop", counter),
]];

/// Returns all benchmarks.
pub fn all() -> impl Iterator<Item = &'static Benchmark> {
    SUITES.into_iter().flatten()
}

fn empty(turns: u64) {
    for _ in 0..turns {
        nothing();
    }
}

fn counter(turns: u64) {
    for _ in 0..turns {
        keep(vmi::cpu::cycles());
    }
}

/// Measures the selected benchmarks of a phase.
pub fn run(selection: Selection<'_>, phase: Phase, tally: &mut Tally) {
    let mut said = None;
    for benchmark in all().filter(|benchmark| benchmark.phases.contains(&phase)) {
        let &Benchmark { name, variant, surrounding, run, .. } = benchmark;
        if !benchmark.is_general() && !selection.includes(name) {
            continue;
        }
        match benchmark.obstacle() {
            None => {
                line!("bench {name} {variant} {surrounding} {} {}", phase.name(), measure::measure(run));
            }
            Some(reason) if said == Some((name, reason)) => {}
            Some(reason) => {
                tally.count("bench", name, Ok(Outcome::Skipped(reason)));
                said = Some((name, reason));
            }
        }
    }
}

/// Prints the name of every benchmark, once.
pub fn print_names(tally: &mut Tally) {
    for name in select::names() {
        line!("bench-name {name}");
    }
    tally.count("bench", "names", Ok(PASSED));
}
