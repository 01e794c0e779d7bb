//! Checks of control registers, CPUID and the counter.

// UNSAFETY: writes control registers.
#![expect(unsafe_code)]

use vmi_abi::Cpu;
use vmi_native::Native;
use x86_64::registers::control::{Cr0Flags, Cr4Flags};

use super::{Check, PASSED};
use crate::kernel::{
    paging::{Page, copy_of_top_table},
    tally::{Verdict, between, equal},
};

pub const CHECKS: &[Check] = &[
    ("cpu::read_cr0", read_cr0),
    ("cpu::write_cr0", write_cr0),
    ("cpu::read_cr2", read_cr2),
    ("cpu::write_cr2", write_cr2),
    ("cpu::read_cr3", read_cr3),
    ("cpu::write_cr3", write_cr3),
    ("cpu::read_cr4", read_cr4),
    ("cpu::write_cr4", write_cr4),
    ("cpu::cpuid", cpuid),
    ("cpu::cycles", cycles),
    ("cpu::relax", relax),
];

/// A value that no register has by chance.
const MARK: u64 = 0x0000_1234_5678_9000;

fn read_cr0() -> Verdict {
    equal("value", vmi::cpu::read_cr0().bits(), <Native as Cpu>::read_cr0())?;
    Ok(PASSED)
}

/// The alignment mask means nothing in ring 0, so it can be flipped.
fn write_cr0() -> Verdict {
    let before = <Native as Cpu>::read_cr0();
    let flipped = before ^ Cr0Flags::ALIGNMENT_MASK.bits();
    // SAFETY: only the alignment mask differs.
    unsafe { vmi::cpu::write_cr0(Cr0Flags::from_bits_retain(flipped)) };
    let found = <Native as Cpu>::read_cr0();
    // SAFETY: the value from before.
    unsafe { vmi::cpu::write_cr0(Cr0Flags::from_bits_retain(before)) };
    equal("flipped", found, flipped)?;
    equal("flipped back", <Native as Cpu>::read_cr0(), before)?;
    Ok(PASSED)
}

fn read_cr2() -> Verdict {
    for value in [MARK, !MARK] {
        // SAFETY: no page fault is being handled.
        unsafe { <Native as Cpu>::write_cr2(value) };
        equal("value", vmi::cpu::read_cr2(), value)?;
    }
    Ok(PASSED)
}

fn write_cr2() -> Verdict {
    for value in [MARK, !MARK] {
        // SAFETY: no page fault is being handled.
        unsafe { vmi::cpu::write_cr2(value) };
        equal("value", <Native as Cpu>::read_cr2(), value)?;
    }
    Ok(PASSED)
}

static COPY: Page = Page::new();

fn read_cr3() -> Verdict {
    let before = <Native as Cpu>::read_cr3();
    let copy = copy_of_top_table(&COPY);
    equal("value", vmi::cpu::read_cr3(), before)?;
    // SAFETY: the copy maps the same.
    unsafe { <Native as Cpu>::write_cr3(copy) };
    let found = vmi::cpu::read_cr3();
    // SAFETY: the value from before.
    unsafe { <Native as Cpu>::write_cr3(before) };
    equal("value of the copy", found, copy)?;
    Ok(PASSED)
}

fn write_cr3() -> Verdict {
    let before = <Native as Cpu>::read_cr3();
    let copy = copy_of_top_table(&COPY);
    // SAFETY: the copy maps the same.
    unsafe { vmi::cpu::write_cr3(copy) };
    let found = <Native as Cpu>::read_cr3();
    // SAFETY: the value from before.
    unsafe { vmi::cpu::write_cr3(before) };
    equal("the copy", found, copy)?;
    equal("back", <Native as Cpu>::read_cr3(), before)?;
    Ok(PASSED)
}

fn read_cr4() -> Verdict {
    equal("value", vmi::cpu::read_cr4().bits(), <Native as Cpu>::read_cr4())?;
    Ok(PASSED)
}

/// The time-stamp disable bit means nothing in ring 0, so it can be flipped.
fn write_cr4() -> Verdict {
    let before = <Native as Cpu>::read_cr4();
    let flipped = before ^ Cr4Flags::TIMESTAMP_DISABLE.bits();
    // SAFETY: only the time-stamp disable bit differs.
    unsafe { vmi::cpu::write_cr4(Cr4Flags::from_bits_retain(flipped)) };
    let found = <Native as Cpu>::read_cr4();
    // SAFETY: the value from before.
    unsafe { vmi::cpu::write_cr4(Cr4Flags::from_bits_retain(before)) };
    equal("flipped", found, flipped)?;
    equal("flipped back", <Native as Cpu>::read_cr4(), before)?;
    Ok(PASSED)
}

/// Two leaves, and two subleaves of a third.
fn cpuid() -> Verdict {
    for (leaf, subleaf) in [(0, 0), (0x8000_0000, 0), (7, 0), (4, 0), (4, 1)] {
        let (found, expected) = (vmi::cpu::cpuid(leaf, subleaf), <Native as Cpu>::cpuid(leaf, subleaf));
        equal("eax", found.eax, expected.eax)?;
        equal("ebx", found.ebx, expected.ebx)?;
        equal("ecx", found.ecx, expected.ecx)?;
        equal("edx", found.edx, expected.edx)?;
    }
    Ok(PASSED)
}

fn cycles() -> Verdict {
    let before = <Native as Cpu>::cycles();
    let found = vmi::cpu::cycles();
    between("between two reads of the counter", before, found, <Native as Cpu>::cycles())?;
    Ok(PASSED)
}

/// A hint has no effect to observe; that it leaves every register alone is the canaries' to see.
fn relax() -> Verdict {
    vmi::cpu::relax();
    Ok(PASSED)
}
