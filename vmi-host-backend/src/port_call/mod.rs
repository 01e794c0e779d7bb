//! Calls to a VMI host: many in one exit, and what needs no answer without one.
//!
//! [`vmi_abi::port_call`] is what both sides agree on. A kernel asks whether its host speaks it, gives each CPU a
//! [`Block`] of memory, and calls:
//!
//! ```no_run
//! use vmi_abi::{CommandLine, Machine};
//! use vmi_host_backend::port_call::{Announced, Block, CALLS_OF_PAGE};
//!
//! static BLOCK: Block<CALLS_OF_PAGE> = Block::new();
//!
//! # fn cpuid(leaf: u32, subleaf: u32) -> core::arch::x86_64::CpuidResult { unimplemented!() }
//! # fn physical_address(pointer: *const u8) -> u64 { unimplemented!() }
//! let Some(announced) = Announced::detect(&Machine::new(&cpuid, CommandLine::default())) else { return };
//! // SAFETY: ring 0 of the machine whose CPUID this is, at the block's own address.
//! let Ok(host) = (unsafe { announced.open(&BLOCK, physical_address(BLOCK.address())) }) else { return };
//! if host.console_line(b"one line, one exit").is_err() {
//!     // The host does not serve it, or this call came in the middle of another: print it another way.
//! }
//! ```
//!
//! A long batch is better sent by [`Batch::send_in_parts`], where the host [advises](Announced::hints) so or where interrupts
//! should not wait for its end.
//!
//! Nothing here waits: a block that is in use, by the code that an exception interrupted, or by the host that has a
//! posted batch, is an [`Error::Busy`]. No word of the host is trusted: an answer is a value or a status, and what was
//! not answered is [`Error::NotServed`].

mod announced;
mod batch;
mod block;
mod calls;
mod error;
#[cfg(test)]
mod tests;

pub use announced::Announced;
pub use batch::{Answers, Batch};
pub use block::{Block, CALLS_OF_PAGE, DATA_BYTES};
pub use calls::Caller;
pub use error::Error;
