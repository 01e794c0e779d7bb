//! Page-table entries and this CPU's TLB.

// UNSAFETY: writes page-table entries and CR4.
#![expect(unsafe_code)]

use crate::{Native, insn};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use vmi_abi::{Cpu, Mmu};
use x86_64::instructions::{
    interrupts::without_interrupts,
    tlb::{InvPcidCommand, flush_pcid},
};
use x86_64::registers::control::Cr4Flags;

impl Mmu for Native {
    #[inline]
    unsafe fn set_entry(entry: *mut u64, value: u64) {
        // SAFETY: the caller ensures that the entry may be written and that its mapping is wanted.
        unsafe { insn::store(entry, value) };
    }

    #[inline]
    fn flush_page(address: u64) {
        insn::invlpg(address);
    }

    /// Reloads CR3 as it is, with the PCID in it: `x86_64::instructions::tlb::flush_all` would lose that.
    #[inline]
    fn flush_local() {
        // SAFETY: the value is the one in force.
        unsafe { insn::write_cr3(insn::read_cr3()) };
    }

    /// Drops everything, of all PCIDs: Intel SDM, volume 3, "Operations that Invalidate TLBs and
    /// Paging-Structure Caches".
    fn flush_global() {
        if has_invpcid() {
            // SAFETY: CPUID says that the instruction exists.
            unsafe { flush_pcid(InvPcidCommand::All) };
        } else {
            // An interrupt handler that changes CR4 in between would have its change undone.
            without_interrupts(toggle_global_pages);
        }
    }
}

/// Flips CR4.PGE and back: every change of the bit drops all entries, also where it was clear before.
fn toggle_global_pages() {
    let cr4 = insn::read_cr4();
    // SAFETY: no mapping depends on the bit, only whether entries outlive a change of CR3.
    unsafe { insn::write_cr4(cr4 ^ Cr4Flags::PAGE_GLOBAL.bits()) };
    // SAFETY: the value was in force before.
    unsafe { insn::write_cr4(cr4) };
}

/// Tells whether the CPU has INVPCID: CPUID leaf 7, EBX bit 10; asked once.
fn has_invpcid() -> bool {
    const UNKNOWN: u8 = 0;
    const ABSENT: u8 = 1;
    const PRESENT: u8 = 2;
    static INVPCID: AtomicU8 = AtomicU8::new(UNKNOWN);

    match INVPCID.load(Relaxed) {
        UNKNOWN => {
            let present = Native::cpuid(0, 0).eax >= 7 && Native::cpuid(7, 0).ebx & 1 << 10 != 0;
            INVPCID.store(if present { PRESENT } else { ABSENT }, Relaxed);
            present
        }
        known => known == PRESENT,
    }
}
