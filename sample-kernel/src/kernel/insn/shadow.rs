//! The instructions around a halt: an interrupt that is requested while interrupts are off must come during the halt.

// UNSAFETY: enables interrupts.
#![expect(unsafe_code)]

use core::arch::asm;

/// Enables interrupts, from behind the next instruction on, which is what the caller does next.
#[inline(always)]
pub fn enable() {
    // SAFETY: the kernel has handlers.
    unsafe { asm!("sti", options(nostack, preserves_flags)) };
}

/// Lets a requested interrupt in if none has been, and disables them. Interrupts are enabled, since the last instruction
/// or earlier.
#[inline(always)]
pub fn let_in_and_disable() {
    // SAFETY: the kernel has handlers. The shadow of an `sti` in front covers the first instruction.
    unsafe { asm!("nop", "cli", options(nostack, preserves_flags)) };
}
