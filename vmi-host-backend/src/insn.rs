//! The instructions: everything in this crate that is written in assembly.

// UNSAFETY: assembly.
#![expect(unsafe_code)]

use core::arch::asm;

/// Writes four bytes to a port, behind which a host reads and writes this kernel's memory.
///
/// # Safety
///
/// - Called in ring 0, of the machine that has the port.
/// - What the write does is what the kernel expects; memory that the host finds through it is the kernel's to give.
pub(crate) unsafe fn out32(port: u16, value: u32) {
    // SAFETY: the caller's promises. Without `nomem`: the host reads and writes memory. Neither flags nor stack are
    // touched.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)) };
}
