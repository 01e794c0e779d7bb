#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod apic;
mod cpu;
mod insn;
mod io;
mod irq;
mod mmu;
mod native;
mod power;
mod time;

pub use apic::set_window;
pub use native::Native;
pub use power::{AcpiError, use_acpi};
pub use time::{pm_timer, set_frequency, set_pm_timer, started};
