//! The instructions: hand-written ones that sites are held against, replacements of sites, and a retpoline.
//!
//! Each block has every option that its instruction allows, so that it is the limit of what a site could cost.

// UNSAFETY: these are the instructions.
#![expect(unsafe_code)]

use core::arch::{asm, naked_asm};

/// Stores a word, as `mmu::set_entry` does.
///
/// # Safety
///
/// - `entry` is valid for a write of 8 bytes.
#[inline(always)]
pub(crate) unsafe fn store(entry: *mut u64, value: u64) {
    // SAFETY: the caller's promise is the store's. It pushes nothing and leaves the flags.
    unsafe {
        asm!("mov [{entry}], {value}", entry = in(reg) entry, value = in(reg) value, options(nostack, preserves_flags));
    }
}

/// Waits a moment, as `cpu::relax` does.
#[inline(always)]
pub(crate) fn pause() {
    // SAFETY: has no effect; orders nothing here, where no other thread is waited for.
    unsafe { asm!("pause", options(nomem, nostack, preserves_flags)) };
}

/// Returns the time-stamp counter, as `cpu::cycles` does.
#[inline(always)]
pub(crate) fn rdtsc() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reads a counter into two registers, whose upper halves it clears.
    unsafe { asm!("rdtsc", out("rax") low, out("rdx") high, options(nomem, nostack, preserves_flags)) };
    high << 32 | low
}

/// Has a value be in a register, at no instruction's cost.
#[inline(always)]
pub(crate) fn keep(value: u64) {
    // SAFETY: a comment of the assembler.
    unsafe { asm!("/* {} */", in(reg) value, options(nomem, nostack, preserves_flags)) };
}

/// Calls a function of up to two arguments through a retpoline.
///
/// # Safety
///
/// - `function` is an `extern "sysv64" fn` of up to two integers, and the caller keeps its contract.
#[inline(always)]
pub(crate) unsafe fn retpolined(function: *const (), first: u64, second: u64) -> u64 {
    let result;
    // SAFETY: by the caller, this is a call of that function, with its arguments where its convention has them.
    unsafe {
        asm!(
            "call {retpoline}",
            retpoline = sym retpoline,
            inlateout("rax") function => result,
            in("rdi") first,
            in("rsi") second,
            clobber_abi("sysv64"),
        );
    }
    result
}

/// Jumps to the address in RAX without the branch predictor's guess where that is: the return is predicted to lead to
/// the loop. Source: Intel, "Retpoline: A Branch Target Injection Mitigation".
#[unsafe(naked)]
extern "sysv64" fn retpoline() {
    naked_asm!("call 3f", "2:", "pause", "lfence", "jmp 2b", "3:", "mov [rsp], rax", "ret")
}

/// Replaces `mmu::set_entry` by a call.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn set_entry() {
    naked_asm!("mov [rdi], rsi", "ret")
}

/// Replaces `mmu::set_entry` in place.
pub(crate) const SET_ENTRY: [u8; 3] = [0x48, 0x89, 0x37];

/// Replaces `cpu::relax` by a call.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn relax() {
    naked_asm!("pause", "ret")
}

/// Replaces `cpu::cycles` by a call.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn cycles() {
    naked_asm!("rdtsc", "ret")
}

/// Replaces `cpu::cycles` in place.
pub(crate) const CYCLES: [u8; 2] = [0x0f, 0x31];
