//! Checks that belong to KVM: the clock page, the registrations, hypercalls; and that no hypervisor means no hypercall.

// UNSAFETY: rewrites the clock page, reads KVM's MSRs, and issues hypercalls.
#![expect(unsafe_code)]

use core::{arch::x86_64::CpuidResult, sync::atomic::Ordering::Relaxed};

use vmi::{Platform, Report};
use vmi_abi::{CommandLine, Cpu, Machine};
use vmi_kvm_backend::{
    Features,
    hypercall::{Error, Hypercall, Number},
    msr::{self, ClockMsrs},
    pvclock::{self, TimeInfo},
};
use vmi_native::Native;

use super::{Check, PASSED, time};
use crate::kernel::{
    insn::attempt,
    platform::{PLATFORM, machine},
    tally::{Failure, Outcome, Verdict, between, equal, holds},
    trap,
};

const WITH_CLOCK: &[Check] = &[
    ("kvm/the clock is the page's formula", clock_is_formula),
    ("kvm/the clock follows a changed multiplier", clock_follows_multiplier),
    ("kvm/the page is registered", page_is_registered),
    ("kvm/the clock goes on over a restore", clock_is_resumed),
    ("kvm/the calendar needs no real-time clock", calendar_without_rtc),
    ("kvm/a hypercall is served", known_hypercall),
    ("kvm/an unknown hypercall is refused", unknown_hypercall),
];
const WITHOUT_CLOCK: &[Check] = &[
    ("kvm/no page is registered", no_page_is_registered),
    ("kvm/a hypercall is served", known_hypercall),
    ("kvm/an unknown hypercall is refused", unknown_hypercall),
];
/// What holds wherever no backend is enabled.
pub const UNUSED: &[Check] = &[("kvm/no page is registered", no_page_is_registered)];
const BARE: &[Check] = &[
    ("hypercall opcodes are undefined", opcodes_are_undefined),
    ("a hypercall that nobody takes is tried once", hypercall_is_tried_once),
];

/// Returns the checks for the chosen backend.
pub fn checks(report: &Report) -> &'static [Check] {
    match kvm(report) {
        true if serves_time() => WITH_CLOCK,
        true => WITHOUT_CLOCK,
        _ if clock_msrs().is_some() => UNUSED,
        _ if command_line().value("hypercalls") == Some("undefined") => BARE,
        _ => &[],
    }
}

fn kvm(report: &Report) -> bool {
    report.offer("kvm").is_some()
}

fn serves_time() -> bool {
    !command_line().has("no-kvmclock") && clock_msrs().is_some()
}

fn command_line() -> vmi::CommandLine<'static> {
    vmi::CommandLine::new(PLATFORM.get().command_line())
}

fn clock_msrs() -> Option<ClockMsrs> {
    ClockMsrs::choose(vmi_kvm_backend::probe(&machine()).map_or(Features::empty(), |found| found.features))
}

fn clock_is_formula() -> Verdict {
    for _ in 0..1000 {
        let page = snapshot()?;
        let before = <Native as Cpu>::cycles();
        let found = vmi::time::now_ns().wrapping_sub(vmi::time::offset_ns());
        // What the clock is ahead is known when it has been read.
        let found = found.wrapping_sub(pvclock::ahead_ns());
        let after = <Native as Cpu>::cycles();
        if snapshot()? == page {
            between("nanoseconds", at(&page, before), found, at(&page, after))?;
        }
    }
    Ok(PASSED)
}

/// Returns the time that the page tells now, in nanoseconds.
pub fn page_time() -> Result<u64, Failure> {
    snapshot().map(|page| at(&page, <Native as Cpu>::cycles()))
}

fn snapshot() -> Result<TimeInfo, Failure> {
    let page = pvclock::snapshot();
    holds("the page can be read", page.is_ok())?;
    Ok(page.unwrap_or_default())
}

fn at(page: &TimeInfo, tsc: u64) -> u64 {
    pvclock::nanoseconds(page, tsc).unwrap_or(0)
}

/// Doubles the multiplier, as a host does that finds its counter half as fast, and looks how far the clock gets. The
/// host may write its own values back at any time; then the next try counts.
fn clock_follows_multiplier() -> Verdict {
    const TRIES: usize = 5;
    let mut verdict = Ok(PASSED);
    for _ in 0..TRIES {
        let honest = snapshot()?;
        let now = <Native as Cpu>::cycles();
        let doubled = TimeInfo {
            tsc_timestamp: now,
            system_time: at(&honest, now),
            tsc_shift: honest.tsc_shift + 1,
            ..honest
        };
        publish(&doubled);
        let start = vmi::time::now_ns();
        let span = vmi::time::frequency().map_or(1_000_000_000, |hertz| hertz.get()) / 200;
        while <Native as Cpu>::cycles() - now < span {
            core::hint::spin_loop();
        }
        let (before, found, after) =
            (<Native as Cpu>::cycles(), vmi::time::now_ns() - start, <Native as Cpu>::cycles());
        let still_doubled = snapshot()?.tsc_shift == doubled.tsc_shift;
        publish(&honest);
        wait_for_honest_time();
        let ns = |tsc| at(&honest, tsc) - at(&honest, now);
        verdict =
            between("nanoseconds", 2 * ns(before) - ns(before) / 10, found, 2 * ns(after)).map(|()| PASSED);
        if still_doubled && verdict.is_ok() {
            break;
        }
    }
    verdict
}

/// Writes the page as the host does: under an odd version, which is even and new behind it.
fn publish(info: &TimeInfo) {
    let page = pvclock::page_address().cast_mut().cast::<TimeInfo>();
    // The version is the first field.
    let page_version = page.cast::<u32>();
    // SAFETY: the page is memory of this image that only the host and this check write.
    let version = unsafe { page_version.read_volatile() } | 1;
    // SAFETY: as above; readers see that the page is being written.
    unsafe { page_version.write_volatile(version) };
    // SAFETY: as above.
    unsafe { page.write_volatile(TimeInfo { version, ..*info }) };
    // SAFETY: as above.
    unsafe { page_version.write_volatile(version.wrapping_add(1)) };
}

/// The clock stands still until the page's time has passed what was read from another; with a page that never tells a time,
/// for ever.
fn wait_for_honest_time() {
    const READS: u32 = 10_000_000;
    let stuck = vmi::time::now_ns();
    for _ in 0..READS {
        if vmi::time::now_ns() > stuck {
            break;
        }
    }
}

fn page_is_registered() -> Verdict {
    let page = PLATFORM.get().physical_address(pvclock::page_address());
    equal("system time MSR", registration(), page | msr::ENABLE)?;
    Ok(PASSED)
}

/// As after a restore of memory and CPU alone: the host knows of no page.
fn clock_is_resumed() -> Verdict {
    let before = vmi::time::now_ns();
    if let Some(msrs) = clock_msrs() {
        // SAFETY: the MSR is announced by CPUID; the host stops writing the page.
        let _ = unsafe { <Native as Cpu>::try_write_msr(msrs.system_time, msr::RESET) };
    }
    // SAFETY: one CPU, ring 0, not in an interrupt, and the #GP handler asks for landings.
    holds("the layers resume", unsafe { vmi::resume() }.is_ok())?;
    holds("time never steps back", vmi::time::now_ns() >= before)?;
    page_is_registered()?;
    wait_for_honest_time();
    time::now_ns()
}

/// Also a page that firmware registered must be gone: its memory is the kernel's now.
fn no_page_is_registered() -> Verdict {
    equal("system time MSR", registration(), msr::RESET)?;
    Ok(PASSED)
}

/// What the MSR of the clock page holds; one that faults registers nothing.
fn registration() -> u64 {
    clock_msrs().map_or(msr::RESET, |msrs| {
        // SAFETY: the MSR is announced by CPUID.
        unsafe { <Native as Cpu>::try_read_msr(msrs.system_time) }.unwrap_or(msr::RESET)
    })
}

fn calendar_without_rtc() -> Verdict {
    holds("there is a wall clock", vmi::time::wall_clock().is_some())?;
    Ok(PASSED)
}

/// Of all calls the one that every KVM serves, whatever its features.
fn known_hypercall() -> Verdict {
    let Some(hypercall) = Hypercall::detect(&machine()) else {
        return Ok(Outcome::Skipped("the CPU's vendor has no known hypercall instruction"));
    };
    // SAFETY: it has KVM look at pending interrupts, which are taken either way.
    let found = unsafe { hypercall.call(Number::VAPIC_POLL_IRQ, []) };
    equal("result", found as u64, 0_u64)?;
    Ok(PASSED)
}

/// No hypercall has this number.
const UNKNOWN: Number = Number(0x7fff_0000);

/// The numbers of VMI's calls by port are none of KVM's either: a call that takes the wrong way gets no answer but this.
fn unknown_hypercall() -> Verdict {
    let Some(hypercall) = Hypercall::detect(&machine()) else {
        return Ok(Outcome::Skipped("the CPU's vendor has no known hypercall instruction"));
    };
    let vmi = vmi_abi::port_call::Number::ALL.map(|number| Number(number.0.into()));
    for number in vmi.into_iter().chain([UNKNOWN]) {
        // SAFETY: no such call.
        let found = unsafe { hypercall.call(number, [0; 4]) };
        equal("result", found as u64, Error::NO_SUCH_CALL.0 as u64)?;
    }
    Ok(PASSED)
}

fn opcodes_are_undefined() -> Verdict {
    holds("vmcall is undefined", attempt::vmcall_is_undefined())?;
    holds("vmmcall is undefined", attempt::vmmcall_is_undefined())?;
    Ok(PASSED)
}

/// CPUID announces KVM, and neither instruction is to be had.
fn hypercall_is_tried_once() -> Verdict {
    let kvm = |leaf, subleaf| match leaf {
        0x4000_0000 => CpuidResult {
            eax: 0x4000_0001,
            ebx: u32::from_le_bytes(*b"KVMK"),
            ecx: u32::from_le_bytes(*b"VMKV"),
            edx: u32::from_le_bytes(*b"M\0\0\0"),
        },
        0x4000_0001.. => CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 },
        _ => <Native as Cpu>::cpuid(leaf, subleaf),
    };
    let machine = Machine::new(&kvm, CommandLine::default());
    let Some(hypercall) = Hypercall::detect(&machine) else {
        return Ok(Outcome::Skipped("the CPU's vendor has no known hypercall instruction"));
    };
    let landings = trap::LANDINGS.load(Relaxed);
    for _ in 0..3 {
        // SAFETY: nobody is there to do anything.
        let found = unsafe { hypercall.call(Number::VAPIC_POLL_IRQ, []) };
        equal("answer", found as u64, Error::NO_SUCH_CALL.0 as u64)?;
    }
    equal("faults", trap::LANDINGS.load(Relaxed) - landings, 2_u64)?;
    Ok(PASSED)
}
