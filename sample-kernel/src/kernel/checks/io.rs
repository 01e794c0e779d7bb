//! Checks of port accesses, by COM1's scratch register: the last of eight byte registers, so that wider accesses that
//! end at it reach it too.

// UNSAFETY: accesses ports.
#![expect(unsafe_code)]

use vmi_abi::Io;
use vmi_native::Native;

use super::{Check, PASSED};
use crate::kernel::tally::{Verdict, equal};

pub const CHECKS: &[Check] = &[
    ("io::delay", delay),
    ("io::in8", in8),
    ("io::in16", in16),
    ("io::in32", in32),
    ("io::out8", out8),
    ("io::out16", out16),
    ("io::out32", out32),
];

/// Source: PC16550D datasheet, "Registers".
const SCRATCH: u16 = 0x3f8 + 7;
const MODEM_CONTROL: u16 = 0x3f8 + 4;
const MARKS: [u8; 2] = [0xa5, 0x3c];

fn native_in() -> u8 {
    // SAFETY: the scratch register only keeps a byte.
    unsafe { <Native as Io>::in8(SCRATCH) }
}

fn native_out(mark: u8) {
    // SAFETY: the scratch register only keeps a byte.
    unsafe { <Native as Io>::out8(SCRATCH, mark) };
}

/// A delay has no effect to observe; that it leaves every register alone is the canaries' to see.
fn delay() -> Verdict {
    vmi::io::delay();
    Ok(PASSED)
}

fn in8() -> Verdict {
    for mark in MARKS {
        native_out(mark);
        // SAFETY: the scratch register only keeps a byte.
        equal("scratch", unsafe { vmi::io::in8(SCRATCH) }, mark)?;
    }
    Ok(PASSED)
}

fn in16() -> Verdict {
    for mark in MARKS {
        native_out(mark);
        // SAFETY: reads the modem status, and the scratch register behind it.
        let found = unsafe { vmi::io::in16(SCRATCH - 1) };
        equal("scratch", found >> 8, mark)?;
    }
    Ok(PASSED)
}

fn in32() -> Verdict {
    for mark in MARKS {
        native_out(mark);
        // SAFETY: reads modem control, line status, modem status and scratch.
        let found = unsafe { vmi::io::in32(SCRATCH - 3) };
        equal("scratch", found >> 24, mark)?;
    }
    Ok(PASSED)
}

fn out8() -> Verdict {
    for mark in MARKS {
        // SAFETY: the scratch register only keeps a byte.
        unsafe { vmi::io::out8(SCRATCH, mark) };
        equal("scratch", native_in(), mark)?;
    }
    Ok(PASSED)
}

fn out16() -> Verdict {
    for mark in MARKS {
        // SAFETY: the modem status cannot be written; the scratch register only keeps a byte.
        unsafe { vmi::io::out16(SCRATCH - 1, u16::from(mark) << 8) };
        equal("scratch", native_in(), mark)?;
    }
    Ok(PASSED)
}

fn out32() -> Verdict {
    // SAFETY: reads what the modem control was set to.
    let control = unsafe { <Native as Io>::in8(MODEM_CONTROL) };
    for mark in MARKS {
        // SAFETY: modem control gets its own value; the status registers cannot be written.
        unsafe { vmi::io::out32(MODEM_CONTROL, u32::from(mark) << 24 | u32::from(control)) };
        equal("scratch", native_in(), mark)?;
    }
    Ok(PASSED)
}
