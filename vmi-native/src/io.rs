//! I/O ports.

// UNSAFETY: implements unsafe methods by port instructions.
#![expect(unsafe_code)]

use crate::{Native, insn};
use vmi_abi::Io;

impl Io for Native {
    #[inline]
    fn delay() {
        insn::delay();
    }

    #[inline]
    unsafe fn in8(port: u16) -> u8 {
        // SAFETY: the caller ensures that the port may be read.
        unsafe { insn::in8(port) }
    }

    #[inline]
    unsafe fn in16(port: u16) -> u16 {
        // SAFETY: the caller ensures that the port may be read.
        unsafe { insn::in16(port) }
    }

    #[inline]
    unsafe fn in32(port: u16) -> u32 {
        // SAFETY: the caller ensures that the port may be read.
        unsafe { insn::in32(port) }
    }

    #[inline]
    unsafe fn out8(port: u16, value: u8) {
        // SAFETY: the caller ensures that the port may be written.
        unsafe { insn::out8(port, value) };
    }

    #[inline]
    unsafe fn out16(port: u16, value: u16) {
        // SAFETY: the caller ensures that the port may be written.
        unsafe { insn::out16(port, value) };
    }

    #[inline]
    unsafe fn out32(port: u16, value: u32) {
        // SAFETY: the caller ensures that the port may be written.
        unsafe { insn::out32(port, value) };
    }
}
