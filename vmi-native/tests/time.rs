//! The clock at a rate that is told: nothing is measured then, so it runs without ring 0.

// UNSAFETY: reads the counter.
#![expect(unsafe_code)]

use std::arch::x86_64::_rdtsc;

use vmi_abi::Time;
use vmi_native::{Native, set_frequency, started};

/// Tells whether the clock counts so many nanoseconds a cycle.
fn counts(ns: u64) -> bool {
    // SAFETY: every CPU has the counter.
    let cycles = || unsafe { _rdtsc() };
    let (before, now, after) = (cycles(), Native::now_ns(), cycles());
    // What rounding the multiplier may lose.
    let lost = before / 1_000_000;
    (ns * before - lost..=ns * after + lost).contains(&now)
}

#[test]
fn the_clock_counts_cycles_at_the_rate_that_was_told_last() {
    assert!(!started());
    set_frequency(1_000_000_000);
    assert!(!started(), "nobody has read it");
    assert_eq!(Native::frequency(), 1_000_000_000);
    assert!(counts(1) && started());
    set_frequency(500_000_000);
    assert!(counts(2));
}
