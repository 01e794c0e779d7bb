//! VMI's calls by port: what a VMI guest and a VMI host say to each other, beside KVM's own hypercalls.
//!
//! # Where it is
//!
//! The host announces the interface by CPUID leaves with the signature [`SIGNATURE`] at any base that
//! [`Machine`](crate::Machine) looks at, so that it stands beside KVM's:
//!
//! | leaf | EAX | EBX | ECX | EDX |
//! | --- | --- | --- | --- | --- |
//! | base | last leaf, base + 2 | `VMIV` | `MIVM` | `IVMI` |
//! | base + 1 | [`Version`] | [`Features`] | most calls in a batch | [`Hints`] |
//! | base + 2 | call port | doorbell port | [`Implementation::id`] | [`Implementation::version`] |
//!
//! # How a call is made
//!
//! Ports, not `vmcall`, because KVM answers every number that it does not know itself, by −1000, and its user space
//! never hears of it. The numbers of [`Number`] lie outside KVM's all the same, so that none is ever confused.
//!
//! A **batch** is a [`Header`] at the start of a page and up to [`CALLS_MAX`] [`Call`]s right behind it, in one piece of
//! guest-physical memory. The guest sets the header's status to [`Status::ASKED`] and writes the page number, four
//! bytes, to the call port. That is one exit, and behind it every call is answered. One page holds [`CALLS_PER_PAGE`] calls; a larger batch reaches into the pages behind.
//! Nothing is registered for this, so nothing has to be undone: the host touches the batch during that one
//! instruction and forgets it.
//!
//! What needs no answer now can be **posted**: [`Number::POST_BLOCK`] tells the host once where this CPU's block is; then
//! the guest sets a header's status to [`Status::POSTED`], and a write of four bytes to the doorbell port, of any value,
//! has it looked at soon. That is no exit to the host's user space. Rings add up or melt into one. A block is answered
//! once, and is the host's from the one change of its status to the next.
//!
//! A batch holds up its CPU until it is answered, and with it what the host's thread would do meanwhile. One that is
//! [partial](HeaderFlags::PARTIAL) the host may give back early.
//!
//! # What each side promises
//!
//! - The guest names in each header the [`Version`] and the [`Features`] that it uses. The host refuses a batch with a
//!   major version or a feature that it does not know, whole; the guest refuses a host with another major version.
//! - Numbers, statuses, features and fields are append-only. Reserved fields are zero, and a header in which they are
//!   not is refused: they are room for a later minor version.
//! - The host copies a header and each call once. What the guest changes meanwhile decides nothing but what the guest
//!   gets.
//! - The host writes `result` and `status` of calls, `done` and `status` of the header, and where a call asks for it,
//!   and nothing else. The header's status is written last.
//! - A reset of the machine undoes every registration, as [`OFF`] does: when it is over the host writes nothing more.

mod announcement;
mod block;
mod features;
mod implementation;
mod number;
mod statistics;
mod status;
mod version;
mod wire;

pub use announcement::{Announcement, LEAVES, SIGNATURE};
pub use block::{CALLS_MAX, CALLS_PER_PAGE, Call, Header, HeaderFlags, MAGIC, OFF, PAGE_BYTES, block_bytes};
pub use features::{Features, Hints};
pub use implementation::Implementation;
pub use number::{LINE_BYTES_MAX, Number, Range};
pub use statistics::Statistics;
pub use status::Status;
pub use version::Version;
