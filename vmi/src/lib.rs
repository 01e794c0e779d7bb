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
pub mod mmu;
mod native;
pub mod patch;
pub mod power;
mod report;
mod sites;
pub mod time;

/// The project's front page, whose example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod front_page {}

pub use error::{Error, Flaw};
pub use init::{init, table, teardown};
pub use report::{BACKENDS_MAX, Report, SiteCounts};
pub use vmi_abi::{Backend, CommandLine, Fault, Op, Platform};
