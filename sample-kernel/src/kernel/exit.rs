//! The end of a run, as the host sees it.

// UNSAFETY: writes to the exit device's port.
#![expect(unsafe_code)]

use vmi_abi::{Io, Irq, Power};
use vmi_native::Native;

/// The port of QEMU's `isa-debug-exit`: writing `v` ends QEMU with status `v << 1 | 1`, odd and so never QEMU's own 0,
/// and above 1, which is how QEMU itself fails.
const DEBUG_EXIT: u16 = 0xf4;

/// How a run ended.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Code {
    /// Every check passed.
    Passed = 0x10,
    /// A check failed, or the kernel did.
    Failed = 0x11,
}

/// Ends the run, without a site: exceptions end here too. On a machine without the exit device it switches the machine off, or at least rests.
pub fn exit(code: Code) -> ! {
    <Native as Irq>::disable();
    // SAFETY: the exit device ends the run; on a machine without it the port is nobody's.
    unsafe { <Native as Io>::out8(DEBUG_EXIT, code as u8) };
    <Native as Power>::shutdown();
    loop {
        <Native as Irq>::halt();
    }
}
