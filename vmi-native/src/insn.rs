//! Instructions that are no op, or several in a row.
//!
//! No block says `nomem`, not even one that touches no memory itself: each of these orders something with memory, so the
//! compiler may not move accesses across it.

// UNSAFETY: these are the instructions themselves.
#![expect(unsafe_code)]

use core::arch::{asm, naked_asm};
use x86_64::registers::control::Cr4Flags;

/// Unmasks interrupts and halts: the shadow of `sti` covers `hlt`, so no interrupt gets in between and is
/// slept over.
#[unsafe(naked)]
pub(crate) extern "sysv64" fn sti_hlt() {
    naked_asm!("sti", "hlt", "ret")
}

/// Loads CR3 with its own value, masked from interrupts: a handler that runs another thread in between would have the
/// CR3 of then loaded into whatever address space and PCID are in force when this goes on.
///
/// Naked, because a block that pushes would have the compiler align the stack, for two more instructions.
#[unsafe(naked)]
pub(crate) extern "sysv64" fn reload_cr3() {
    naked_asm!("pushfq", "cli", "mov rax, cr3", "mov cr3, rax", "popfq", "ret")
}

/// Flips CR4.PGE and back, masked from interrupts: a handler that changes CR4 in between would have its change undone.
///
/// Naked for the same reason.
#[unsafe(naked)]
pub(crate) extern "sysv64" fn toggle_cr4_pge() {
    naked_asm!(
        "pushfq",
        "cli",
        "mov rax, cr4",
        "mov rcx, rax",
        "xor rcx, {pge}",
        "mov cr4, rcx",
        "mov cr4, rax",
        "popfq",
        "ret",
        pge = const Cr4Flags::PAGE_GLOBAL.bits(),
    )
}

/// Has all memory that was written be seen before an MSR is written that does not wait for it: those of the x2APIC, as Intel
/// SDM, volume 3, "MSR Access in x2APIC Mode" says.
#[inline]
pub(crate) fn fence_for_msr() {
    // SAFETY: both only wait.
    unsafe { asm!("mfence", "lfence", options(nostack, preserves_flags)) };
}

/// Returns the time-stamp counter, read after every earlier load is done.
///
/// `rdtsc` alone may run ahead of an earlier load, and then a time older than the one just read from another
/// CPU's memory comes out. `lfence` in front, not `rdtscp`, because every x86-64 CPU has it, and not
/// `mfence`, because stores do not matter: they become visible later than any counter that was read.
#[inline]
pub(crate) fn lfence_rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading the counter changes nothing.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}
