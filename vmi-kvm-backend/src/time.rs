//! The time ops.

use vmi_abi::{Override, Replacements, time};

use crate::{
    BACKEND,
    pvclock::{Source, Tries, frequency_hz},
    wall_clock,
};

/// The word on the kernel's command line that leaves the time ops native.
pub(crate) const OFF: &str = "no-kvmclock";

/// Says what serves the time ops, where the host has a clock page.
pub(crate) fn replace(all: &mut Replacements) {
    all.set::<time::now_ns>(Override::Call(now_ns));
    all.set::<time::wall_clock>(Override::Call(wall_clock::now));
    all.set::<time::frequency>(Override::Call(frequency));
}

/// Returns nanoseconds by the clock page, at least as many as at any call before.
///
/// 22 instructions while the page stays as it was, is stable and time has gone by; no exit.
extern "sysv64" fn now_ns() -> u64 {
    match BACKEND.boot.clock.fast(&BACKEND.boot.page) {
        Some(now) => now,
        None => now_ns_by_full_reading(),
    }
}

#[cold]
#[inline(never)]
fn now_ns_by_full_reading() -> u64 {
    let below = || BACKEND.enabled.below().map_or(0, |table| table.get::<time::now_ns>()());
    BACKEND.boot.clock.refresh(&BACKEND.boot.page, &BACKEND.timeline, below)
}

/// Returns the rate of the time-stamp counter in hertz by the clock page, or what the table below says.
extern "sysv64" fn frequency() -> u64 {
    let by_page = || {
        let boot = &BACKEND.boot;
        let (info, _) = boot.clock.is_started().then(|| boot.page.read(Tries::BOUNDED))?.ok()?;
        frequency_hz(&info).ok()
    };
    by_page().unwrap_or_else(|| BACKEND.enabled.below().map_or(0, |table| table.get::<time::frequency>()()))
}
