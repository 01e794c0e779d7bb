//! Checks of the local APIC: the end of an interrupt by its in-service bit, registers by what stands in its page, and the
//! same in x2APIC mode.

// UNSAFETY: uses the local APIC, and switches its mode.
#![expect(unsafe_code)]

use vmi::apic::{Message, To, interrupt};
use vmi_abi::{Cpu, Irq};
use vmi_native::Native;

use super::{Check, PASSED};
use crate::kernel::{
    tally::{Outcome, Verdict, equal},
    timer,
};

pub const CHECKS: &[Check] = &[
    ("apic::eoi", eoi),
    ("apic::read", read),
    ("apic::write", write),
    ("apic::id", id),
    ("apic::send", send),
    ("the local APIC in x2APIC mode", in_x2apic_mode),
];

/// Registers. Source: Intel SDM, Volume 3, "Local APIC Register Address Map".
const VERSION: u32 = 0x30;
const TASK_PRIORITY: u32 = 0x80;

fn eoi() -> Verdict {
    timer::end_next_by_op();
    let before = timer::ticks();
    timer::start(1_000_000);
    <Native as Irq>::enable();
    while timer::ticks() == before {
        core::hint::spin_loop();
    }
    <Native as Irq>::disable();
    timer::stop();
    let (in_service_before, in_service_after) = timer::in_service_around_op();
    equal("in service before", in_service_before, true)?;
    equal("in service after", in_service_after, false)?;
    Ok(PASSED)
}

fn read() -> Verdict {
    // SAFETY: the APIC is mapped at its physical address, and the register is only read.
    equal("version", unsafe { vmi::apic::read(VERSION) }, timer::register(VERSION))?;
    Ok(PASSED)
}

fn write() -> Verdict {
    for priority in [0x20, 0] {
        // SAFETY: the APIC is mapped at its physical address; no interrupt is due.
        unsafe { vmi::apic::write(TASK_PRIORITY, priority) };
        equal("task priority", timer::register(TASK_PRIORITY), priority)?;
    }
    Ok(PASSED)
}

fn id() -> Verdict {
    // SAFETY: the APIC is mapped at its physical address.
    equal("id", unsafe { vmi::apic::id() }, initial_id())?;
    Ok(PASSED)
}

/// Returns the number that this CPU has from its reset on.
fn initial_id() -> u32 {
    <Native as Cpu>::cpuid(1, 0).ebx >> 24
}

fn send() -> Verdict {
    arrives("by its number", To::One(initial_id()))?;
    arrives("by the shorthand", To::Itself)?;
    arrives("to all", To::All)?;
    Ok(PASSED)
}

/// Sends this CPU an interrupt and waits for it.
fn arrives(how: &'static str, to: To) -> Verdict {
    let before = timer::ticks();
    // SAFETY: the APIC is mapped at its physical address, and the vector has a handler.
    unsafe { interrupt(to, Message::Fixed(timer::VECTOR)) };
    <Native as Irq>::enable();
    for _ in 0..100_000 {
        core::hint::spin_loop();
    }
    <Native as Irq>::disable();
    equal(how, timer::ticks() - before, 1_u64)?;
    Ok(PASSED)
}

fn in_x2apic_mode() -> Verdict {
    const IA32_APIC_BASE: u32 = 0x1b;
    const ENABLED: u64 = 1 << 11;
    const X2APIC: u64 = 1 << 10;
    if <Native as Cpu>::cpuid(1, 0).ecx & 1 << 21 == 0 {
        return Ok(Outcome::Skipped("this CPU has no x2APIC"));
    }
    // SAFETY: a CPU with an APIC has the MSR.
    let base = unsafe { <Native as Cpu>::read_msr(IA32_APIC_BASE) };
    let version = timer::register(VERSION);
    let switch = |mode: u64| {
        // SAFETY: the CPU has the mode, and no interrupt is in service.
        unsafe { <Native as Cpu>::write_msr(IA32_APIC_BASE, base & !(ENABLED | X2APIC) | mode) };
        // SAFETY: the page is mapped at its physical address.
        unsafe { vmi::apic::set_window(0) };
    };
    switch(ENABLED | X2APIC);
    timer::without_page(true);
    let verdict = x2apic(version);
    timer::without_page(false);
    // From one mode to the other the way is by none.
    switch(0);
    switch(ENABLED);
    timer::enable();
    verdict
}

fn x2apic(version: u32) -> Verdict {
    // SAFETY: there is no page now; the register is only read.
    equal("version", unsafe { vmi::apic::read(VERSION) }, version)?;
    for priority in [0x20, 0] {
        // SAFETY: no interrupt is due.
        unsafe { vmi::apic::write(TASK_PRIORITY, priority) };
        // SAFETY: the MSR is that of the register.
        equal("task priority", unsafe { <Native as Cpu>::read_msr(0x808) }, u64::from(priority))?;
    }
    // SAFETY: in this mode the APIC needs no page.
    equal("id", unsafe { vmi::apic::id() }, initial_id())?;
    arrives("by its number", To::One(initial_id()))?;
    arrives("by the shorthand", To::Itself)?;
    Ok(PASSED)
}
