//! This program as a kernel: its text, and how that is written.

// UNSAFETY: implements the platform, puts pages in place of text, and edits sites.
#![expect(unsafe_code)]

use core::{ops::Range, ptr};

use rustix::mm::{MapFlags, MprotectFlags, MremapFlags, ProtFlags, mmap_anonymous, mprotect, mremap_fixed};
use vmi::{
    Platform, Text,
    patch::{Plan, Records},
};
use vmi_abi::Replacements;

unsafe extern "C" {
    // The linker's own: where the program begins, and where its text ends.
    static __executable_start: u8;
    static etext: u8;
}

/// Bytes of a page of memory.
const PAGE: usize = 4096;

/// This program.
pub static PROGRAM: Program = Program { text: [&raw const __executable_start..&raw const etext] };

/// A program of an operating system, as far as the patcher has to know it.
#[derive(Debug)]
pub struct Program {
    text: [Range<*const u8>; 1],
}

// SAFETY: the pointers are only compared, and handed to `write`.
unsafe impl Sync for Program {}

// SAFETY: between the linker's two symbols lies the program, mapped readable as far as its text goes; `write` puts a
// copy in place that differs in the bytes given; no op is used here.
unsafe impl Text for Program {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.text
    }

    /// Edits a copy of the pages, while it may be written and not executed, and puts it in the place of the pages, when
    /// it may be executed and not written, in one step. A copy, not the pages themselves, because this function may lie
    /// in them, and no page is ever to be both.
    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        let start = place.map_addr(|address| address & !(PAGE - 1));
        let offset = place.addr() - start.addr();
        let len = (offset + bytes.len()).next_multiple_of(PAGE);
        let writable = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, where there was none.
        let copy = unsafe { mmap_anonymous(ptr::null_mut(), len, writable, MapFlags::PRIVATE) };
        let copy = copy.expect("memory for a copy of the text");
        // SAFETY: by the caller, `place` lies in text, which is mapped in whole pages; the copy is as long.
        unsafe { copy.cast::<u8>().copy_from_nonoverlapping(start, len) };
        // SAFETY: the offset is that of the place.
        let place_in_copy = unsafe { copy.cast::<u8>().add(offset) };
        // SAFETY: the copy reaches to the end of the bytes.
        unsafe { place_in_copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        // SAFETY: the copy's own mapping, which is not written any more.
        unsafe { mprotect(copy, len, MprotectFlags::READ | MprotectFlags::EXEC) }
            .expect("text that may be executed");
        // SAFETY: what is at `start` is as it was but for the bytes given, which by the caller nobody executes now.
        let moved = unsafe { mremap_fixed(copy, len, len, MremapFlags::MAYMOVE, start.cast()) };
        moved.expect("text in the place of text");
    }
}

// SAFETY: the addresses serve a hypervisor that is part of the program; no op is used here.
unsafe impl Platform for Program {
    fn physical_address(&self, pointer: *const u8) -> u64 {
        pointer.expose_provenance() as u64
    }
}

/// Does something while the sites of this program are edited.
///
/// # Panics
///
/// When the replacements do not fit.
///
/// # Safety
///
/// - The replacements do what their ops do, or what `run` expects of the ops that it uses.
/// - No other thread uses an op.
pub unsafe fn edited<T>(replacements: &Replacements, run: impl FnOnce() -> T) -> T {
    let plan = Plan::new(replacements).expect("replacements that fit");
    let records = Records::of_image().expect("records");
    let sites = plan.validate(records, &PROGRAM).expect("valid records");
    // SAFETY: by the caller, the replacements are good, and no other thread executes a site; signals do not either.
    let sites = unsafe { sites.apply() };
    let result = run();
    // SAFETY: as above.
    unsafe { sites.restore() };
    result
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use vmi_abi::{Inline, Leaf, Override, leaf, mmu};

    use super::*;
    use crate::insn;

    #[inline(never)]
    fn set_entry(entry: &Cell<u64>, value: u64) {
        // SAFETY: a cell is valid for a write.
        unsafe { vmi::mmu::set_entry(entry.as_ptr(), value) };
    }

    fn while_it_is(with: Override<Leaf<mmu::set_entry>>) -> u64 {
        let mut replacements = Replacements::KEEP;
        replacements.set::<mmu::set_entry>(with);
        let entry = Cell::new(0);
        // SAFETY: the tests of this file are one, and no other uses the op.
        unsafe { edited(&replacements, || set_entry(&entry, 3)) };
        let found = entry.get();
        set_entry(&entry, 5);
        assert_eq!(entry.get(), 5, "the site is not native again");
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings of this process");
        let flags = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let both = maps.lines().find(|line| flags(line).contains('w') && flags(line).contains('x'));
        assert_eq!(both, None, "a mapping may be written and executed");
        found
    }

    #[test]
    fn sites_are_edited_and_put_back() {
        assert_eq!(while_it_is(Override::Keep), 3);
        // SAFETY: a NOP, which this test expects to store nothing.
        assert_eq!(while_it_is(Override::Inline(unsafe { Inline::promise(&[0x0f, 0x1f, 0x00]) })), 0);
        let thunk = leaf!(mmu::set_entry, |entry: *mut u64, value| {
            // SAFETY: the op's store, but for the value, which this test expects.
            unsafe { entry.write_volatile(value + 8) };
        });
        assert_eq!(while_it_is(thunk), 11);
        // SAFETY: the op's store, and a return.
        assert_eq!(while_it_is(Override::Call(unsafe { Leaf::promise(insn::set_entry) })), 3);
    }
}
