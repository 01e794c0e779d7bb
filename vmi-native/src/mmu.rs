//! Page-table entries and this CPU's TLB.

// UNSAFETY: executes INVPCID.
#![expect(unsafe_code)]

use crate::{Native, insn};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use vmi_abi::Cpu;
use x86_64::instructions::tlb::{InvPcidCommand, flush_pcid};

/// Reloads CR3 as it is, with the PCID in it: `x86_64::instructions::tlb::flush_all` would lose that. Bit 63, which
/// would keep the entries, reads 0.
#[inline]
pub(crate) fn flush_local() {
    insn::reload_cr3();
}

/// Drops everything, of all PCIDs: Intel SDM, volume 3, "Operations that Invalidate TLBs and
/// Paging-Structure Caches". Every change of CR4.PGE does so, also from 0 to 1.
pub(crate) fn flush_global() {
    if has_invpcid() {
        // SAFETY: CPUID says that the instruction exists.
        unsafe { flush_pcid(InvPcidCommand::All) };
    } else {
        insn::toggle_cr4_pge();
    }
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
