//! Calls into KVM.
//!
//! [`Hypercall::detect`] says whether there is a KVM to call, and grants the right to make a call, where the host has the
//! feature that the call needs. What was [`Granted`] takes no memory and tests nothing: a call is the number and its
//! arguments in the registers where KVM wants them, and a `call` to a stub, which is the instruction and a `ret`.
//!
//! The first right that is granted chooses the stub, by the vendor that CPUID names. That name may be another's: then KVM
//! would rewrite the instruction, which it cannot in read-only text, and has it fault. A fixup makes that an answer: the
//! other instruction is tried, once, and serves from then on; where it faults too, KVM has no such call.
//!
//! Source of convention, numbers and results: KVM documentation, "Linux KVM Hypercall"; of the rewriting and of what stands
//! in its place: "KVM_CAP_DISABLE_QUIRKS2", `KVM_X86_QUIRK_FIX_HYPERCALL_INSN`.
//!
//! # Examples
//!
//! ```no_run
//! use vmi_abi::{CommandLine, Machine};
//! use vmi_kvm_backend::hypercall::{Hypercall, KickCpu, decode};
//!
//! let cpuid = |leaf, subleaf| core::arch::x86_64::__cpuid_count(leaf, subleaf);
//! let kvm = Hypercall::detect(&Machine::new(&cpuid, CommandLine::default()));
//! if let Some(kick) = kvm.and_then(Hypercall::grant::<KickCpu>) {
//!     // The CPU with APIC id 1; no flags.
//!     let answer = unsafe { kick.call([0, 1]) };
//!     decode(answer).expect("a halted CPU to wake");
//! }
//! ```

mod answer;
mod arguments;
mod caller;
mod calls;
mod stub;

pub use answer::{Error, decode};
pub use arguments::Arguments;
pub use caller::{Granted, Hypercall};
pub use calls::{Call, ClockPairing, KickCpu, MapGpaRange, Number, SchedYield, SendIpi, VapicPollIrq};
pub(crate) use stub::STUB;
