//! Page-table entries and this CPU's TLB.

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

/// Flushes the page at a virtual address from this CPU's TLB, also if it is global.
#[inline(always)]
pub fn flush_page(address: VirtAddr) {
    sites::mmu::flush_page(address.as_u64())
}

/// Flushes this CPU's TLB but for global pages.
#[inline(always)]
pub fn flush_local() {
    sites::mmu::flush_local()
}

/// Flushes this CPU's TLB with global pages.
#[inline(always)]
pub fn flush_global() {
    sites::mmu::flush_global()
}
