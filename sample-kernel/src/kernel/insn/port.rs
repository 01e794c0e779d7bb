//! Many accesses to a port by one instruction.

// UNSAFETY: accesses ports.
#![expect(unsafe_code)]

use core::arch::asm;

/// Writes bytes to a port, one after the other.
///
/// # Safety
///
/// - The device behind the port does nothing with the bytes that the kernel does not expect.
pub unsafe fn write_string(port: u16, bytes: &[u8]) {
    // SAFETY: the bytes are there to be read, the direction flag is clear, and the caller vouches for the port.
    unsafe {
        asm!(
            "rep outsb",
            in("dx") port,
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            options(readonly, nostack, preserves_flags),
        );
    }
}
