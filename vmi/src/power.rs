//! The machine's power switch.

pub use crate::sites::power::*;
pub use vmi_native::{AcpiError, use_acpi};
