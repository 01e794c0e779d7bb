//! Registers and counters of this CPU.

// UNSAFETY: implements unsafe methods by privileged instructions.
#![expect(unsafe_code)]

use crate::{Native, insn};
use core::arch::x86_64::{__cpuid_count, CpuidResult};
use vmi_abi::{Cpu, Fault};

impl Cpu for Native {
    #[inline]
    fn read_cr0() -> u64 {
        insn::read_cr0()
    }

    #[inline]
    unsafe fn write_cr0(value: u64) {
        // SAFETY: the caller ensures that the value is good.
        unsafe { insn::write_cr0(value) };
    }

    #[inline]
    fn read_cr2() -> u64 {
        insn::read_cr2()
    }

    #[inline]
    unsafe fn write_cr2(value: u64) {
        // SAFETY: the caller ensures that the value is good.
        unsafe { insn::write_cr2(value) };
    }

    #[inline]
    fn read_cr3() -> u64 {
        insn::read_cr3()
    }

    #[inline]
    unsafe fn write_cr3(value: u64) {
        // SAFETY: the caller ensures that the value is good.
        unsafe { insn::write_cr3(value) };
    }

    #[inline]
    fn read_cr4() -> u64 {
        insn::read_cr4()
    }

    #[inline]
    unsafe fn write_cr4(value: u64) {
        // SAFETY: the caller ensures that the value is good.
        unsafe { insn::write_cr4(value) };
    }

    #[inline]
    unsafe fn read_msr(msr: u32) -> u64 {
        // SAFETY: the caller ensures that the MSR may be read.
        unsafe { insn::rdmsr(msr) }
    }

    #[inline]
    unsafe fn write_msr(msr: u32, value: u64) {
        // SAFETY: the caller ensures that the MSR may have this value.
        unsafe { insn::wrmsr(msr, value) };
    }

    #[inline]
    unsafe fn try_read_msr(msr: u32) -> Result<u64, Fault> {
        // SAFETY: the caller ensures that reading is harmless if the MSR exists.
        let tried = unsafe { insn::try_rdmsr(msr) };
        if tried.fault == 0 { Ok(tried.value) } else { Err(Fault) }
    }

    #[inline]
    unsafe fn try_write_msr(msr: u32, value: u64) -> Result<(), Fault> {
        // SAFETY: the caller ensures that the effect is expected if the MSR takes the value.
        let fault = unsafe { insn::try_wrmsr(msr, value) };
        if fault == 0 { Ok(()) } else { Err(Fault) }
    }

    #[inline]
    fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
        __cpuid_count(leaf, subleaf)
    }

    #[inline]
    fn cycles() -> u64 {
        insn::rdtsc()
    }

    #[inline]
    fn relax() {
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmi_abi::Fixup;

    unsafe extern "C" {
        static __start_vmi_fixups: Fixup;
        static __stop_vmi_fixups: Fixup;
    }

    /// The record whose covered text starts within 32 bytes of a function, with the text's and the landing's
    /// addresses.
    fn fixup_of(function: usize) -> (usize, usize, u32) {
        let (start, stop) = (&raw const __start_vmi_fixups, &raw const __stop_vmi_fixups);
        let bytes = stop as usize - start as usize;
        assert_eq!(bytes % size_of::<Fixup>(), 0);
        // SAFETY: the linker defines the two symbols as the bounds of the section, which holds only records.
        let records = unsafe { core::slice::from_raw_parts(start, bytes / size_of::<Fixup>()) };
        let places = records.iter().map(|record| {
            let base = record as *const Fixup as usize;
            let at = |offset: i32| base.wrapping_add_signed(offset as isize);
            (at(record.start), at(record.landing), record.len)
        });
        let mut found = places.filter(|(text, ..)| (function..function + 32).contains(text));
        let record = found.next().expect("the function has a record");
        assert_eq!(found.next(), None);
        record
    }

    #[track_caller]
    fn check(function: usize, instruction: [u8; 2], landing: &[u8]) {
        let (text, to, len) = fixup_of(function);
        assert_eq!(len, 2);
        // SAFETY: the range is text of this program, inside the function or right behind it.
        let bytes = unsafe { core::slice::from_raw_parts(text as *const u8, 2) };
        assert_eq!(bytes, instruction);
        // SAFETY: as above.
        let bytes = unsafe { core::slice::from_raw_parts(to as *const u8, landing.len()) };
        assert_eq!(bytes, landing);
    }

    #[test]
    fn the_msr_read_lands_at_its_fault_result() {
        check(insn::try_rdmsr as *const () as usize, [0x0f, 0x32], &[0x31, 0xc0, 0xba, 1, 0, 0, 0, 0xc3]);
    }

    #[test]
    fn the_msr_write_lands_at_its_fault_result() {
        check(insn::try_wrmsr as *const () as usize, [0x0f, 0x30], &[0xb8, 1, 0, 0, 0, 0xc3]);
    }
}
