//! I/O ports.

// UNSAFETY: hands on the contracts of port accesses.
#![expect(unsafe_code)]

use crate::sites;

/// Waits as long as a slow device on the bus needs between two accesses.
#[inline(always)]
pub fn delay() {
    sites::io::delay()
}

macro_rules! ports {
    ($( $in:ident $out:ident $type:ident $bytes:literal )*) => { $(
        #[doc = concat!("Reads ", $bytes, " from a port.")]
        ///
        /// # Safety
        ///
        /// - Reading the port has no effect that the kernel does not expect.
        #[inline(always)]
        pub unsafe fn $in(port: u16) -> $type {
            // SAFETY: the caller's promises are the instruction's.
            unsafe { sites::io::$in(port) }
        }

        #[doc = concat!("Writes ", $bytes, " to a port.")]
        ///
        /// # Safety
        ///
        /// - The device behind the port does nothing with the value that the kernel does not expect.
        #[inline(always)]
        pub unsafe fn $out(port: u16, value: $type) {
            // SAFETY: the caller's promises are the instruction's.
            unsafe { sites::io::$out(port, value) }
        }
    )* };
}

ports! {
    in8 out8 u8 "a byte"
    in16 out16 u16 "two bytes"
    in32 out32 u32 "four bytes"
}
