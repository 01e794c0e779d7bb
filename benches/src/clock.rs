//! KVM's clock without KVM: a host inside this program fills the clock page, as KVM does.

// UNSAFETY: enables the KVM backend against that host, and writes the clock page for it.
#![expect(unsafe_code)]

use std::ptr;

use vmi::{Backend, CommandLine, Platform};
use vmi_abi::{Fault, Offer, Override, Overrides, Rank, leaf};
use vmi_kvm_backend::pvclock::{Flags, TimeInfo};
use vmi_kvm_backend::{Features, Kvm, msr};

use crate::{insn, program::PROGRAM};

/// What reads a clock.
pub type Clock = extern "sysv64" fn() -> u64;

/// Returns the KVM backend's clock, reading a page that is valid, stable and does not change: what a guest's is for as
/// good as all of its reads.
///
/// # Panics
///
/// When the backend refuses the page. To be called once.
pub fn of_kvm() -> Clock {
    let features = Features::CLOCKSOURCE2 | Features::CLOCKSOURCE_STABLE_BIT;
    let offer = Offer { rank: Rank::HYPERVISOR, features: features.bits().into(), hints: 0, base_leaf: 0 };
    let below = Box::leak(Box::new(vmi::table().with(&msrs())));
    // SAFETY: the backend writes no MSR but those of this table, whose host is the one that the offer describes; one
    // thread, once.
    unsafe { Kvm.enable(&offer, &PROGRAM, below) }.expect("a clock page");
    let words = CommandLine::new(PROGRAM.command_line());
    match Kvm.overrides(&offer, words).time.now_ns {
        Override::Call(clock) => clock,
        other => panic!("{other:?} is no clock"),
    }
}

/// Returns a page as KVM fills it for a counter of 2.5 GHz.
pub fn page() -> TimeInfo {
    TimeInfo {
        version: 2,
        tsc_timestamp: insn::rdtsc(),
        system_time: 1_000_000_000,
        // A tick is 0.4 ns. Ticks are halved first: 0.8 as a fraction of 2^32.
        tsc_to_system_mul: 3_435_973_836,
        tsc_shift: -1,
        flags: Flags::STABLE.bits(),
        ..TimeInfo::default()
    }
}

/// The host's MSRs, which nobody but the backend reaches: it finds them in the table below.
fn msrs() -> Overrides {
    let mut overrides = Overrides::KEEP;
    overrides.cpu.try_read_msr = leaf!(cpu::try_read_msr, |_| Ok(msr::RESET));
    overrides.cpu.try_write_msr = leaf!(cpu::try_write_msr, register);
    overrides
}

/// Does what KVM does when the page of a CPU is registered. Addresses are this program's own.
fn register(number: u32, value: u64) -> Result<(), Fault> {
    if number == msr::SYSTEM_TIME_NEW && value & msr::ENABLE != 0 {
        let place: *mut TimeInfo = ptr::with_exposed_provenance_mut((value & !msr::ENABLE) as usize);
        // SAFETY: the page that the backend registers, at the address that `PROGRAM` told it.
        unsafe { place.write_volatile(page()) };
    }
    Ok(())
}

/// Reads the time-stamp counter so many times.
#[inline(never)]
pub fn read_counter(turns: u64) {
    for _ in 0..turns {
        insn::keep(insn::rdtsc());
    }
}

/// Reads a clock so many times.
#[inline(never)]
pub fn read(clock: Clock, turns: u64) {
    for _ in 0..turns {
        insn::keep(clock());
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_clock_is_the_page_s() {
        let clock = of_kvm();
        let start = clock();
        thread::sleep(Duration::from_millis(20));
        let passed = clock() - start;
        assert!((1_000_000_000..2_000_000_000).contains(&start), "{start}");
        // The counter has some rate from 0.5 to 10 GHz, not 2.5.
        assert!((4_000_000..1_000_000_000).contains(&passed), "{passed}");
    }
}
