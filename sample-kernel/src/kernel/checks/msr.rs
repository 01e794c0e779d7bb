//! Checks of MSR accesses, with and without a fault.

// UNSAFETY: reads and writes MSRs.
#![expect(unsafe_code)]

use vmi_abi::Cpu;
use vmi_native::Native;

use super::{Check, PASSED};
use crate::kernel::{
    insn::attempt,
    tally::{Outcome, Verdict, equal, holds},
};

pub const CHECKS: &[Check] = &[
    ("cpu::read_msr", read_msr),
    ("cpu::write_msr", write_msr),
    ("cpu::try_read_msr", try_read_msr),
    ("cpu::try_write_msr", try_write_msr),
    ("a faulting read is reported", faulting_read),
    ("a faulting write is reported", faulting_write),
];

/// IA32_KERNEL_GS_BASE: any canonical value, and nothing happens before `swapgs`.
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// MSRs that no CPU has: one between the architectural ones, one in KVM's range above its last.
const ABSENT: [u32; 2] = [0x0000_0fff, 0x4b56_4dff];
/// IA32_PKRS takes 32 bits: a larger value faults wherever the MSR is known, and where it is not.
const TOO_LARGE: (u32, u64) = (0x6e1, 1 << 32);

const MARKS: [u64; 2] = [0x0000_1234_5678_9abc, 0xffff_8765_4321_0fed];

fn native_write(value: u64) {
    // SAFETY: the value is canonical, and nothing uses it.
    unsafe { <Native as Cpu>::write_msr(KERNEL_GS_BASE, value) };
}

fn native_read() -> u64 {
    // SAFETY: every 64-bit CPU has the MSR.
    unsafe { <Native as Cpu>::read_msr(KERNEL_GS_BASE) }
}

fn read_msr() -> Verdict {
    for mark in MARKS {
        native_write(mark);
        // SAFETY: as for the native read.
        equal("value", unsafe { vmi::cpu::read_msr(KERNEL_GS_BASE) }, mark)?;
    }
    Ok(PASSED)
}

fn write_msr() -> Verdict {
    for mark in MARKS {
        // SAFETY: as for the native write.
        unsafe { vmi::cpu::write_msr(KERNEL_GS_BASE, mark) };
        equal("value", native_read(), mark)?;
    }
    Ok(PASSED)
}

fn try_read_msr() -> Verdict {
    for mark in MARKS {
        native_write(mark);
        // SAFETY: the #GP handler asks for the landing.
        let found = unsafe { vmi::cpu::try_read_msr(KERNEL_GS_BASE) };
        holds("no fault", found.is_ok())?;
        equal("value", found.unwrap_or(0), mark)?;
    }
    Ok(PASSED)
}

fn try_write_msr() -> Verdict {
    for mark in MARKS {
        // SAFETY: the #GP handler asks for the landing.
        let written = unsafe { vmi::cpu::try_write_msr(KERNEL_GS_BASE, mark) };
        holds("no fault", written.is_ok())?;
        equal("value", native_read(), mark)?;
    }
    Ok(PASSED)
}

/// The op reports a fault exactly where the bare instruction faults.
fn faulting_read() -> Verdict {
    let mut faults = 0;
    for msr in ABSENT {
        let expected = attempt::reading_msr_faults(msr);
        // SAFETY: the #GP handler asks for the landing.
        let found = unsafe { vmi::cpu::try_read_msr(msr) };
        equal("fault", found.is_err(), expected)?;
        faults += u32::from(expected);
    }
    Ok(if faults == 0 { Outcome::Skipped("this machine lets absent MSRs be read") } else { PASSED })
}

/// The op reports a fault exactly where the bare instruction faults.
fn faulting_write() -> Verdict {
    let mut faults = 0;
    for (msr, value) in [(ABSENT[0], 0), (ABSENT[1], 0), TOO_LARGE] {
        let expected = attempt::writing_msr_faults(msr, value);
        // SAFETY: the #GP handler asks for the landing.
        let written = unsafe { vmi::cpu::try_write_msr(msr, value) };
        equal("fault", written.is_err(), expected)?;
        faults += u32::from(expected);
    }
    Ok(if faults == 0 { Outcome::Skipped("this machine lets absent MSRs be written") } else { PASSED })
}
