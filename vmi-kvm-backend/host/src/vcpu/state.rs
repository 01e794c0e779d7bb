//! The state in which the first CPU starts: 32-bit protected mode, flat segments, no paging, no interrupts; or in the BIOS.
//!
//! PVH, multiboot and Linux's 32-bit entry ask for the same, but for a register or two. The other CPUs wait for their start-up
//! interrupt, as KVM makes them.

use kvm_bindings::{Msrs, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;

use crate::boot::{Mode, Start};
use crate::devices::BIOS_START;
use crate::error::{Error, Result};

/// Protection on; the numeric coprocessor is of the kind that all are.
const CR0: u64 = PROTECTION | 1 << 4;
const PROTECTION: u64 = 1 << 0;
/// The bit of the flags that is always set.
const FLAGS: u64 = 1 << 1;

/// Selectors, whose values Linux asks for. Source: Linux, `Documentation/arch/x86/boot.rst`, "32-bit Boot Protocol".
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
const TSS: u16 = 0x20;
/// How many descriptors that makes, with two that are none.
const DESCRIPTORS: usize = 5;
/// Types of segments that were accessed: code that can be read, data that can be written, a busy 32-bit TSS. Source:
/// Intel SDM volume 3A, "Code- and Data-Segment Descriptor Types" and "System Descriptor Types".
const TYPE_CODE: u8 = 0xb;
const TYPE_DATA: u8 = 0x3;
const TYPE_TSS: u8 = 0xb;
const TSS_LIMIT: u32 = 0x67;

/// The BIOS's segment.
const BIOS: u64 = 0xf_0000;

/// The type of memory that no range names. Source: Intel SDM volume 3A, "IA32_MTRR_DEF_TYPE MSR".
const MTRR_DEFAULT: u32 = 0x2ff;
const MTRR_ENABLED: u64 = 1 << 11;
const WRITE_BACK: u64 = 6;

fn flat(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment { limit: u32::MAX, selector, type_, present: 1, db: 1, s: 1, g: 1, ..Default::default() }
}

/// Returns a segment of real mode.
fn real(base: u64, type_: u8) -> kvm_segment {
    let selector = (base >> 4) as u16;
    kvm_segment { base, limit: 0xffff, selector, type_, present: 1, s: 1, ..Default::default() }
}

fn tss() -> kvm_segment {
    kvm_segment { limit: TSS_LIMIT, selector: TSS, type_: TYPE_TSS, present: 1, ..Default::default() }
}

/// Returns a segment as a descriptor. Source: Intel SDM volume 3A, "Segment Descriptors".
fn descriptor(segment: &kvm_segment) -> u64 {
    let limit = u64::from(if segment.g == 1 { segment.limit >> 12 } else { segment.limit });
    let flags = u64::from(segment.type_)
        | u64::from(segment.s) << 4
        | u64::from(segment.dpl) << 5
        | u64::from(segment.present) << 7
        | u64::from(segment.db) << 14
        | u64::from(segment.g) << 15;
    limit & 0xffff
        | (segment.base & 0xff_ffff) << 16
        | flags << 40
        | (limit >> 16 & 0xf) << 48
        | (segment.base >> 24 & 0xff) << 56
}

/// Returns the descriptors of the segments, for a kernel that reloads them before it has its own.
pub(crate) fn descriptors() -> [[u8; 8]; DESCRIPTORS] {
    let (code, data) = (flat(CODE, TYPE_CODE), flat(DATA, TYPE_DATA));
    [0, 0, descriptor(&code), descriptor(&data), descriptor(&tss())].map(u64::to_le_bytes)
}

/// Has all memory be write-back, as firmware leaves it: after a reset the ranges are off, and none is cached.
///
/// # Errors
///
/// Fails where KVM does.
pub(crate) fn enable_memory_types(cpu: &VcpuFd) -> Result<()> {
    let entries =
        [kvm_msr_entry { index: MTRR_DEFAULT, data: MTRR_ENABLED | WRITE_BACK, ..Default::default() }];
    // One entry fits.
    let Ok(registers) = Msrs::from_entries(&entries) else { return Ok(()) };
    cpu.set_msrs(&registers).map_err(Error::kvm("set the memory types of a CPU"))?;
    Ok(())
}

/// Has the others reach the last CPU by its number: KVM notes who has which when a local interrupt controller is set, not
/// when a CPU is made, and a guest need not set its own before it starts another CPU by it.
///
/// # Errors
///
/// Fails where KVM does.
pub(crate) fn make_known(last: &VcpuFd) -> Result<()> {
    let controller =
        last.get_lapic().map_err(Error::kvm("tell the state of a local interrupt controller"))?;
    last.set_lapic(&controller).map_err(Error::kvm("set the state of a local interrupt controller"))
}

/// Has the CPU start there.
///
/// # Errors
///
/// Fails where KVM does.
pub(crate) fn enter_at(cpu: &VcpuFd, start: &Start) -> Result<()> {
    let mut system = cpu.get_sregs().map_err(Error::kvm("tell the registers of a CPU"))?;
    let data;
    (system.cs, data, system.cr0) = match start.mode {
        Mode::Protected => (flat(CODE, TYPE_CODE), flat(DATA, TYPE_DATA), CR0),
        Mode::Real => (real(BIOS, TYPE_CODE), real(start.esi, TYPE_DATA), CR0 & !PROTECTION),
    };
    (system.ds, system.es, system.fs, system.gs, system.ss) = (data, data, data, data, data);
    system.tr = tss();
    (system.gdt.base, system.gdt.limit) = (start.gdt, (DESCRIPTORS * 8 - 1) as u16);
    // As after a reset, and all of it zero: a limit of 0 is then the guest's own doing.
    (system.idt.base, system.idt.limit) = (0, u16::MAX);
    cpu.set_sregs(&system).map_err(Error::kvm("set the registers of a CPU"))?;
    let Start { entry, eax, ebx, esi, .. } = *start;
    let general = match start.mode {
        Mode::Protected => kvm_regs { rip: entry, rax: eax, rbx: ebx, rsi: esi, ..Default::default() },
        // The stack ends where the heap does.
        Mode::Real => {
            kvm_regs { rip: BIOS_START - BIOS, rdx: entry >> 4, rsp: start.stack, ..Default::default() }
        }
    };
    let general = kvm_regs { rflags: FLAGS, ..general };
    cpu.set_regs(&general).map_err(Error::kvm("set the registers of a CPU"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_the_manual() {
        assert_eq!(descriptor(&flat(CODE, TYPE_CODE)), 0x00cf_9b00_0000_ffff);
        assert_eq!(descriptor(&flat(DATA, TYPE_DATA)), 0x00cf_9300_0000_ffff);
        assert_eq!(descriptor(&tss()), 0x0000_8b00_0000_0067);
    }
}
