//! The power management timer: ACPI specification, "Power Management Timer".

// UNSAFETY: reads the timer's port.
#![expect(unsafe_code)]

use super::measure::{Reference, Sample};
use crate::{Native, insn};
use core::{
    num::NonZeroU16,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};
use vmi_abi::Io;

/// The timer's port, 0 for none.
static PORT: AtomicU16 = AtomicU16::new(0);

/// Says which I/O port the ACPI power management timer has, 0 for none: FADT field PM_TMR_BLK.
///
/// It is a source of the counter's frequency where there is no other. [`use_acpi`](crate::use_acpi) calls
/// this by itself.
///
/// # Safety
///
/// - Reading 4 bytes of the port has no effect but on the timer.
pub unsafe fn set_pm_timer(port: u16) {
    PORT.store(port, Relaxed);
}

/// Returns the timer's port, if [`set_pm_timer`] told of one.
pub fn pm_timer() -> Option<NonZeroU16> {
    NonZeroU16::new(PORT.load(Relaxed))
}

/// The timer the kernel told of.
pub(super) struct PmTimer {
    port: u16,
}

impl PmTimer {
    /// Returns the timer, if the kernel told of one.
    pub(super) fn told() -> Option<Self> {
        pm_timer().map(|port| Self { port: port.get() })
    }
}

impl Reference for PmTimer {
    const HZ: u64 = 3_579_545;
    /// It may count in 32 bits; the upper 8 are left alone.
    const MASK: u32 = 0xff_ffff;

    fn sample(&mut self) -> Option<Sample> {
        let before = insn::lfence_rdtsc();
        // SAFETY: the caller of `set_pm_timer` ensured that reading the port is harmless.
        let ticks = unsafe { Native::in32(self.port) };
        let after = insn::lfence_rdtsc();
        is_answered(ticks).then_some(Sample { before, ticks, after })
    }
}

/// Tells whether a timer answered: without one all bits are set, as where a hypervisor keeps the port from its guest.
/// A timer of 32 bits says so once in 20 minutes, and then only the measurement is made anew.
fn is_answered(ticks: u32) -> bool {
    ticks != u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_nobody_answers_is_no_timer() {
        assert!(!is_answered(u32::MAX));
        assert!(is_answered(0xff_ffff));
        assert!(is_answered(0));
    }
}
