//! The machine's power switch.

// UNSAFETY: writes the registers that switch the machine off, and reads tables through the kernel's mapping.
#![expect(unsafe_code)]

mod aml;
mod fadt;
mod register;
mod tables;

pub use tables::AcpiError;

use crate::{Native, time::set_pm_timer};
use core::{
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed},
    },
};
use fadt::Description;
use register::{Place, Register};
use vmi_abi::{Io, Irq};
use x86_64::{VirtAddr, instructions::tables::lidt, structures::DescriptorTablePointer};

/// PM1 control: the machine is in ACPI mode.
const SCI_EN: u16 = 1;
/// PM1 control: the sleep state, and the bit that enters it.
const SLP_TYP: u16 = 0b111 << 10;
const SLP_EN: u16 = 1 << 13;
/// The same in the sleep control register of hardware-reduced ACPI.
const SLEEP_TYP_SHIFT: u8 = 2;
const SLEEP_EN: u8 = 1 << 5;

/// Status port of the keyboard controller, and the command that pulses its reset line.
const KEYBOARD: u16 = 0x64;
const KEYBOARD_BUSY: u8 = 1 << 1;
const KEYBOARD_RESET: u8 = 0xfe;
const FLOATING: u8 = 0xff;
/// Reset control of PC chipsets: the kind of reset, then the bit that starts it.
const RESET_CONTROL: u16 = 0xcf9;
const RESET_HARD: u8 = 1 << 1;
const RESET_NOW: u8 = 1 << 2;

static PM1A: Place = Place::unknown();
static PM1B: Place = Place::unknown();
static SLEEP: Place = Place::unknown();
static RESET: Place = Place::unknown();
static SMI_COMMAND: Place = Place::unknown();
/// A byte each, from the lowest: sleep type for [`PM1A`] and [`SLEEP`], for [`PM1B`], value for [`RESET`],
/// value for [`SMI_COMMAND`]. Written before the places are.
static VALUES: AtomicU32 = AtomicU32::new(0);

/// Tells where the machine's ACPI tables are, so that it can be switched off, and be reset the way its board
/// wants.
///
/// `rsdp` is the physical address of the root pointer, `map` returns where a number of bytes at a physical
/// address can be accessed, or `None` where they cannot. Sources: ACPI specification, "Root System
/// Description Pointer (RSDP)", "Fixed ACPI Description Table (FADT)", "Sleep Control and Status Registers"
/// and `\_Sx (System States)`. The AML is not run: the package `\_S5` is searched for in the DSDT and SSDTs,
/// and no method (`_PTS`) is called before the machine goes off.
///
/// Also calls [`set_pm_timer`] with the timer of the table.
///
/// # Errors
///
/// [`AcpiError`] with the table that is missing or damaged. Nothing is used of the tables then.
///
/// # Safety
///
/// - `map` returns addresses that are valid for reads of that many bytes, and for writes where they are device
///   registers, and stay so as long as the kernel runs.
/// - If `rsdp` leads to well-formed tables, these are the machine's.
/// - No other CPU uses the power ops meanwhile.
pub unsafe fn use_acpi(
    rsdp: u64,
    map: fn(physical: u64, bytes: usize) -> Option<NonNull<u8>>,
) -> Result<(), AcpiError> {
    let description = Description::find(rsdp, &|physical, bytes| {
        let Some(from) = map(physical, bytes.len()) else {
            return false;
        };
        // SAFETY: the caller ensures that what `map` returns is valid for reads of so many bytes.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(from.as_ptr(), bytes.len()) };
        true
    })?;
    let place = |register: Option<Register>, bytes| register.map_or(0, |register| register.place(bytes, map));
    let [a, b] = description.sleep_types.unwrap_or_default();
    let off = |register: Option<Register>| register.filter(|_| description.sleep_types.is_some());
    VALUES.store(u32::from_le_bytes([a, b, description.reset_value, description.acpi_enable]), Relaxed);
    PM1A.store(place(off(description.pm1a_control), 2));
    PM1B.store(place(off(description.pm1b_control), 2));
    SLEEP.store(place(off(description.sleep_control), 1));
    RESET.store(place(description.reset, 1));
    SMI_COMMAND.store(place(description.smi_command, 1));
    // SAFETY: the caller ensures that the tables are the machine's, and there is its timer.
    unsafe { set_pm_timer(description.pm_timer.unwrap_or(0)) };
    Ok(())
}

/// By ACPI, if [`use_acpi`] told of it; does nothing otherwise, so that the kernel can say that it is
/// safe to switch the machine off.
pub(crate) fn shutdown() {
    let [a, b, _, enable] = VALUES.load(Acquire).to_le_bytes();
    if SLEEP.is_known() {
        SLEEP.write8(a << SLEEP_TYP_SHIFT | SLEEP_EN);
    }
    if PM1A.is_known() {
        enter_acpi_mode(enable);
        for with in [0, SLP_EN] {
            for (control, kind) in [(&PM1A, a), (&PM1B, b)] {
                if control.is_known() {
                    let others = control.read16() & !(SLP_TYP | SLP_EN);
                    control.write16(others | u16::from(kind) << SLP_TYP.trailing_zeros() | with);
                }
            }
        }
    }
    if PM1A.is_known() || SLEEP.is_known() {
        wait_for_power_off();
    }
}

/// By the reset register of ACPI, if [`use_acpi`] told of one; then by the keyboard controller, the
/// chipset's reset control register, and last by a triple fault, from which no machine comes back.
pub(crate) fn reboot() {
    Native::disable();
    if RESET.is_known() {
        let [_, _, value, _] = VALUES.load(Acquire).to_le_bytes();
        RESET.write8(value);
        settle();
    }
    if keyboard_is_ready() {
        // SAFETY: the machine is meant to be reset.
        unsafe { Native::out8(KEYBOARD, KEYBOARD_RESET) };
        settle();
    }
    for value in [RESET_HARD, RESET_HARD | RESET_NOW] {
        // SAFETY: the machine is meant to be reset.
        unsafe { Native::out8(RESET_CONTROL, value) };
        settle();
    }
    let nothing = DescriptorTablePointer { limit: 0, base: VirtAddr::zero() };
    // SAFETY: the next exception is meant to find no handler, and interrupts are off.
    unsafe { lidt(&nothing) };
    x86_64::instructions::interrupts::int3();
}

/// Sees to it that the PM1 registers are the kernel's and not the firmware's: ACPI specification,
/// "Legacy/ACPI Select and the SCI Interrupt".
fn enter_acpi_mode(enable: u8) {
    if PM1A.read16() & SCI_EN != 0 || enable == 0 || !SMI_COMMAND.is_known() {
        return;
    }
    SMI_COMMAND.write8(enable);
    for _ in 0..300_000 {
        if PM1A.read16() & SCI_EN != 0 {
            return;
        }
        Native::delay();
    }
}

/// Tells whether there is a keyboard controller and it takes a command, after at most 20 ms.
fn keyboard_is_ready() -> bool {
    (0..20_000).any(|_| {
        Native::delay();
        // SAFETY: reading the status changes nothing.
        let status = unsafe { Native::in8(KEYBOARD) };
        status != FLOATING && status & KEYBOARD_BUSY == 0
    })
}

/// Gives the machine seconds to switch itself off: a virtual one may be slow to look.
fn wait_for_power_off() {
    (0..5_000_000).for_each(|_| Native::delay());
}

/// Gives the machine about 50 ms to do what it was told.
fn settle() {
    (0..50_000).for_each(|_| Native::delay());
}
