//! Exits of benchmarks, as a VMI host counts them between marks that are set here.
//!
//! A line
//!
//! ```text
//! bench-exits NAME VARIANT TURNS MARK REASON
//! ```
//!
//! says that the benchmark ran for one turn from MARK to the next mark, and for TURNS turns more from there to the mark
//! behind that. So TURNS turns cost what the second span has more: the exit of the mark at its end, and what sets the
//! benchmark up, are in both. REASON is that of the exits to be counted, `all` for every one.

use vmi_host_backend::port_call::{Caller, Error};

use super::{Benchmark, Phase, Selection, all};
use crate::kernel::{
    checks::PASSED,
    console::line,
    port_calls,
    tally::{Outcome, Tally},
};

/// Turns that are counted.
const TURNS: u64 = 16;
/// Marks of a benchmark.
const MARKS: u64 = 3;
/// No host keeps more.
const MARKS_MAX: u64 = 250;

/// Has the exits of the selected benchmarks counted, with sites as the backend edited them.
pub fn run(selection: Selection<'_>, tally: &mut Tally) {
    let Some(host) = port_calls::host() else {
        return tally.fail("bench-exits", "marks", "CPUID announces no VMI host");
    };
    let mut mark = 0;
    for benchmark in all().filter(|benchmark| is_counted(benchmark) && selection.includes(benchmark.name)) {
        let &Benchmark { name, variant, run, .. } = benchmark;
        if let Some(reason) = benchmark.obstacle() {
            tally.count("bench", name, Ok(Outcome::Skipped(reason)));
            continue;
        }
        if mark + MARKS > MARKS_MAX {
            return tally.fail("bench-exits", name, "more benchmarks than a host keeps marks for");
        }
        if let Err(error) = between_marks(&host, mark, run) {
            return tally.fail("bench-exits", name, error);
        }
        let reason = benchmark.reason.unwrap_or("all");
        line!("bench-exits {name} {variant} {TURNS} {mark} {reason}");
        mark += MARKS;
    }
    tally.count("bench-exits", "marks", Ok(PASSED));
}

/// Runs for a turn that nobody counts, since memory that is touched for the first time costs exits of its own; then both
/// spans.
fn between_marks(host: &Caller, mark: u64, run: fn(u64)) -> Result<(), Error> {
    run(1);
    host.trace_mark(mark, 0)?;
    run(1);
    host.trace_mark(mark + 1, 0)?;
    run(1 + TURNS);
    host.trace_mark(mark + 2, 0)
}

/// Tells whether exits are what a benchmark is about: of an op only the site's, and what is to be subtracted from it.
fn is_counted(benchmark: &Benchmark) -> bool {
    let &Benchmark { name, variant, surrounding, phases, .. } = benchmark;
    let is_path = ["exit::", "clock::", "paging::"].iter().any(|kind| name.starts_with(kind));
    let is_own = !benchmark.is_general() && (is_path || ["site", "empty"].contains(&variant));
    let is_now = phases.contains(&Phase::After) || variant == "bare";
    is_own && is_now && surrounding == "loop"
}
