#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod backend;
mod enabled;
mod features;
pub mod hypercall;
mod insn;
mod io;
pub mod msr;
mod per_cpu;
mod probe;
pub mod pvclock;
mod registration;
mod time;
pub mod wall_clock;

pub use backend::{BACKEND, Kvm};
pub use features::{Features, Hints};
pub use probe::{Found, probe};
