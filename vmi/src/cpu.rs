//! Registers and counters of this CPU.
//!
//! Values have a type where the type costs nothing; CR2 and CR3 are plain because taking them apart costs instructions.

// UNSAFETY: hands on the contracts of privileged instructions.
#![expect(unsafe_code)]

use core::arch::x86_64::CpuidResult;

use vmi_abi::Fault;
use x86_64::registers::control::{Cr0Flags, Cr4Flags};

use crate::sites;

/// Returns CR0, with reserved bits as they are.
#[inline(always)]
pub fn read_cr0() -> Cr0Flags {
    Cr0Flags::from_bits_retain(sites::cpu::read_cr0())
}

/// Sets CR0.
///
/// # Safety
///
/// - The modes that the value selects are ones that the running code, its stack and its page tables are made for.
/// - Reserved bits are as [`read_cr0`] returned them.
#[inline(always)]
pub unsafe fn write_cr0(value: Cr0Flags) {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::write_cr0(value.bits()) }
}

/// Returns CR2, the virtual address of the last page fault, whether or not it is canonical.
#[inline(always)]
pub fn read_cr2() -> u64 {
    sites::cpu::read_cr2()
}

/// Sets CR2.
///
/// # Safety
///
/// - No page-fault handler is about to read the address of its own fault.
#[inline(always)]
pub unsafe fn write_cr2(address: u64) {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::write_cr2(address) }
}

/// Returns CR3: the physical address of the top page table, and its flags or PCID in the low 12 bits.
#[inline(always)]
pub fn read_cr3() -> u64 {
    sites::cpu::read_cr3()
}

/// Sets CR3, which flushes from this CPU's TLB the entries of the PCID named that are not global.
///
/// Without CR4.PCIDE there is one PCID, 0. With it, the low 12 bits of the value name one, and bit 63 of the value says
/// that nothing is flushed; read back, that bit is 0. Source: Intel SDM, Volume 3, "Process-Context Identifiers (PCIDs)".
///
/// # Safety
///
/// - The value names a top page table in which the running code, its stack and its data are mapped as they are now.
#[inline(always)]
pub unsafe fn write_cr3(value: u64) {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::write_cr3(value) }
}

/// Returns CR4, with reserved bits as they are.
#[inline(always)]
pub fn read_cr4() -> Cr4Flags {
    Cr4Flags::from_bits_retain(sites::cpu::read_cr4())
}

/// Sets CR4.
///
/// # Safety
///
/// - The CPU has the features that the value enables, and the running code and page tables are made for them.
#[inline(always)]
pub unsafe fn write_cr4(value: Cr4Flags) {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::write_cr4(value.bits()) }
}

/// Returns the value of an MSR.
///
/// # Safety
///
/// - The CPU has the MSR: otherwise it raises a general-protection fault ([`try_read_msr`] reports it).
/// - Reading it has no effect that the kernel does not expect.
#[inline(always)]
pub unsafe fn read_msr(msr: u32) -> u64 {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::read_msr(msr) }
}

/// Sets an MSR.
///
/// # Safety
///
/// - The CPU has the MSR and takes the value: otherwise it raises a general-protection fault ([`try_write_msr`]
///   reports it).
/// - The value leaves memory and control flow as the kernel expects them.
#[inline(always)]
pub unsafe fn write_msr(msr: u32, value: u64) {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::write_msr(msr, value) }
}

/// Returns the value of an MSR, if reading it does not fault.
///
/// That no fault occurs does not prove that the MSR exists: some hypervisors let absent ones be read as 0.
///
/// # Errors
///
/// [`Fault`] if the CPU raised a general-protection fault.
///
/// # Safety
///
/// - The kernel's #GP handler asks [`fixup::landing`](crate::fixup::landing).
/// - Reading the MSR has no effect that the kernel does not expect.
#[inline(always)]
pub unsafe fn try_read_msr(msr: u32) -> Result<u64, Fault> {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::try_read_msr(msr) }
}

/// Sets an MSR, if writing it does not fault.
///
/// # Errors
///
/// [`Fault`] if the CPU raised a general-protection fault.
///
/// # Safety
///
/// - The kernel's #GP handler asks [`fixup::landing`](crate::fixup::landing).
/// - The value leaves memory and control flow as the kernel expects them.
#[inline(always)]
pub unsafe fn try_write_msr(msr: u32, value: u64) -> Result<(), Fault> {
    // SAFETY: the caller's promises are the instruction's.
    unsafe { sites::cpu::try_write_msr(msr, value) }
}

/// Returns a CPUID leaf.
#[inline(always)]
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    sites::cpu::cpuid(leaf, subleaf)
}

/// Returns the time-stamp counter, read wherever the CPU's out-of-order execution puts it.
#[inline(always)]
pub fn cycles() -> u64 {
    sites::cpu::cycles()
}

/// Tells the CPU that it is in a spin loop.
#[inline(always)]
pub fn relax() {
    sites::cpu::relax()
}
