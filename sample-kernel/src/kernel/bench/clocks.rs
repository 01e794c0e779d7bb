//! The time sources, each read as a kernel reads it.

// UNSAFETY: reads and programs timers by their registers.
#![expect(unsafe_code)]

use vmi_kvm_backend::pvclock;

use super::{Benchmark, Phase, repeat::repeat};
use crate::kernel::insn::{bare, keep::keep};

pub const ALL: &[&[Benchmark]] = &[&[
    site("clock::tsc", |turns| repeat(turns, (), |()| keep(vmi::cpu::cycles()))),
    // SAFETY: reading the counter changes nothing.
    bare("clock::tsc", |turns| repeat(turns, (), |()| keep(unsafe { bare::cpu::cycles() }))),
    site("clock::page", |turns| repeat(turns, (), |()| keep(vmi::time::now_ns())))
        .in_phases(&[Phase::After])
        .unless(no_clock_page),
    // A call, and nothing beside what the function itself takes.
    Benchmark::new("clock::page", "direct", "loop", |turns| {
        repeat(turns, vmi::table().get::<vmi_abi::time::now_ns>(), |now_ns| keep(now_ns()));
    })
    .in_phases(&[Phase::After])
    .unless(no_clock_page),
    site("clock::pm_timer", pm_timer).unless(no_pm_timer),
    bare("clock::hpet", hpet).unless(no_hpet),
    site("clock::pit", |turns| repeat(turns, (), |()| keep(pit()))).unless(no_pit),
]];

const fn site(name: &'static str, run: fn(u64)) -> Benchmark {
    Benchmark::new(name, "site", "loop", run)
}

const fn bare(name: &'static str, run: fn(u64)) -> Benchmark {
    Benchmark::new(name, "bare", "loop", run).in_phases(&[Phase::After])
}

/// A page that was never registered is all zeros, and KVM's multiplier never is 0.
fn no_clock_page() -> Option<&'static str> {
    let serves = pvclock::snapshot().is_ok_and(|page| page.tsc_to_system_mul != 0);
    (!serves).then_some("no hypervisor writes a clock page")
}

fn pm_timer(turns: u64) {
    let port = vmi::time::pm_timer().expect("a timer that ACPI tells of").get();
    // SAFETY: ACPI tells that the timer is there; reading it changes nothing.
    repeat(turns, port, |port| keep(unsafe { vmi::io::in32(port) }));
}

fn no_pm_timer() -> Option<&'static str> {
    vmi::time::pm_timer().is_none().then_some("ACPI tells of no power-management timer")
}

/// Where all chipsets have their high-precision event timer, and its registers. Source: "IA-PC HPET Specification",
/// "Register Overview"; Intel ICH9 datasheet, "High Precision Event Timer Registers".
const HPET: usize = 0xfed0_0000;
const HPET_PERIOD: usize = HPET + 4;
const HPET_CONFIGURATION: usize = HPET + 0x10;
const HPET_COUNTER: usize = HPET + 0xf0;
/// The configuration's bit that lets the counter count.
const HPET_ENABLE: u32 = 1;
/// No period is longer, in femtoseconds.
const HPET_PERIOD_MAX: u32 = 100_000_000;
/// Looks at the counter after which it has counted, if it does.
const HPET_LOOKS: u32 = 10_000;

fn hpet(turns: u64) {
    repeat(turns, HPET_COUNTER, |register| keep(read(register)));
}

/// Looks whether what is there can be the timer, and lets it count. It interrupts nobody.
fn no_hpet() -> Option<&'static str> {
    let period = read(HPET_PERIOD);
    if period == 0 || period > HPET_PERIOD_MAX {
        return Some("no HPET is at its address");
    }
    let configuration = core::ptr::with_exposed_provenance_mut::<u32>(HPET_CONFIGURATION);
    let value = read(HPET_CONFIGURATION) | HPET_ENABLE;
    // SAFETY: the register is mapped; the timer counts, and what else it does stays as it is.
    unsafe { configuration.write_volatile(value) };
    let first = read(HPET_COUNTER);
    let counts = (0..HPET_LOOKS).any(|_| read(HPET_COUNTER) != first);
    (!counts).then_some("the HPET does not count")
}

/// Reads a register of the timer.
#[inline(always)]
fn read(register: usize) -> u32 {
    let register = core::ptr::with_exposed_provenance::<u32>(register);
    // SAFETY: all below 4 GiB is mapped, and reading changes nothing.
    unsafe { register.read_volatile() }
}

/// The legacy timer. Source: 8254 datasheet, "Control Word Format", "Counter Latch Command" and "Read-Back Command".
const PIT_CHANNEL_0: u16 = 0x40;
const PIT_COMMAND: u16 = 0x43;
/// Channel 0, low byte then high byte, counting down once and on from the top: it interrupts once, and that is masked.
const PIT_PROGRAM: u8 = 0b0011_0000;
const PIT_LATCH: u8 = 0;
/// Latches the status of channel 0, whose lower bits are those of the program.
const PIT_LATCH_STATUS: u8 = 0b1110_0010;
const PIT_STATUS_OF_PROGRAM: u8 = 0x3f;

/// Latches the count and reads it.
#[inline(always)]
fn pit() -> u16 {
    write(PIT_COMMAND, PIT_LATCH);
    // SAFETY: reads the count that was latched.
    let low = unsafe { vmi::io::in8(PIT_CHANNEL_0) };
    // SAFETY: as above.
    let high = unsafe { vmi::io::in8(PIT_CHANNEL_0) };
    u16::from_le_bytes([low, high])
}

/// Has the timer count, and asks whether it is there.
fn no_pit() -> Option<&'static str> {
    write(PIT_COMMAND, PIT_PROGRAM);
    write(PIT_CHANNEL_0, 0);
    write(PIT_CHANNEL_0, 0);
    write(PIT_COMMAND, PIT_LATCH_STATUS);
    // SAFETY: reads the status that was latched.
    let status = unsafe { vmi::io::in8(PIT_CHANNEL_0) };
    (status & PIT_STATUS_OF_PROGRAM != PIT_PROGRAM).then_some("no legacy timer answers")
}

#[inline(always)]
fn write(port: u16, value: u8) {
    // SAFETY: programs the legacy timer, which nobody else uses meanwhile and whose interrupt is masked.
    unsafe { vmi::io::out8(port, value) };
}
