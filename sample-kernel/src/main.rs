//! The smallest kernel that uses everything of VMI, and its test guest.
//!
//! It boots by PVH on QEMU's pc, q35 and microvm, has the library choose a backend, prints the report, and then checks
//! every op for its effect: before `vmi::init`, after it, and after the teardown. Words on the command line pick what
//! runs; `kernel/command.rs` lists them.
//!
//! Built for the machine it is built on, it is a program that says so.

#![cfg_attr(freestanding, no_std, no_main)]

#[cfg(freestanding)]
mod kernel;
#[cfg_attr(not(any(freestanding, test)), expect(dead_code, reason = "only its tests run here"))]
mod start_info;

#[cfg(not(freestanding))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "sample-kernel is a kernel: `cargo xtask boot --host tcg` builds it for a bare machine and boots it"
    );
    std::process::ExitCode::FAILURE
}
