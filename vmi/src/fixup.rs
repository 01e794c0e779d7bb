//! Faults that are answers: where an access that may fault goes on when it does.

// UNSAFETY: reads the table that the linker gathered.
#![expect(unsafe_code)]

use core::{arch::asm, slice};

use vmi_abi::Fixup;

unsafe extern "C" {
    #[link_name = "__start_vmi_fixups"]
    static START: Fixup;
    #[link_name = "__stop_vmi_fixups"]
    static STOP: Fixup;
}

/// Returns the address at which to go on after a general-protection fault at `rip`, if the instruction there was
/// allowed to fault ([`cpu::try_read_msr`](crate::cpu::try_read_msr) and its like).
///
/// The kernel's #GP handler asks this first; on `Some` it sets the frame's RIP to the address and returns. That holds
/// for the native form, and for whatever a backend put in its place. Holds no op itself.
pub fn landing(rip: u64) -> Option<u64> {
    // The linker defines the two symbols only if some code holds the section: this call does, with no record of its own.
    // SAFETY: no instruction is emitted.
    unsafe {
        asm!(
            __label!(),
            __tied_section!("vmi_fixups"),
            ".popsection",
            options(nomem, nostack, preserves_flags)
        )
    };
    let (start, stop) = (&raw const START, &raw const STOP);
    let count = (stop.addr() - start.addr()) / size_of::<Fixup>();
    // SAFETY: the linker put whole, aligned records between its two symbols; nothing writes them.
    let fixups = unsafe { slice::from_raw_parts(start, count) };
    find(fixups, rip)
}

/// Finds the record that covers `rip`. Records ascend by the text they cover.
fn find(fixups: &[Fixup], rip: u64) -> Option<u64> {
    let here = |fixup: &Fixup| (fixup as *const Fixup).addr() as u64;
    let start = |fixup: &Fixup| here(fixup).wrapping_add_signed(fixup.start.into());
    let fixup = fixups[..fixups.partition_point(|fixup| start(fixup) <= rip)].last()?;
    (rip.checked_sub(start(fixup))? < fixup.len.into())
        .then(|| here(fixup).wrapping_add_signed(fixup.landing.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_anywhere_in_the_covered_text_and_nowhere_else() {
        // Two records that cover 5 bytes each at +0x100 and +0x200 from the first.
        let fixups = [
            Fixup { start: 0x100, landing: 0x1000, len: 5 },
            Fixup { start: 0x200 - 12, landing: 0x2000 - 12, len: 5 },
        ];
        let base = fixups.as_ptr().addr() as u64;
        let landing = |offset: u64| find(&fixups, base + offset).map(|address| address - base);
        assert_eq!(landing(0xff), None);
        assert_eq!(landing(0x100), Some(0x1000));
        assert_eq!(landing(0x104), Some(0x1000));
        assert_eq!(landing(0x105), None);
        assert_eq!(landing(0x202), Some(0x2000));
        assert_eq!(landing(0x205), None);
        assert_eq!(find(&[], base), None);
    }
}
