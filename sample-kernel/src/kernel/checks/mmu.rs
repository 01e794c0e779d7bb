//! Checks of page-table stores and flushes, by what is read through a window whose mapping changes.

// UNSAFETY: changes the mapping of the window.
#![expect(unsafe_code)]

use vmi_abi::{Cpu, Irq, Mmu};
use vmi_native::Native;
use x86_64::{VirtAddr, registers::control::Cr4Flags};

use super::{Check, PASSED};
use crate::kernel::{
    insn::steps,
    paging::{GLOBAL, PRESENT, Page, WINDOW, WRITABLE, window_entry},
    tally::{Outcome, Verdict, equal, holds},
};

pub const CHECKS: &[Check] = &[
    ("mmu::set_entry", set_entry),
    ("mmu::flush_page", flush_page),
    ("mmu::flush_local", flush_local),
    ("mmu::flush_global", flush_global),
    ("mmu::flush_global without CR4.PGE", flush_global_without_global_pages),
    ("a flush lets no interrupt in between", flushes_are_not_interrupted),
];

/// The interrupt flag of RFLAGS.
const IF: u64 = 1 << 9;

/// Two frames that hold their own marks.
static FRAMES: [Page; 2] = [const { Page::new() }; 2];
pub(super) const MARKS: [u64; 2] = [0x1111_2222_3333_4444, 0x5555_6666_7777_8888];

/// Maps the window to the first frame, and reads its mark through it.
pub(super) fn map_first(flags: u64) -> Result<*mut u64, crate::kernel::tally::Failure> {
    for (frame, mark) in FRAMES.iter().zip(MARKS) {
        // SAFETY: the frames are for this alone.
        unsafe { frame.entry(0).write_volatile(mark) };
    }
    let entry = window_entry();
    // SAFETY: nothing else uses the window.
    unsafe { entry.write_volatile(leading_to(0, flags)) };
    <Native as Mmu>::flush_page(WINDOW as u64);
    equal("through the first mapping", seen(), MARKS[0])?;
    Ok(entry)
}

fn leading_to(frame: usize, flags: u64) -> u64 {
    FRAMES[frame].physical() | PRESENT | WRITABLE | flags
}

/// Maps the window to the second frame, behind the TLB's back.
pub(super) fn remap(entry: *mut u64, flags: u64) {
    // SAFETY: nothing else uses the window, and the entry is what [`map_first`] returned.
    unsafe { entry.write_volatile(leading_to(1, flags)) };
}

/// Returns what the window shows.
pub(super) fn seen() -> u64 {
    let window = core::ptr::with_exposed_provenance::<u64>(WINDOW);
    // SAFETY: the window is mapped to one of the frames.
    unsafe { window.read_volatile() }
}

fn set_entry() -> Verdict {
    let entry = map_first(0)?;
    let value = leading_to(1, 0);
    // SAFETY: nothing else uses the window.
    unsafe { vmi::mmu::set_entry(entry, value) };
    // SAFETY: the entry is mapped; the CPU may have set its accessed bit.
    let found = unsafe { entry.read_volatile() } & !(1 << 5);
    equal("entry", found, value)?;
    <Native as Mmu>::flush_page(WINDOW as u64);
    equal("through the new mapping", seen(), MARKS[1])?;
    Ok(PASSED)
}

/// Remaps the window behind the TLB's back, flushes, and looks. Where the TLB had forgotten the old mapping by itself,
/// nothing was shown.
fn flushed_by(flush: fn(), flags: u64) -> Verdict {
    let entry = map_first(flags)?;
    remap(entry, flags);
    let stale = seen() == MARKS[0];
    flush();
    equal("behind the flush", seen(), MARKS[1])?;
    Ok(if stale { PASSED } else { Outcome::Skipped("the TLB held no stale entry") })
}

fn flush_page() -> Verdict {
    flushed_by(|| vmi::mmu::flush_page(VirtAddr::new(WINDOW as u64)), 0)
}

fn flush_local() -> Verdict {
    flushed_by(vmi::mmu::flush_local, 0)
}

fn flush_global() -> Verdict {
    flushed_by(vmi::mmu::flush_global, GLOBAL)
}

/// What flips CR4.PGE must flush from either side, and leave the bit as it was.
fn flush_global_without_global_pages() -> Verdict {
    let before = <Native as Cpu>::read_cr4();
    let without = before & !Cr4Flags::PAGE_GLOBAL.bits();
    // SAFETY: nothing depends on entries that outlive a change of CR3.
    unsafe { <Native as Cpu>::write_cr4(without) };
    let verdict = flush_global();
    let behind = <Native as Cpu>::read_cr4();
    // SAFETY: the value from before.
    unsafe { <Native as Cpu>::write_cr4(before) };
    equal("CR4 behind the flush", behind, without)?;
    verdict
}

/// A thread that was preempted between the read of a control register and the write would load a stale value.
fn flushes_are_not_interrupted() -> Verdict {
    extern "sysv64" fn local() {
        vmi::mmu::flush_local();
    }
    extern "sysv64" fn global() {
        vmi::mmu::flush_global();
    }
    for flush in [local, global] {
        for enabled in [true, false] {
            if enabled {
                <Native as Irq>::enable();
            }
            let before = <Native as Irq>::save();
            let steps = steps::through(flush);
            let after = <Native as Irq>::save();
            <Native as Irq>::disable();
            holds("it was executed in steps", steps.taken > 1)?;
            equal("writes that an interrupt may precede", steps.interruptible, 0_u64)?;
            equal("interrupt flag behind", after & IF, before & IF)?;
        }
    }
    Ok(PASSED)
}
