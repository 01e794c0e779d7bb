#![no_std]
#![doc = include_str!("../README.md")]

mod backend;
mod bottom;
mod class;
mod columns;
mod command_line;
pub mod cpuid;
mod fixup;
mod group;
mod info;
mod leaf;
mod machine;
mod op;
mod ops;
mod overrides;
mod platform;
pub mod port_call;
mod record;
mod replacements;
mod table;
mod text;
#[doc(hidden)]
pub mod value;

pub use backend::{Backend, EnableError, Offer, Rank};
pub use bottom::Bottom;
pub use class::Class;
pub use command_line::CommandLine;
pub use fixup::Fixup;
pub use group::{Apic, Cpu, Io, Irq, Mmu, Power, Time};
pub use info::{Info, Input, Output, Place, Queue, Stack};
pub use leaf::Leaf;
#[doc(hidden)]
pub use leaf::LeafFrame;
pub use machine::Machine;
pub use op::{Op, Operation, apic, cpu, io, irq, mmu, power, time};
#[doc(hidden)]
pub use overrides::Entry;
pub use overrides::{Inline, Override};
pub use platform::Platform;
pub use record::{SITE_LEN_MAX, SITE_LEN_MIN, SiteRecord};
pub use replacements::Replacements;
pub use table::{Table, TableError, TableView};
pub use text::Text;
pub use value::{Fault, Value};
