//! Text that can be written only through an alias, one page at a time.

// UNSAFETY: maps memory, and edits a text that is data.
#![expect(unsafe_code)]

use core::{
    cmp::min,
    ffi::c_void,
    ops::Range,
    ptr, slice,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use std::{os::fd::OwnedFd, vec::Vec};

use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
};
use vmi_abi::{Op, Override, SiteRecord, Text, cpu, irq, mmu};

use vmi_native::NativeForm;

use super::{Encoding, Records, inline, natives, plan, replacements, text};

const PAGE: usize = 4096;
/// Per page of the text, the frame that holds it: neighbours in the text are none in memory.
const FRAMES: [usize; 2] = [2, 0];
const LEN: usize = 5;

/// A page of records, and behind it a text of two pages that is mapped read-only.
struct Aliased {
    memory: OwnedFd,
    start: *mut c_void,
    text: [Range<*const u8>; 1],
    /// Writes that lay across the two pages.
    across: AtomicUsize,
}

// SAFETY: used by one thread at a time.
unsafe impl Sync for Aliased {}

// SAFETY: the text is this mapping's own; nobody executes it.
unsafe impl Text for Aliased {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.text
    }

    unsafe fn write(&self, place: *mut u8, mut bytes: &[u8]) {
        let mut at = place.addr() - self.text[0].start.addr();
        self.across.fetch_add(usize::from(at / PAGE != (at + bytes.len() - 1) / PAGE), Relaxed);
        while !bytes.is_empty() {
            let (in_page, rest) = bytes.split_at(min(bytes.len(), PAGE - at % PAGE));
            self.with_alias(at / PAGE, |alias| {
                // SAFETY: the alias is a page, and the bytes end in it.
                unsafe {
                    alias.wrapping_byte_add(at % PAGE).cast::<u8>().copy_from(in_page.as_ptr(), in_page.len())
                };
            });
            (at, bytes) = (at + in_page.len(), rest);
        }
    }
}

impl Aliased {
    fn new() -> Self {
        let memory = memfd_create("text", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, 3 * PAGE as u64).unwrap();
        let all = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, wherever there is room.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), PAGE * (1 + FRAMES.len()), all, MapFlags::PRIVATE) }
                .unwrap();
        for (page, frame) in FRAMES.into_iter().enumerate() {
            let place = start.wrapping_byte_add(PAGE * (1 + page));
            let over = MapFlags::SHARED | MapFlags::FIXED;
            // SAFETY: replaces a page of the new mapping.
            unsafe { mmap(place, PAGE, ProtFlags::READ, over, &memory, (frame * PAGE) as u64) }.unwrap();
        }
        let first = start.addr() + PAGE;
        let text = [text(first..first + PAGE * FRAMES.len())];
        Self { memory, start, text, across: AtomicUsize::new(0) }
    }

    /// Maps a page of the text once more, for writing.
    fn with_alias(&self, page: usize, write: impl FnOnce(*mut c_void)) {
        let (all, offset) = (ProtFlags::READ | ProtFlags::WRITE, (FRAMES[page] * PAGE) as u64);
        // SAFETY: a new mapping, wherever there is room.
        let alias =
            unsafe { mmap(ptr::null_mut(), PAGE, all, MapFlags::SHARED, &self.memory, offset) }.unwrap();
        write(alias);
        // SAFETY: the mapping just made; nothing keeps its address.
        unsafe { munmap(alias, PAGE) }.unwrap();
    }

    /// Makes the site of an op at an offset in the text, and its record.
    fn site(&self, op: Op, at: usize) -> &[SiteRecord] {
        let start = self.text[0].start.addr();
        let form = Encoding::native(op.class(), NativeForm::of(op), natives(start)(op));
        let place = ptr::with_exposed_provenance_mut(start + at);
        // SAFETY: the writer writes to its own mapping.
        unsafe { self.write(place, &form.code.at(start + at).to_le_bytes()[..LEN]) };
        let record = self.start.cast::<SiteRecord>();
        let offset = (PAGE + at) as i32;
        // SAFETY: the page of records is writable, and no earlier record is looked at any more.
        unsafe { record.write(SiteRecord { offset, op: op.number(), len: LEN as u8, reserved: 0 }) };
        // SAFETY: the record just written.
        unsafe { slice::from_raw_parts(record, 1) }
    }

    fn bytes(&self) -> Vec<u8> {
        // SAFETY: the text is mapped, and nobody writes meanwhile.
        unsafe { slice::from_raw_parts(self.text[0].start, PAGE * FRAMES.len()) }.to_vec()
    }
}

impl Drop for Aliased {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing outlives it.
        unsafe { munmap(self.start, PAGE * (1 + FRAMES.len())) }.unwrap();
    }
}

/// The pages of such a site need not be neighbours in memory: a writer that maps one page and writes on has to split.
#[test]
fn row_21_a_site_across_pages_that_are_written_one_at_a_time() {
    for in_first in 1..LEN {
        for (op, with) in [
            (irq::disable::OP, Override::Nop),
            (cpu::cycles::OP, inline(&[0x2e, 0x2e, 0x2e, 0x0f, 0x31])),
            (mmu::flush_local::OP, inline(&[0x2e, 0x2e, 0x2e, 0x2e, 0xf4])),
        ] {
            let aliased = Aliased::new();
            let at = PAGE - in_first;
            let records = Records::of_slice(aliased.site(op, at));
            let original = aliased.bytes();
            let natives = natives(aliased.text[0].start.addr());
            let plan = plan(natives, &replacements(&[(op, with)])).unwrap();
            let sites = plan.validate(records, &aliased).unwrap();
            aliased.across.store(0, Relaxed);
            // SAFETY: the text is this test's own, and nobody executes it.
            let edited = unsafe { sites.apply() };
            assert_eq!(aliased.across.load(Relaxed), 1, "the site is written at once");
            let mut expected = original.clone();
            expected[at..at + LEN].copy_from_slice(match with {
                Override::Inline(ref code) => code.as_slice(),
                _ => &[0x0f, 0x1f, 0x44, 0, 0],
            });
            assert!(aliased.bytes() == expected, "{op}, {in_first} bytes in the first page");
            // SAFETY: as above.
            unsafe { edited.restore() };
            assert!(aliased.bytes() == original, "{op}, {in_first} bytes in the first page");
        }
    }
}
