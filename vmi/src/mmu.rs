//! Page-table entries and this CPU's TLB.
//!
//! With CR4.PCIDE the entries of the TLB belong to the PCID that CR3 names when they are made, except those of global
//! pages; without it, all belong to PCID 0. The three flushes reach more and more of them, and with the entries always
//! the caches of higher levels of the page tables. A thread may be preempted anywhere in them: each acts on the CPU, the
//! address space and the PCID that are in force at one moment of the call, and changes none of them.

use x86_64::VirtAddr;

use crate::sites;

pub use crate::sites::mmu::*;

/// Flushes the page at a virtual address from this CPU's TLB: the entries of the current PCID, and global ones.
///
/// What other PCIDs have of the page stays.
#[inline(always)]
pub fn flush_page(address: VirtAddr) {
    sites::mmu::flush_page(address.as_u64())
}
