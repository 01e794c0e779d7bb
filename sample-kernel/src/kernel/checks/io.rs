//! Checks of port accesses, by COM1's scratch register: the last of eight byte registers, so that wider accesses that
//! end at it reach it too.

// UNSAFETY: accesses ports.
#![expect(unsafe_code)]

use vmi_abi::Io;
use vmi_native::Native;

use super::{Check, PASSED};
use crate::kernel::tally::{Outcome, Verdict, equal};

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

/// Demands that every mark comes back from a turn through the scratch register by the op, where it does natively: there
/// may be no COM1, and not every monitor splits an access that is wider than its registers.
fn turns(native: impl Fn(u8) -> u8, op: impl Fn(u8) -> u8) -> Verdict {
    let byte = |mark| {
        native_out(mark);
        native_in()
    };
    if MARKS.into_iter().any(|mark| byte(mark) != mark) {
        return Ok(Outcome::Skipped("this machine has no COM1"));
    }
    if MARKS.into_iter().any(|mark| native(mark) != mark) {
        return Ok(Outcome::Skipped("this machine does not split wide accesses of COM1"));
    }
    for mark in MARKS {
        native_out(!mark);
        equal("scratch", op(mark), mark)?;
    }
    Ok(PASSED)
}

/// A turn by a read of the register.
fn read_by(read: impl Fn() -> u8) -> impl Fn(u8) -> u8 {
    move |mark| {
        native_out(mark);
        read()
    }
}

/// A turn by a write of the register.
fn written_by(write: impl Fn(u8)) -> impl Fn(u8) -> u8 {
    move |mark| {
        write(mark);
        native_in()
    }
}

/// A delay has no effect to observe; that it leaves every register alone is the canaries' to see.
fn delay() -> Verdict {
    vmi::io::delay();
    Ok(PASSED)
}

fn in8() -> Verdict {
    // SAFETY: the scratch register only keeps a byte.
    turns(read_by(native_in), read_by(|| unsafe { vmi::io::in8(SCRATCH) }))
}

/// Reads the modem status, and the scratch register behind it.
fn in16() -> Verdict {
    let scratch = |value: u16| (value >> 8) as u8;
    turns(
        // SAFETY: reading both changes nothing but flags of the status.
        read_by(|| scratch(unsafe { <Native as Io>::in16(SCRATCH - 1) })),
        // SAFETY: as above.
        read_by(|| scratch(unsafe { vmi::io::in16(SCRATCH - 1) })),
    )
}

/// Reads modem control, line status, modem status and scratch.
fn in32() -> Verdict {
    let scratch = |value: u32| (value >> 24) as u8;
    turns(
        // SAFETY: reading these changes nothing but flags of the statuses.
        read_by(|| scratch(unsafe { <Native as Io>::in32(SCRATCH - 3) })),
        // SAFETY: as above.
        read_by(|| scratch(unsafe { vmi::io::in32(SCRATCH - 3) })),
    )
}

fn out8() -> Verdict {
    // SAFETY: the scratch register only keeps a byte.
    turns(written_by(native_out), written_by(|mark| unsafe { vmi::io::out8(SCRATCH, mark) }))
}

fn out16() -> Verdict {
    let value = |mark: u8| u16::from(mark) << 8;
    turns(
        // SAFETY: the modem status cannot be written; the scratch register only keeps a byte.
        written_by(|mark| unsafe { <Native as Io>::out16(SCRATCH - 1, value(mark)) }),
        // SAFETY: as above.
        written_by(|mark| unsafe { vmi::io::out16(SCRATCH - 1, value(mark)) }),
    )
}

fn out32() -> Verdict {
    // SAFETY: reads what the modem control was set to.
    let control = unsafe { <Native as Io>::in8(MODEM_CONTROL) };
    let value = |mark: u8| u32::from(mark) << 24 | u32::from(control);
    turns(
        // SAFETY: modem control gets its own value; the status registers cannot be written.
        written_by(|mark| unsafe { <Native as Io>::out32(MODEM_CONTROL, value(mark)) }),
        // SAFETY: as above.
        written_by(|mark| unsafe { vmi::io::out32(MODEM_CONTROL, value(mark)) }),
    )
}
