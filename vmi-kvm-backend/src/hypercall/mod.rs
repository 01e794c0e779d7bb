//! Calls into KVM.
//!
//! [`Hypercall::detect`] says with which instruction this CPU calls KVM, if there is a KVM to call: a [`Caller`] of that
//! instruction. It grants the right to make a call, where the host has the feature that the call needs. Both are asked
//! once; what was [`Granted`] takes no memory and tests nothing, so that a call is the instruction in place, its number and
//! its arguments in the registers where KVM wants them, and nothing else.
//!
//! Source of convention, numbers and results: KVM documentation, "Linux KVM Hypercall".
//!
//! # Examples
//!
//! A kernel chooses once, and is generic over the instruction from there on:
//!
//! ```no_run
//! use vmi_kvm_backend::hypercall::{Caller, Hypercall, Instruction, KickCpu, decode};
//!
//! fn run<I: Instruction>(caller: Caller<I>) {
//!     if let Some(kick) = caller.grant::<KickCpu>() {
//!         // The CPU with APIC id 1; no flags.
//!         let answer = unsafe { kick.call([0, 1]) };
//!         decode(answer).expect("a halted CPU to wake");
//!     }
//! }
//!
//! match Hypercall::detect(&|leaf, subleaf| core::arch::x86_64::__cpuid_count(leaf, subleaf)) {
//!     Some(Hypercall::Vmcall(caller)) => run(caller),
//!     Some(Hypercall::Vmmcall(caller)) => run(caller),
//!     None => {}
//! }
//! ```

mod answer;
mod caller;
mod calls;
mod instruction;

pub use answer::{Error, decode};
pub use caller::{Caller, Granted, Hypercall};
pub use calls::{Call, ClockPairing, KickCpu, MapGpaRange, Number, SchedYield, SendIpi, VapicPollIrq};
pub use instruction::{Arguments, Instruction, Vmcall, Vmmcall};
