//! No instructions, in places where the compiler must believe that there are some.

// UNSAFETY: assembly, of no instruction.
#![expect(unsafe_code)]

use core::arch::asm;

/// Does nothing, once for each call: a loop around it stays a loop.
#[inline(always)]
pub fn nothing() {
    // SAFETY: no instruction.
    unsafe { asm!("", options(nomem, nostack, preserves_flags)) };
}

/// Uses a value that is in a register anyway.
#[inline(always)]
pub fn keep(value: u64) {
    // SAFETY: no instruction.
    unsafe { asm!("/* {} */", in(reg) value, options(nomem, nostack, preserves_flags)) };
}
