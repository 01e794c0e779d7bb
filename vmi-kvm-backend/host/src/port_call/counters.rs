//! What calls by port count up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use vmi_abi::port_call::Statistics;

use super::Exits;

/// A count that only goes up.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counts of one machine; [`Statistics`] says what each is.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) batches: Counter,
    pub(super) calls: Counter,
    pub(super) refused: Counter,
    pub(super) doorbells: Counter,
    pub(super) posted: Counter,
    pub(super) lines: Counter,
    pub(super) released_bytes: Counter,
    pub(super) trace_marks: Counter,
}

impl Counters {
    /// Returns the counts with the exits that others counted.
    pub(super) fn with(&self, exits: Exits) -> Statistics {
        Statistics {
            exits: exits.of_vcpu,
            exits_of_all: exits.of_all,
            batches: self.batches.get(),
            calls: self.calls.get(),
            refused: self.refused.get(),
            doorbells: self.doorbells.get(),
            posted: self.posted.get(),
            lines: self.lines.get(),
            released_bytes: self.released_bytes.get(),
            trace_marks: self.trace_marks.get(),
        }
    }
}
