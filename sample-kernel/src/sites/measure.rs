//! The measuring of calls that happen once.

use core::fmt;

use vmi_abi::Cpu;
use vmi_native::Native;

use crate::{kernel::console::line, text};

/// Calls of each kind. Any may be interrupted by a host: the least counts.
pub const BATCHES: u64 = 8;

/// What calls took, in ticks of the time-stamp counter.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    short: u64,
    least: u64,
    sum: u64,
    most: u64,
}

impl Sample {
    /// Returns the sample of no call yet.
    pub fn new() -> Self {
        let short = (0..BATCHES).map(|_| ticks(|| ()).0).min().unwrap_or(0);
        Self { short, least: u64::MAX, sum: 0, most: 0 }
    }

    /// Returns the sample of calls of nothing.
    pub fn empty() -> Self {
        let mut empty = Self::new();
        (0..BATCHES).for_each(|_| empty.call(|| ()));
        empty
    }

    /// Makes a call and counts it in.
    pub fn call<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let (ticks, result) = ticks(call);
        self.least = self.least.min(ticks);
        self.sum += ticks;
        self.most = self.most.max(ticks);
        result
    }

    /// Prints the sample of all calls under their names.
    pub fn print(&self, name: &str, variant: &str, phase: &str) {
        line!("bench {name} {variant} sites_{} {phase} {self}", text::COUNT);
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { short, least, sum, most } = self;
        write!(f, "1 {BATCHES} {short} {least} {sum} {most}")
    }
}

#[inline(always)]
fn ticks<T>(call: impl FnOnce() -> T) -> (u64, T) {
    let start = <Native as Cpu>::cycles();
    let result = call();
    (<Native as Cpu>::cycles().wrapping_sub(start), result)
}
