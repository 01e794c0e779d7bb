//! The local APIC's timer: the interrupt that the checks wait for.

// UNSAFETY: accesses the local APIC and masks the legacy interrupt controllers.
#![expect(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use vmi_abi::Io;
use vmi_native::Native;

/// Where the local APIC's registers are mapped, at their physical address after reset. Source: Intel SDM, Volume 3,
/// "Local APIC Register Address Map".
const APIC: usize = 0xfee0_0000;
const EOI: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const IN_SERVICE: usize = 0x100;
const INTERRUPT_COMMAND: usize = 0x300;
const LVT_TIMER: usize = 0x320;
const INITIAL_COUNT: usize = 0x380;
const DIVIDE: usize = 0x3e0;

const PERIODIC: u32 = 1 << 17;
const MASKED: u32 = 1 << 16;
/// The timer's interrupt.
pub const VECTOR: u8 = 0x40;
const SPURIOUS_VECTOR: u8 = 0xff;

/// The APIC's registers are MSRs now: interrupts are ended by the op alone.
static WITHOUT_PAGE: AtomicBool = AtomicBool::new(false);
static TICKS: AtomicU64 = AtomicU64::new(0);
/// Whether the next interrupt is ended by the op, and what the in-service bit said before and after.
static BY_OP: AtomicBool = AtomicBool::new(false);
static IN_SERVICE_BEFORE: AtomicBool = AtomicBool::new(false);
static IN_SERVICE_AFTER: AtomicBool = AtomicBool::new(false);

/// Masks the legacy controllers and enables the local APIC.
pub fn enable() {
    for port in [0x21, 0xa1] {
        // SAFETY: all lines of the 8259s masked; without them nobody listens.
        unsafe { <Native as Io>::out8(port, 0xff) };
    }
    write(SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
    write(DIVIDE, 0b1011);
}

/// Starts the timer: an interrupt every `count` ticks of the APIC's bus clock, a nanosecond each on the hosts we know.
pub fn start(count: u32) {
    write(LVT_TIMER, PERIODIC | u32::from(VECTOR));
    write(INITIAL_COUNT, count);
}

/// Starts the timer: one interrupt after `count` ticks.
pub fn start_once(count: u32) {
    write(LVT_TIMER, u32::from(VECTOR));
    write(INITIAL_COUNT, count);
}

/// Stops the timer.
pub fn stop() {
    write(LVT_TIMER, MASKED);
    write(INITIAL_COUNT, 0);
}

/// Requests the timer's interrupt, of this CPU, now. Source: Intel SDM, Volume 3, "Interrupt Command Register (ICR)".
pub fn request() {
    const TO_SELF: u32 = 1 << 18;
    const ASSERT: u32 = 1 << 14;
    write(INTERRUPT_COMMAND, TO_SELF | ASSERT | u32::from(VECTOR));
}

/// Returns how many timer interrupts were handled.
pub fn ticks() -> u64 {
    TICKS.load(Relaxed)
}

/// Returns the counter of the timer interrupts that were handled.
pub fn counter() -> &'static AtomicU64 {
    &TICKS
}

/// Has the next timer interrupt ended by `vmi::apic::eoi`.
pub fn end_next_by_op() {
    BY_OP.store(true, Relaxed);
}

/// Returns what the in-service bit was before and after the op ended an interrupt.
pub fn in_service_around_op() -> (bool, bool) {
    (IN_SERVICE_BEFORE.load(Relaxed), IN_SERVICE_AFTER.load(Relaxed))
}

/// Handles an interrupt.
pub fn on_interrupt(vector: u8) {
    if vector != VECTOR {
        return;
    }
    if BY_OP.swap(false, Relaxed) {
        IN_SERVICE_BEFORE.store(in_service(), Relaxed);
        // SAFETY: the APIC is mapped at its physical address; its interrupt is in service and done with.
        unsafe { vmi::apic::eoi() };
        IN_SERVICE_AFTER.store(in_service(), Relaxed);
    }
    if WITHOUT_PAGE.load(Relaxed) {
        // SAFETY: the APIC is in the mode that needs no page; an interrupt of this vector is in service and done with.
        unsafe { vmi::apic::eoi() };
    } else if in_service() {
        write(EOI, 0);
    }
    TICKS.store(TICKS.load(Relaxed) + 1, Relaxed);
}

/// Tells that there is no page of registers now, or that there is one again.
pub fn without_page(is_without: bool) {
    WITHOUT_PAGE.store(is_without, Relaxed);
}

/// Returns what stands in the page of registers.
pub fn register(register: u32) -> u32 {
    read(register as usize)
}

fn in_service() -> bool {
    let register = IN_SERVICE + usize::from(VECTOR / 32) * 16;
    read(register) & 1 << (VECTOR % 32) != 0
}

fn read(register: usize) -> u32 {
    let address = core::ptr::with_exposed_provenance::<u32>(APIC + register);
    // SAFETY: the page is mapped, and reading these registers changes nothing.
    unsafe { address.read_volatile() }
}

fn write(register: usize, value: u32) {
    let address = core::ptr::with_exposed_provenance_mut::<u32>(APIC + register);
    // SAFETY: the page is mapped; the timer's vector has a handler, and the others are masked.
    unsafe { address.write_volatile(value) };
}

/// The interrupt request bits, 32 vectors a register. Source: as for the other registers.
const REQUESTED: usize = 0x200;

/// Waits until the timer has requested an interrupt, with interrupts off.
pub fn until_pending() {
    while read(REQUESTED + usize::from(VECTOR / 32) * 16) & 1 << (VECTOR % 32) == 0 {
        core::hint::spin_loop();
    }
}
