//! This CPU's local interrupt controller.

// UNSAFETY: hands on the contract of a device access.
#![expect(unsafe_code)]

use crate::sites;

pub use vmi_native::set_window;

/// Ends the interrupt in service.
///
/// # Safety
///
/// - The local APIC's page is mapped at its physical address, or where [`set_window`] said.
/// - An interrupt of the local APIC is in service and its handler is done with the device.
#[inline(always)]
pub unsafe fn eoi() {
    // SAFETY: the caller's promises are the op's.
    unsafe { sites::apic::eoi() }
}
