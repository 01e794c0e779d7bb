#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

#[macro_use]
mod site;

pub mod apic;
pub mod cpu;
mod error;
pub mod fixup;
mod init;
pub mod io;
pub mod irq;
mod layers;
mod masked;
pub mod mmu;
pub mod patch;
pub mod power;
mod report;
mod set;
mod sites;
mod state;
pub mod time;

/// The project's front page, whose example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod front_page {}

pub use error::{Error, Flaw};
pub use init::{init, init_on, native_table, resume, table, teardown};
pub use layers::BACKENDS_MAX;
pub use report::{Report, SiteCounts};
pub use set::{Registered, SiteSet};
pub use vmi_abi::{Backend, Bottom, CommandLine, Fault, Op, Platform, Text};

#[doc(hidden)]
pub use vmi_abi::columns as __columns;
#[doc(hidden)]
pub use vmi_native::{__fixup, __form, __label, __native_text, __tied_section};
