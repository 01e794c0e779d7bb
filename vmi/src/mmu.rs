//! Page-table entries and this CPU's TLB.
//!
//! With CR4.PCIDE the entries of the TLB belong to the PCID that CR3 names when they are made, except those of global
//! pages; without it, all belong to PCID 0. The three flushes reach more and more of them, and with the entries always
//! the caches of higher levels of the page tables. A thread may be preempted anywhere in them: each acts on the CPU, the
//! address space and the PCID that are in force at one moment of the call, and changes none of them.

// UNSAFETY: hands on the contract of a store to a page table.
#![expect(unsafe_code)]

use x86_64::VirtAddr;

use crate::sites;

/// Stores a page-table entry of any level. The TLB is not told.
///
/// # Safety
///
/// - `entry` is valid for a write of 8 bytes and aligned to 8.
/// - With the new value, and with either value until the TLB is flushed, all memory in use stays mapped as it is used.
#[inline(always)]
pub unsafe fn set_entry(entry: *mut u64, value: u64) {
    // SAFETY: the caller's promises are the op's.
    unsafe { sites::mmu::set_entry(entry, value) }
}

/// Flushes the page at a virtual address from this CPU's TLB: the entries of the current PCID, and global ones.
///
/// What other PCIDs have of the page stays.
#[inline(always)]
pub fn flush_page(address: VirtAddr) {
    sites::mmu::flush_page(address.as_u64())
}

/// Flushes from this CPU's TLB the entries of the current PCID that are not global: the current address space.
///
/// Global pages and what other PCIDs have may stay.
#[inline(always)]
pub fn flush_local() {
    sites::mmu::flush_local()
}

/// Flushes this CPU's TLB: the entries of every PCID, and global ones.
#[inline(always)]
pub fn flush_global() {
    sites::mmu::flush_global()
}
