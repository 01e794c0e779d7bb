//! What lies under all layers on bare metal.

// UNSAFETY: implements an unsafe trait.
#![expect(unsafe_code)]

use crate::{Native, native::TABLE};
use vmi_abi::{Bottom, Cpu, Irq, Table, cpuid::Cpuid};

/// Bare metal in ring 0: every op is native, and so is what the library needs for itself.
#[derive(Clone, Copy, Debug)]
pub struct BareMetal;

// SAFETY: the functions are the native ones; interrupts are masked by the flag, and CPUID serialises (Intel SDM, Volume 3,
// "Handling Self- and Cross-Modifying Code").
unsafe impl Bottom for BareMetal {
    fn table(&self) -> &'static Table {
        &TABLE
    }

    fn mask(&self) -> u64 {
        let before = Native::save();
        Native::disable();
        before
    }

    unsafe fn unmask(&self, before: u64) {
        // SAFETY: these are the flags that this CPU had.
        unsafe { Native::restore(before) };
    }

    fn serialise(&self) {
        let _ = Native::cpuid(0, 0);
    }

    fn cpuid(&self) -> &Cpuid<'_> {
        &Native::cpuid
    }
}
