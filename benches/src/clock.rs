//! KVM's clock without KVM: a host inside this program fills the clock page, as KVM does.

// UNSAFETY: enables the KVM backend against that host, and writes the clock page for it.
#![expect(unsafe_code)]

use std::ptr;

use vmi::{Backend, CommandLine};
use vmi_abi::{Fault, Leaf, Machine, Offer, Operation, Override, Rank, Table, cpu, leaf, time};
use vmi_kvm_backend::pvclock::{Flags, TimeInfo};
use vmi_kvm_backend::{BACKEND, Features, msr};

use crate::{insn, machine, program::PROGRAM};

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
    let cpuid = machine::answering(machine::KVM);
    let machine = Machine::new(&cpuid, CommandLine::default());
    let below = Box::leak(Box::new(Table::vacant()));
    // SAFETY: nobody else has the table.
    unsafe { below.copy(vmi::native_table()) };
    serve::<cpu::try_read_msr>(below, leaf!(cpu::try_read_msr, |_| Ok(msr::RESET)));
    serve::<cpu::try_write_msr>(below, leaf!(cpu::try_write_msr, register));
    // SAFETY: the backend writes no MSR but those of this table, whose host is the one that the offer describes; one
    // thread, once.
    unsafe { BACKEND.enable(&offer, &machine, &PROGRAM, below) }.expect("a clock page");
    let served = Box::leak(Box::new(Table::vacant()));
    // SAFETY: as above.
    unsafe { served.copy(below) };
    match BACKEND.replacements(&offer, &machine).get(time::now_ns::OP) {
        // SAFETY: the backend's clock.
        Override::Call(clock) => unsafe { served.set(time::now_ns::OP, clock) },
        other => panic!("{other:?} is no clock"),
    }
    served.get::<time::now_ns>()
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

/// Has the host's own code serve an access of an MSR, which nobody but the backend makes: it finds it in the table below.
fn serve<O: Operation<Function = Leaf<O>>>(table: &Table, with: Override<Leaf<O>>) {
    let Override::Call(function) = with else { unreachable!("a function") };
    // SAFETY: a function of the op, by its type, which does what the op says with the MSRs of the host.
    unsafe { table.set(O::OP, function.address()) };
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
