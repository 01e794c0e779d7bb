//! The machine's power switch.

use crate::sites;

pub use vmi_native::{AcpiError, use_acpi};

/// Switches the machine off.
///
/// Comes back only where nothing known can do it: natively that takes ACPI's word ([`use_acpi`]). The kernel may then
/// say that it is safe to switch off by hand.
#[inline(always)]
pub fn shutdown() {
    sites::power::shutdown()
}

/// Resets the machine. Comes back only where nothing known can do it.
#[inline(always)]
pub fn reboot() {
    sites::power::reboot()
}
