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

/// Returns the address at which to go on after a fault at `rip`, if the instruction there was allowed to fault.
///
/// | fault | of |
/// | --- | --- |
/// | #GP | [`cpu::try_read_msr`](crate::cpu::try_read_msr) and its like, where there is no such MSR |
/// | #UD, #PF | a backend's hypercall, where the CPU is not of the vendor that CPUID names |
///
/// The kernel's handlers of these three ask this first; on `Some` it sets the frame's RIP to the address and returns. That holds
/// for the native form, and for whatever a backend put in its place. Holds no op itself.
pub fn landing(rip: u64) -> Option<u64> {
    // The linker defines the two symbols only if some code holds the section: this call does, with no record of its own.
    // SAFETY: no instruction is emitted.
    unsafe {
        asm!(
            vmi_native::__label!(),
            vmi_native::__tied_section!("vmi_fixups"),
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

/// Finds the record that covers `rip`.
///
/// One after the other, not by halving, because nobody validates the records: whatever their order, what follows a fault
/// must be right.
fn find(fixups: &[Fixup], rip: u64) -> Option<u64> {
    fixups.iter().find_map(|fixup| {
        let here = (fixup as *const Fixup).addr() as u64;
        let start = here.wrapping_add_signed(fixup.start.into());
        let covered = rip.wrapping_sub(start) < fixup.len.into();
        covered.then(|| here.wrapping_add_signed(fixup.landing.into()))
    })
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

    #[test]
    fn a_fault_is_found_whatever_the_order_of_the_records() {
        const STARTS: [i32; 3] = [0x100, 0x200, 0x300];
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
            let fixups: [Fixup; 3] = core::array::from_fn(|index| {
                let (start, here) = (STARTS[order[index]], (index * size_of::<Fixup>()) as i32);
                Fixup { start: start - here, landing: 0x10 * start - here, len: 5 }
            });
            let base = fixups.as_ptr().addr() as u64;
            for start in STARTS.map(|start| start as u64) {
                assert_eq!(
                    find(&fixups, base + start + 2),
                    Some(base + 0x10 * start),
                    "{start:#x} {order:?}"
                );
                assert_eq!(find(&fixups, base + start + 5), None, "{start:#x} {order:?}");
            }
        }
    }
}
