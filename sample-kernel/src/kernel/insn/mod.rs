//! Where the kernel's own assembly is, but for the stubs of `boot.s`, `memory.s` and `trap.rs`.

pub mod attempt;
pub mod bare;
pub mod canary;
pub mod control;
pub mod forms;
pub mod hypercall;
pub mod indirect;
pub mod keep;
pub mod leave;
pub mod module;
pub mod port;
pub mod selftest;
pub mod shadow;
pub mod steps;
