//! This CPU's local interrupt controller: Intel SDM, volume 3, "Advanced Programmable Interrupt Controller
//! (APIC)".

// UNSAFETY: writes the controller's registers.
#![expect(unsafe_code)]

use crate::Native;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vmi_abi::Cpu;
use x86_64::registers::model_specific::ApicBaseFlags;

const IA32_APIC_BASE: u32 = 0x1b;
const X2APIC_EOI: u32 = 0x80b;
const XAPIC_EOI: u64 = 0xb0;
/// Bits 12 to 51: the widest physical address there is.
const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Where the kernel said the xAPIC page is mapped; 0 stands for its physical address.
static WINDOW: AtomicU64 = AtomicU64::new(0);

const UNKNOWN: u64 = 0;
const X2APIC: u64 = 1;
/// Where an interrupt is ended: [`UNKNOWN`], [`X2APIC`], or the virtual address of the xAPIC's EOI register.
static EOI: AtomicU64 = AtomicU64::new(UNKNOWN);

/// Says at which virtual address the page of xAPIC registers is mapped, 0 for its physical address, and that
/// the mode is to be found anew.
///
/// Without this call the page is expected at its physical address (0xfee0_0000 out of reset). A kernel that
/// switches to x2APIC mode after it has ended an interrupt calls this after the switch; all CPUs are in the
/// same mode.
///
/// # Safety
///
/// - The page stays mapped there, writable and uncached, as long as interrupts are ended in xAPIC mode.
pub unsafe fn set_window(virtual_address: u64) {
    WINDOW.store(virtual_address, Relaxed);
    EOI.store(UNKNOWN, Relaxed);
}

/// Finds the mode at the first call and keeps it, see [`set_window`]. Does nothing on a CPU without a
/// local APIC or with a disabled one, and looks again at the next call.
///
/// # Safety
///
/// - As the op's.
#[inline]
pub(crate) unsafe fn eoi() {
    match EOI.load(Relaxed) {
        UNKNOWN => {
            let Some(found) = find() else { return };
            EOI.store(found, Relaxed);
            end(found);
        }
        known => end(known),
    }
}

/// Ends the interrupt in service: 0 is the only value the register takes.
#[inline]
fn end(eoi: u64) {
    if eoi == X2APIC {
        // SAFETY: the controller is in the mode that has this MSR.
        unsafe { Native::write_msr(X2APIC_EOI, 0) };
    } else {
        // SAFETY: the kernel ensured by `set_window`, or by not calling it, that the register's page is
        // mapped here.
        unsafe { (eoi as *mut u32).write_volatile(0) };
    }
}

/// Returns where interrupts are ended, or `None` where the controller is missing or disabled.
#[cold]
fn find() -> Option<u64> {
    // CPUID leaf 1, EDX bit 9. Where it is clear the MSR may be missing.
    if Native::cpuid(1, 0).edx & 1 << 9 == 0 {
        return None;
    }
    // SAFETY: a CPU with a local APIC has the MSR, and reading it has no effect.
    let base = unsafe { Native::read_msr(IA32_APIC_BASE) };
    eoi_register(base, WINDOW.load(Relaxed))
}

/// Returns where interrupts are ended by the value of IA32_APIC_BASE.
fn eoi_register(base: u64, window: u64) -> Option<u64> {
    let flags = ApicBaseFlags::from_bits_truncate(base);
    if !flags.contains(ApicBaseFlags::LAPIC_ENABLE) {
        None
    } else if flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
        Some(X2APIC)
    } else {
        Some(if window == 0 { base & BASE_ADDRESS } else { window } + XAPIC_EOI)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_follows_the_base_register() {
        assert_eq!(eoi_register(0xfee0_0100, 0), None, "disabled");
        assert_eq!(eoi_register(0xfee0_0500, 0), None, "an invalid state: the x2APIC bit alone");
        assert_eq!(eoi_register(0xfee0_0900, 0), Some(0xfee0_00b0));
        assert_eq!(eoi_register(0xfee0_0d00, 0), Some(X2APIC));
        assert_eq!(eoi_register(0xfee0_0900, 0xffff_8000_0000_0000), Some(0xffff_8000_0000_00b0));
        assert_eq!(eoi_register(0xfff0_000f_fee0_0900, 0), Some(0xf_fee0_00b0), "bits above 51 are reserved");
    }
}
