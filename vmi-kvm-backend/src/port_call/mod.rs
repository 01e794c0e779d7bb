//! Calls to a VMI host, beside KVM's own hypercalls: many in one exit, and what needs no answer without one.
//!
//! [`vmi_abi::port_call`] is what both sides agree on. A kernel asks whether its host speaks it, gives each CPU a
//! [`Block`] of memory, and calls:
//!
//! ```no_run
//! use vmi_kvm_backend::port_call::{Announced, Block, CALLS_OF_PAGE};
//!
//! static BLOCK: Block<CALLS_OF_PAGE> = Block::new();
//!
//! # fn cpuid(leaf: u32, subleaf: u32) -> core::arch::x86_64::CpuidResult { unimplemented!() }
//! # fn physical_address(pointer: *const u8) -> u64 { unimplemented!() }
//! let Some(announced) = Announced::detect(&cpuid) else { return };
//! // SAFETY: ring 0 of the machine whose CPUID this is, at the block's own address.
//! let Ok(host) = (unsafe { announced.open(&BLOCK, physical_address(BLOCK.address())) }) else { return };
//! if host.console_line(b"one line, one exit").is_err() {
//!     // The host does not serve it, or this call came in the middle of another: print it another way.
//! }
//! ```
//!
//! Nothing here waits: a block that is in use, by the code that an exception interrupted, or by the host that has a
//! posted batch, is an [`Error::Busy`]. No word of the host is trusted: an answer is a value or a status, and what was
//! not answered is [`Error::NotServed`].

mod announced;
mod batch;
mod block;
mod calls;
mod error;
pub(crate) mod own;
#[cfg(test)]
mod tests;

/// The word on the kernel's command line that has the backend make no VMI calls. A kernel's own calls are its own.
pub(crate) const OFF: &str = "no-vmi";

pub use announced::Announced;
pub use batch::{Answers, Batch};
pub use block::{Block, CALLS_OF_PAGE, DATA_BYTES};
pub use calls::Caller;
pub use error::Error;
