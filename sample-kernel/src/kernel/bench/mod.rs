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
//!
//! An op's code in the surrounding `function` is the symbol `bench_VARIANT_GROUP_OP` (`bench_site_irq_disable`), whose
//! size is that of a function with nothing but the op; `bench_empty` is one with nothing at all.

mod calls;
mod clocks;
mod exits;
pub mod forms;
pub mod marks;
mod measure;
mod operands;
mod ops;
mod paging;
mod repeat;
mod select;
mod surroundings;

use vmi_abi::Irq;
use vmi_native::Native;

use super::{
    checks::PASSED,
    console::line,
    insn::indirect,
    tally::{Outcome, Tally},
};
use measure::Sample;
pub use select::Selection;
use surroundings::{Empty, everywhere};

/// The state in which sites are while benchmarks are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Native, before `vmi::init`.
    Before,
    /// As the backend for this machine edited them.
    After,
    /// Native again.
    Teardown,
    /// Calls of ordinary functions, of leaf ops by a thunk.
    Thunk,
    /// Calls of naked functions, if leaf ops.
    Naked,
    /// Other bytes with the same meaning, where they fit.
    Inline,
}

impl Phase {
    /// The phases of a kernel's life: what a benchmark is measured in unless it says otherwise.
    pub const LIFE: &[Self] = &[Self::Before, Self::After, Self::Teardown];
    /// All phases: for what the form of sites makes a difference to.
    pub const ALL: &[Self] =
        &[Self::Before, Self::After, Self::Teardown, Self::Thunk, Self::Naked, Self::Inline];
    /// The first phase: for what the life of the kernel makes no difference to.
    pub const FIRST: &[Self] = &[Self::Before];

    /// Returns the name, as the lines have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Teardown => "teardown",
            Self::Thunk => "thunk",
            Self::Naked => "naked",
            Self::Inline => "inline",
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
    obstacle: Obstacle,
    /// The one reason for which its exits are counted, if not all are.
    reason: Option<&'static str>,
}

/// Why something cannot be measured.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    /// On no machine.
    Always(&'static str),
    /// If the function, asked in each phase, returns a reason.
    Perhaps(fn() -> Option<&'static str>),
}

impl Benchmark {
    /// Returns a benchmark of all phases of a kernel's life, which nothing hinders.
    pub const fn new(
        name: &'static str,
        variant: &'static str,
        surrounding: &'static str,
        run: fn(u64),
    ) -> Self {
        let obstacle = Obstacle::Perhaps(|| None);
        Self { name, variant, surrounding, run, phases: Phase::LIFE, obstacle, reason: None }
    }

    /// Measures it in these phases alone.
    pub const fn in_phases(self, phases: &'static [Phase]) -> Self {
        Self { phases, ..self }
    }

    /// Skips it, aloud, where `obstacle` returns a reason. It is asked in each phase.
    pub const fn unless(self, obstacle: fn() -> Option<&'static str>) -> Self {
        Self { obstacle: Obstacle::Perhaps(obstacle), ..self }
    }

    /// Has only exits for this reason counted.
    pub const fn by_reason(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Returns what says aloud why something is never measured.
    const fn missing(name: &'static str, variant: &'static str, reason: &'static str) -> Self {
        Self { obstacle: Obstacle::Always(reason), ..Self::new(name, variant, "loop", |_| ()) }
    }

    /// Returns why it cannot be measured here and now, if so.
    pub fn obstacle(&self) -> Option<&'static str> {
        match self.obstacle {
            Obstacle::Always(reason) => Some(reason),
            Obstacle::Perhaps(obstacle) => obstacle(),
        }
    }

    /// Measures it, or says why not.
    fn sample(&self, phase: Phase) -> Result<Sample, &'static str> {
        if let Some(reason) = self.obstacle() {
            return Err(reason);
        }
        let turn = measure::turn(self.run);
        let is_plain =
            self.surrounding == "loop" && !["direct", "table", "dyn", "retpoline"].contains(&self.variant);
        let sample = if turn <= COSTLY || is_plain && Phase::LIFE.contains(&phase) {
            Ok(measure::measure(self.run, turn))
        } else {
            Err(TOO_COSTLY)
        };
        // Some ops enable interrupts.
        <Native as Irq>::disable();
        sample
    }

    /// Tells whether it is only there to be subtracted from others of any name.
    fn is_general(&self) -> bool {
        self.name == "empty"
    }
}

/// All benchmarks, by suite. Those of one name stand together.
const SUITES: [&[&[Benchmark]]; 5] = [&[&EMPTY], ops::ALL, exits::ALL, clocks::ALL, paging::ALL];

const EMPTY: [Benchmark; 3] = {
    let [a, b, c] = everywhere::<Empty>("empty", "empty");
    [a.in_phases(Phase::ALL), b.in_phases(Phase::ALL), c.in_phases(Phase::ALL)]
};

/// Returns all benchmarks.
pub fn all() -> impl Iterator<Item = &'static Benchmark> {
    SUITES.into_iter().flatten().copied().flatten()
}

/// Ticks of a turn above which the op is an exit, or a device's business: far more than can depend on what is around it,
/// or on how it is called, and too much to measure it in all these ways.
const COSTLY: u64 = 1000;
const TOO_COSTLY: &str = "a turn takes over 1000 ticks here: it is measured in a loop, bare and by its unedited site, and no other way";

/// Measures the selected benchmarks of a phase, with interrupts off.
pub fn run(selection: Selection<'_>, phase: Phase, tally: &mut Tally) {
    let mut said = None;
    indirect::refresh();
    for benchmark in all().filter(|benchmark| benchmark.phases.contains(&phase)) {
        let &Benchmark { name, variant, surrounding, .. } = benchmark;
        if !benchmark.is_general() && !selection.includes(name) {
            continue;
        }
        match benchmark.sample(phase) {
            Ok(sample) => line!("bench {name} {variant} {surrounding} {} {sample}", phase.name()),
            Err(reason) if said == Some((name, reason)) => {}
            // That was said when the benchmark was met first.
            Err(TOO_COSTLY) if benchmark.phases[0] != phase => {}
            Err(reason) => {
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
