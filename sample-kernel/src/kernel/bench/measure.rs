//! The measuring of one benchmark.

use core::fmt;

use vmi_abi::Cpu;
use vmi_native::Native;

/// Batches of each length, at most.
const BATCHES_MAX: u64 = 16;
/// Batches of each length after which there are no more, if all took the same.
const BATCHES_EQUAL: u64 = 4;
/// Turns in a short batch, where they take no longer than [`TICKS_MAX`]; a quarter, a sixteenth and so on otherwise.
const TURNS_MAX: u64 = 64;
/// Ticks that a long batch shall not exceed, so that batches fit between two ticks of a host's clock: a sixteenth of
/// the 4 ms between those of a Linux with `CONFIG_HZ=250`, at a tick a nanosecond.
const TICKS_MAX: u64 = 250_000;

/// What came of the batches of one benchmark, in ticks of the time-stamp counter.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    turns: u64,
    batches: u64,
    short: u64,
    least: u64,
    sum: u64,
    most: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, batches, short, least, sum, most } = self;
        write!(f, "{turns} {batches} {short} {least} {sum} {most}")
    }
}

/// Returns how long a turn of `run` takes, about. The first turn, which may have something to set up, does not count, nor
/// does one of two in which a host's clock ticks.
pub fn turn(run: fn(u64)) -> u64 {
    run(1);
    ticks(run, 1).min(ticks(run, 1))
}

/// Measures batches of `run`, short ones and ones of twice as many turns, where one turn takes about `turn`.
pub fn measure(run: fn(u64), turn: u64) -> Sample {
    let turns = turns(turn);
    let mut sample = Sample { turns, batches: 0, short: u64::MAX, least: u64::MAX, sum: 0, most: 0 };
    let mut longest_short = 0;
    while sample.batches < BATCHES_MAX {
        let short = ticks(run, turns);
        let long = ticks(run, 2 * turns);
        longest_short = longest_short.max(short);
        sample.short = sample.short.min(short);
        sample.least = sample.least.min(long);
        sample.sum += long;
        sample.most = sample.most.max(long);
        sample.batches += 1;
        let equal = sample.least == sample.most && sample.short == longest_short;
        if equal && sample.batches == BATCHES_EQUAL {
            break;
        }
    }
    sample
}

/// Returns how many turns a short batch has.
fn turns(turn: u64) -> u64 {
    let mut turns = TURNS_MAX;
    while turns > 1 && 2 * turns * turn > TICKS_MAX {
        turns /= 4;
    }
    turns
}

/// One function, so that what is between the two readings is the same for every batch.
#[inline(never)]
fn ticks(run: fn(u64), turns: u64) -> u64 {
    let start = <Native as Cpu>::cycles();
    run(turns);
    <Native as Cpu>::cycles().wrapping_sub(start)
}
