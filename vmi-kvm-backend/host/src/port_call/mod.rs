//! VMI's calls by port, host side: what is done with a batch of them.
//!
//! [`vmi_abi::port_call`] says what the guest may ask. [`PortCalls`] is all that a virtual machine keeps of it; it knows
//! nothing of KVM. The machine's monitor hands it guest memory ([`GuestRam`]) and what it can do ([`Services`]), and
//!
//! - puts the leaves of [`PortCalls::announcement`] beside KVM's, in the CPUID of every vCPU;
//! - calls [`PortCalls::call`] when a vCPU wrote to the call port, before that vCPU runs on;
//! - has the doorbell port, 4 bytes, signal an eventfd (`KVM_IOEVENTFD` without datamatch), reads that on a thread of its
//!   own and calls [`PortCalls::doorbell`] with the count. Where KVM has no such thing, a write to the port that exits is
//!   one ring.
//!
//! # What a hostile guest can do
//!
//! Get refusals. The rules by which that holds, each with its test in `tests` and all of them tried by `hostile`:
//!
//! - A header and each call are copied once, and only the copy is looked at; what the guest changes meanwhile is seen
//!   not at all or once.
//! - Every address is checked with its length, without wrap-around, before anything is done.
//! - At most [`CALLS_MAX`](vmi_abi::port_call::CALLS_MAX) calls are gone through, and no memory is allocated. A partial batch
//!   is given back after 50 µs.
//! - Written is only to the batch itself, and by `STATISTICS` where the guest wants them; a page that does not start as
//!   a batch is not written to at all.

mod calls;
mod counters;
mod guest_ram;
#[cfg(any(test, feature = "hostile"))]
pub(crate) mod hostile;
#[cfg(any(test, feature = "hostile"))]
mod model;
mod processor;
mod services;
#[cfg(test)]
mod tests;

pub use guest_ram::{Fault, GuestRam};
pub use processor::PortCalls;
pub use services::{Exits, Services, Unable};
