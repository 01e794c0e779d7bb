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
//! What the loop costs by itself is the benchmark `empty` in the same surrounding.

mod measure;

use super::{
    console::line,
    insn::keep::{keep, nothing},
};

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
}

/// All benchmarks, by suite.
const SUITES: [&[Benchmark]; 1] = [&[
    Benchmark { name: "empty", variant: "empty", surrounding: "loop", run: empty },
    Benchmark { name: "clock::tsc", variant: "site", surrounding: "loop", run: counter },
]];

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

/// Measures the benchmarks, in a phase of the kernel's life.
pub fn run(phase: &str) {
    for Benchmark { name, variant, surrounding, run } in SUITES.into_iter().flatten() {
        line!("bench {name} {variant} {surrounding} {phase} {}", measure::measure(*run));
    }
}
