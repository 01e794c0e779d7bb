//! What was counted: exits by kind, by CPU and by guest address, between the marks that the guest sets.
//!
//! There are three sources, because no single one sees everything:
//!
//! - **user**: exits that reach this program, counted here. Always exact; by address where statistics are asked for.
//! - **kernel**: all exits of the guest's CPUs, also those that KVM serves itself, by address and reason, from the
//!   event `kvm:kvm_exit` of Linux's tracing. Exact; takes the right to use tracefs.
//! - **counters**: what KVM counted for each CPU, by its own names, from its binary statistics. Exact totals.

mod book;
mod counters;
mod kind;
mod reason;
mod statistics;
mod symbols;
mod table;
mod trace;

pub(crate) use book::Book;
pub(crate) use counters::Counters;
pub use kind::Kind;
pub(crate) use reason::Vendor;
pub use statistics::{Count, KernelCount, Mark, Place, Span, Statistics};
