//! A row of the op list, as data.

use crate::Class;

/// A row of the op list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The op's number.
    pub number: u16,
    /// The op's name, `group::name`.
    pub name: &'static str,
    /// The group.
    pub group: &'static str,
    /// The documentation, a line each.
    pub doc: &'static [&'static str],
    /// What a replacement may touch.
    pub class: Class,
    /// Whether the caller has something to promise.
    pub is_unsafe: bool,
    /// The operands.
    pub inputs: &'static [Input],
    /// The type of the result, in Rust.
    pub result: &'static str,
    /// Where the result of a leaf op lies.
    pub outputs: &'static [Output],
    /// The native form in Intel syntax: an instruction, or, of a call op, what its function is made of where a few
    /// instructions say it.
    pub native: &'static str,
    /// The prefix that fills the native form up in front.
    pub fill: u8,
    /// On which stack its sites may stand.
    pub stack: Stack,
    /// Minor version of the table in which it is new.
    pub since: u16,
    /// The queue that may hold it back.
    pub defer: Option<Queue>,
    /// Whether a site may do nothing instead: the op has no result, no operand on the stack, and its row does not forbid
    /// it.
    pub may_be_nothing: bool,
}

/// An operand of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// The name.
    pub name: &'static str,
    /// The type, in Rust.
    pub type_name: &'static str,
    /// Where it lies, of a leaf op. A call op's operands lie where the `sysv64` convention has them.
    pub places: &'static [Place],
}

/// A part of the result of a leaf op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The name: `fault` says that the access raised a general-protection fault.
    pub name: &'static str,
    /// Where it lies.
    pub place: Place,
}

/// Bits of a value in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The register's name, or `stack` for the slot at the top of the stack.
    pub register: &'static str,
    /// The first bit of the value that lies there.
    pub low: u8,
    /// The bit behind the last one.
    pub high: u8,
}

/// On which stack the sites of an op may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stack {
    /// The kernel's own: below it nothing lives, and a call may push there.
    Kernel,
    /// Any, also a foreign one: a site holds inline text or nothing, never a call.
    Any,
}

/// A queue of updates, in which an op may wait until the queue is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Queue {
    /// Of page tables and translations.
    Mmu,
    /// Of a CPU's registers.
    Cpu,
    /// Of descriptor tables.
    Descriptors,
}
