//! The time ops.

use core::sync::atomic::AtomicU64;

use vmi_abi::{Override, port_call::Features, time::Overrides};

use crate::{
    enabled,
    per_cpu::BOOT,
    pvclock::{Source, Tries, frequency_hz},
    wall_clock,
};

/// The word on the kernel's command line that leaves the time ops native.
pub(crate) const OFF: &str = "no-kvmclock";

/// Returns what serves the time ops, where the host has a clock page and where it has not, but tells the time of day by
/// the VMI interface: an exit to its user space, which the page does without.
pub(crate) const fn overrides(has_clock: bool, vmi: Features) -> Overrides {
    if has_clock {
        Overrides {
            now_ns: Override::Call(now_ns),
            wall_clock: Override::Call(wall_clock::now),
            frequency: Override::Call(frequency),
        }
    } else if vmi.contains(Features::WALL_CLOCK) {
        Overrides { wall_clock: Override::Call(wall_clock::now), ..Overrides::KEEP }
    } else {
        Overrides::KEEP
    }
}

/// The latest time that any CPU returned from a full reading, in nanoseconds.
static LATEST: AtomicU64 = AtomicU64::new(0);

/// Returns nanoseconds by the clock page, at least as many as at any call before.
///
/// 22 instructions while the page stays as it was, is stable and time has gone by; no exit.
extern "sysv64" fn now_ns() -> u64 {
    match BOOT.clock.fast(&BOOT.page) {
        Some(now) => now,
        None => now_ns_by_full_reading(),
    }
}

#[cold]
#[inline(never)]
fn now_ns_by_full_reading() -> u64 {
    BOOT.clock.refresh(&BOOT.page, &LATEST, || enabled::below().map_or(0, |table| (table.time.now_ns)()))
}

/// Returns the rate of the time-stamp counter in hertz by the clock page, or what the table below says.
extern "sysv64" fn frequency() -> u64 {
    let by_page = || {
        let (info, _) = BOOT.clock.is_started().then(|| BOOT.page.read(Tries::BOUNDED))?.ok()?;
        frequency_hz(&info).ok()
    };
    by_page().unwrap_or_else(|| enabled::below().map_or(0, |table| (table.time.frequency)()))
}
