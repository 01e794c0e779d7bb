//! The check of what flushes reach where the TLB's entries belong to process-context identifiers (PCIDs).

// UNSAFETY: switches PCIDs on and between them.
#![expect(unsafe_code)]

use vmi_abi::Cpu;
use vmi_native::Native;
use x86_64::{VirtAddr, registers::control::Cr4Flags};

use super::{
    Check, PASSED,
    mmu::{MARKS, map_first, remap, seen},
};
use crate::kernel::{
    paging::{GLOBAL, WINDOW},
    tally::{Failure, Outcome, Verdict, equal},
};

pub const CHECKS: &[Check] = &[("flushes under PCIDs", flushes)];

/// In CR3 the PCID, and in what is written to it the wish that its entries stay. Source: Intel SDM, Volume 3,
/// "Process-Context Identifiers (PCIDs)".
const PCID: u64 = 0xfff;
const KEEP: u64 = 1 << 63;

fn flushes() -> Verdict {
    let (cr3, cr4) = (<Native as Cpu>::read_cr3(), <Native as Cpu>::read_cr4());
    if <Native as Cpu>::cpuid(1, 0).ecx & 1 << 17 == 0 {
        return Ok(Outcome::Skipped("this CPU has no PCIDs"));
    }
    equal("PCID before there are any", cr3 & PCID, 0_u64)?;
    // SAFETY: the CPU has the feature, and CR3 names PCID 0.
    unsafe { <Native as Cpu>::write_cr4(cr4 | Cr4Flags::PCID.bits()) };
    let verdict = in_all_ways();
    switch_to(0);
    // SAFETY: the value from before; all entries of PCIDs go with the bit.
    unsafe { <Native as Cpu>::write_cr4(cr4) };
    verdict
}

fn in_all_ways() -> Verdict {
    let stale = [
        current("behind flush_local", vmi::mmu::flush_local)?,
        other("behind flush_global", vmi::mmu::flush_global, 0)?,
        other("behind flush_global, of a global page", vmi::mmu::flush_global, GLOBAL)?,
        other("behind flush_page, of a global page", flush_page, GLOBAL)?,
    ];
    Ok(if stale.contains(&true) { PASSED } else { Outcome::Skipped("the TLB held no stale entry") })
}

fn flush_page() {
    vmi::mmu::flush_page(VirtAddr::new(WINDOW as u64));
}

/// Demands that a flush reaches an entry of the PCID that it is called in, and keeps to that PCID. Returns whether there
/// was such an entry.
fn current(what: &'static str, flush: fn()) -> Result<bool, Failure> {
    switch_to(1);
    let entry = map_first(0)?;
    remap(entry, 0);
    let stale = seen() == MARKS[0];
    flush();
    equal(what, seen(), MARKS[1])?;
    equal("PCID behind the flush", <Native as Cpu>::read_cr3() & PCID, 1_u64)?;
    Ok(stale)
}

/// Demands that a flush reaches an entry that was made under another PCID. Returns whether there was such an entry.
fn other(what: &'static str, flush: fn(), flags: u64) -> Result<bool, Failure> {
    switch_to(1);
    let entry = map_first(flags)?;
    switch_to(2);
    remap(entry, flags);
    switch_to(1);
    let stale = seen() == MARKS[0];
    switch_to(2);
    flush();
    switch_to(1);
    equal(what, seen(), MARKS[1])?;
    Ok(stale)
}

/// Goes on under another PCID, with the same tables, and has the TLB keep what it holds.
fn switch_to(pcid: u64) {
    let tables = <Native as Cpu>::read_cr3() & !PCID;
    // SAFETY: the tables are those in use.
    unsafe { <Native as Cpu>::write_cr3(tables | pcid | KEEP) };
}
