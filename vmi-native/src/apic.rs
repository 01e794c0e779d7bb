//! This CPU's local interrupt controller: Intel SDM, volume 3, "Advanced Programmable Interrupt Controller
//! (APIC)".

// UNSAFETY: writes the controller's registers.
#![expect(unsafe_code)]

use crate::{Native, insn};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vmi_abi::Cpu;
use x86_64::{instructions::interrupts::without_interrupts, registers::model_specific::ApicBaseFlags};

const IA32_APIC_BASE: u32 = 0x1b;
/// Where the MSRs of the x2APIC begin: one for 16 bytes of the xAPIC's page.
const X2APIC_BASE: u32 = 0x800;
/// Bits 12 to 51: the widest physical address there is.
const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Registers, by their place in the xAPIC's page.
const ID: u32 = 0x20;
const EOI: u32 = 0xb0;
const COMMAND: u32 = 0x300;
const COMMAND_DESTINATION: u32 = 0x310;
/// Interrupt command: the one before is yet to be sent.
const PENDING: u32 = 1 << 12;
/// How often to look whether it is: a second or so, and what comes then replaces it.
const PENDING_TURNS: u32 = 1 << 20;
/// Where the xAPIC's registers have a CPU's number.
const NUMBER_SHIFT: u32 = 24;

/// Where the kernel said the xAPIC page is mapped; 0 stands for its physical address.
static WINDOW: AtomicU64 = AtomicU64::new(0);

const UNKNOWN: u64 = 0;
const X2APIC: u64 = 1;
/// Where the registers are: [`UNKNOWN`], [`X2APIC`], or the virtual address of the xAPIC's page.
static REGISTERS: AtomicU64 = AtomicU64::new(UNKNOWN);

/// Says at which virtual address the page of xAPIC registers is mapped, 0 for its physical address, and that
/// the mode is to be found anew.
///
/// Without this call the page is expected at its physical address (0xfee0_0000 out of reset). A kernel that
/// switches to x2APIC mode after it has used the controller calls this after the switch; all CPUs are in the
/// same mode.
///
/// # Safety
///
/// - The page stays mapped there, writable and uncached, as long as the controller is used in xAPIC mode.
pub unsafe fn set_window(virtual_address: u64) {
    WINDOW.store(virtual_address, Relaxed);
    REGISTERS.store(UNKNOWN, Relaxed);
}

/// Finds the mode at the first call and keeps it, see [`set_window`]. Does nothing on a CPU without a
/// local APIC or with a disabled one, and looks again at the next call.
///
/// # Safety
///
/// - As the op's.
#[inline]
pub(crate) unsafe fn eoi() {
    // 0 is the only value the register takes.
    // SAFETY: an interrupt is in service, as the caller ensures.
    unsafe { write(EOI, 0) }
}

/// Finds the mode as `eoi` does.
///
/// # Safety
///
/// - As the op's.
#[inline]
pub(crate) unsafe fn read(register: u32) -> u32 {
    match REGISTERS.load(Relaxed) {
        // SAFETY: the caller's promise.
        UNKNOWN => once_found(move || unsafe { read(register) }),
        // SAFETY: the controller is in the mode that has this MSR.
        X2APIC => unsafe { Native::read_msr(msr(register)) as u32 },
        // SAFETY: the kernel ensured by `set_window`, or by not calling it, that the page is mapped here.
        page => unsafe { place(page, register).read_volatile() },
    }
}

/// Finds the mode as `eoi` does.
///
/// # Safety
///
/// - As the op's.
#[inline]
pub(crate) unsafe fn write(register: u32, value: u32) {
    match REGISTERS.load(Relaxed) {
        // SAFETY: the caller's promise.
        UNKNOWN => once_found(move || unsafe { write(register, value) }),
        // SAFETY: the controller is in the mode that has this MSR.
        X2APIC => unsafe { Native::write_msr(msr(register), value.into()) },
        // SAFETY: the kernel ensured by `set_window`, or by not calling it, that the page is mapped here.
        page => unsafe { place(page, register).write_volatile(value) },
    }
}

/// Finds the mode as `eoi` does.
///
/// # Safety
///
/// - As the op's.
pub(crate) unsafe fn id() -> u32 {
    match REGISTERS.load(Relaxed) {
        // SAFETY: the caller's promise.
        UNKNOWN => once_found(|| unsafe { id() }),
        // SAFETY: every x2APIC has the MSR, and reading it has no effect.
        X2APIC => unsafe { Native::read_msr(msr(ID)) as u32 },
        // SAFETY: the page is mapped here; every xAPIC has the register, and reading it has no effect.
        page => unsafe { place(page, ID).read_volatile() >> NUMBER_SHIFT },
    }
}

/// Finds the mode as `eoi` does. Masked from interrupts in xAPIC mode, where it takes two registers.
///
/// # Safety
///
/// - As the op's.
pub(crate) unsafe fn send(destination: u32, command: u32) {
    match REGISTERS.load(Relaxed) {
        // SAFETY: the caller's promise.
        UNKNOWN => once_found(move || unsafe { send(destination, command) }),
        X2APIC => {
            let value = u64::from(destination) << 32 | u64::from(command);
            insn::fence_for_msr();
            // SAFETY: the controller is in the mode that has this MSR.
            unsafe { Native::write_msr(msr(COMMAND), value) };
        }
        page => {
            let Ok(destination) = u8::try_from(destination) else { return };
            let register = place(page, COMMAND);
            without_interrupts(|| {
                // SAFETY: the page is mapped here, and reading the register has no effect.
                (0..PENDING_TURNS).any(|_| unsafe { register.read_volatile() } & PENDING == 0);
                let number = u32::from(destination) << NUMBER_SHIFT;
                // SAFETY: the page is mapped here; the destination alone sends nothing.
                unsafe { place(page, COMMAND_DESTINATION).write_volatile(number) };
                // SAFETY: the page is mapped here, and the caller ensures that whoever this reaches can take it.
                unsafe { register.write_volatile(command) };
            });
        }
    }
}

fn msr(register: u32) -> u32 {
    X2APIC_BASE + register / 16
}

fn place(page: u64, register: u32) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut((page + u64::from(register)) as usize)
}

/// Finds out where the registers are and goes on with that; returns nothing where the controller is missing or disabled.
#[cold]
#[inline(never)]
fn once_found<T: Default>(go_on: impl FnOnce() -> T) -> T {
    // CPUID leaf 1, EDX bit 9. Where it is clear the MSR may be missing.
    if Native::cpuid(1, 0).edx & 1 << 9 == 0 {
        return T::default();
    }
    // SAFETY: a CPU with a local APIC has the MSR, and reading it has no effect.
    let base = unsafe { Native::read_msr(IA32_APIC_BASE) };
    let Some(found) = page(base, WINDOW.load(Relaxed)) else { return T::default() };
    REGISTERS.store(found, Relaxed);
    go_on()
}

/// Returns where the registers are by the value of IA32_APIC_BASE.
fn page(base: u64, window: u64) -> Option<u64> {
    let flags = ApicBaseFlags::from_bits_truncate(base);
    if !flags.contains(ApicBaseFlags::LAPIC_ENABLE) {
        None
    } else if flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
        Some(X2APIC)
    } else {
        Some(if window == 0 { base & BASE_ADDRESS } else { window })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_follows_the_base_register() {
        assert_eq!(page(0xfee0_0100, 0), None, "disabled");
        assert_eq!(page(0xfee0_0500, 0), None, "an invalid state: the x2APIC bit alone");
        assert_eq!(page(0xfee0_0900, 0), Some(0xfee0_0000));
        assert_eq!(page(0xfee0_0d00, 0), Some(X2APIC));
        assert_eq!(page(0xfee0_0900, 0xffff_8000_0000_0000), Some(0xffff_8000_0000_0000));
        assert_eq!(page(0xfff0_000f_fee0_0900, 0), Some(0xf_fee0_0000), "bits above 51 are reserved");
    }
}
