//! Registers and counters of this CPU.
//!
//! Values have a type where the type costs nothing; CR2 and CR3 are plain because taking them apart costs instructions.

// UNSAFETY: hands on the contracts of privileged instructions.
#![expect(unsafe_code)]

use x86_64::registers::control::{Cr0Flags, Cr4Flags};

use crate::sites;

pub use crate::sites::cpu::*;

/// Returns CR0, with reserved bits as they are.
#[inline(always)]
pub fn read_cr0() -> Cr0Flags {
    Cr0Flags::from_bits_retain(sites::cpu::read_cr0())
}

/// Sets CR0.
///
/// # Safety
///
/// - The modes that the value selects are ones that the running code, its stack and its page tables are made for.
/// - Reserved bits are as [`read_cr0`] returned them.
#[inline(always)]
pub unsafe fn write_cr0(value: Cr0Flags) {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::write_cr0(value.bits()) }
}

/// Returns CR4, with reserved bits as they are.
#[inline(always)]
pub fn read_cr4() -> Cr4Flags {
    Cr4Flags::from_bits_retain(sites::cpu::read_cr4())
}

/// Sets CR4.
///
/// # Safety
///
/// - The CPU has the features that the value enables, and the running code and page tables are made for them.
#[inline(always)]
pub unsafe fn write_cr4(value: Cr4Flags) {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::write_cr4(value.bits()) }
}
