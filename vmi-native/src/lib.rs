#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

#[macro_use]
mod operands;
#[macro_use]
mod text;

mod apic;
mod bottom;
mod insn;
mod irq;
mod mmu;
mod native;
mod power;
mod time;

pub use apic::set_window;
pub use bottom::BareMetal;
#[doc(hidden)]
pub use native::functions;
pub use native::{Native, NativeForm, TABLE};
pub use power::{AcpiError, use_acpi};
pub use time::{pm_timer, set_frequency, set_pm_timer, started};
#[doc(hidden)]
pub use vmi_abi::Value;
