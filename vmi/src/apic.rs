//! This CPU's local interrupt controller.

pub use crate::sites::apic::*;
pub use vmi_native::set_window;
