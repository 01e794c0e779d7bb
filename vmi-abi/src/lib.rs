#![no_std]
#![doc = include_str!("../README.md")]

mod backend;
mod class;
mod command_line;
pub mod cpuid;
mod define;
mod fixup;
mod leaf;
mod operands;
mod ops;
mod overrides;
mod platform;
pub mod port_call;
mod site;
#[doc(hidden)]
pub mod word;

pub use backend::{Backend, EnableError, Offer, Rank};
pub use class::Class;
pub use command_line::CommandLine;
pub use define::{
    Apic, Cpu, Io, Irq, Mmu, Op, Overrides, Power, Table, Time, apic, cpu, io, irq, mmu, power, time,
};
pub use fixup::Fixup;
pub use leaf::Leaf;
#[doc(hidden)]
pub use leaf::LeafFrame;
#[doc(hidden)]
pub use overrides::Entry;
pub use overrides::{Erased, Inline, Override};
pub use platform::Platform;
pub use site::{SITE_LEN_MAX, SITE_LEN_MIN, Site};
pub use word::{Fault, Word};
