//! Page tables: write-protected text, no executable data, and a window whose mapping the checks change.

// UNSAFETY: edits the page tables in use.
#![expect(unsafe_code)]

use core::cell::UnsafeCell;

use vmi_abi::{Cpu, Mmu, Platform};
use vmi_native::Native;
use x86_64::registers::model_specific::{Efer, EferFlags};

use super::{image, platform::PLATFORM};

/// Page-table bits. Source: Intel SDM, Volume 3, "4-Level Paging and 5-Level Paging".
pub const PRESENT: u64 = 1;
pub const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
pub const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const PAGE: usize = 4096;
const LARGE_PAGE: usize = 512 * PAGE;

/// A page of anything: a table, or a frame.
#[repr(C, align(4096))]
pub struct Page(UnsafeCell<[u64; 512]>);

// SAFETY: one CPU; whoever writes to a page says in his own words why nobody else uses it.
unsafe impl Sync for Page {}

impl Page {
    /// Returns a page of zeros.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }

    /// Returns the address of an entry.
    pub fn entry(&self, index: usize) -> *mut u64 {
        assert!(index < 512);
        self.0.get().cast::<u64>().wrapping_add(index)
    }

    /// Returns where the page starts.
    pub const fn start(&self) -> *const u8 {
        self.0.get().cast_const().cast()
    }

    /// Returns the physical address of the page.
    pub fn physical(&self) -> u64 {
        PLATFORM.get().physical_address(self.0.get().cast())
    }
}

unsafe extern "C" {
    /// The four page directories of `boot.s`, which map the first 4 GiB.
    static boot_directories: [Page; 4];
}

/// Tables for the 4 KiB pages of the image: 16 MiB of it.
static TABLES: [Page; 8] = [const { Page::new() }; 8];

/// Maps every segment of the image as its program header says, and everything else writable and not executable.
///
/// # Panics
///
/// When the image is too large for its tables.
///
/// # Safety
///
/// - The page tables of `boot.s` are in use, and [`PLATFORM`] is set.
/// - The stack, and all that is written to, lies in writable segments.
pub unsafe fn protect() {
    let no_execute = allow_no_execute();
    // SAFETY: the symbol is that of `boot.s`.
    let directories = unsafe { &boot_directories };
    let physical =
        |address| PLATFORM.get().physical_address(core::ptr::with_exposed_provenance(address)) as usize;
    let (mut start, mut end) = (usize::MAX, 0);
    for segment in image::segments() {
        start = start.min(physical(segment.range.start) / LARGE_PAGE);
        end = end.max(physical(segment.range.end - 1) / LARGE_PAGE + 1);
    }
    assert!(end - start <= TABLES.len(), "the image needs {} page tables", end - start);
    for (frame, table) in (start..end).zip(&TABLES) {
        for page in 0..512 {
            let address = (frame * LARGE_PAGE + page * PAGE) as u64;
            // SAFETY: the table is not in use yet.
            unsafe { table.entry(page).write(address | PRESENT | WRITABLE | no_execute) };
        }
    }
    // A page that two segments share allows what either needs, but never both to write and to execute.
    let mut done = 0;
    for segment in image::segments() {
        let first = physical(segment.range.start) / PAGE;
        let last = physical(segment.range.end - 1) / PAGE;
        for page in first..=last {
            let slot = TABLES[page / 512 - start].entry(page % 512);
            // SAFETY: the table is not in use yet.
            let shared = if page < done { unsafe { slot.read() } } else { no_execute };
            let writable = segment.writable || shared & WRITABLE != 0;
            let executable = segment.executable || shared & no_execute != no_execute;
            assert!(
                !(writable && executable),
                "data shares the page at {:#x} with text",
                segment.range.start
            );
            let mut entry = (page * PAGE) as u64 | PRESENT;
            entry |= if writable { WRITABLE } else { 0 };
            entry |= if executable { 0 } else { no_execute };
            // SAFETY: the table is not in use yet.
            unsafe { slot.write(entry) };
        }
        done = last + 1;
    }
    for (frame, table) in (start..end).zip(&TABLES) {
        let entry = directories[frame / 512].entry(frame % 512);
        // SAFETY: the table maps the same frames, and the image's segments as they are used.
        unsafe { entry.write_volatile(table.physical() | PRESENT | WRITABLE) };
    }
    <Native as Mmu>::flush_local();
}

/// Returns the bit that forbids execution, where the CPU has it, and lets the CPU heed it.
fn allow_no_execute() -> u64 {
    let extended = <Native as Cpu>::cpuid(0x8000_0001, 0);
    if extended.edx & 1 << 20 == 0 {
        return 0;
    }
    // SAFETY: the CPU has the feature.
    unsafe { Efer::update(|efer| *efer |= EferFlags::NO_EXECUTE_ENABLE) };
    NO_EXECUTE
}

/// The entry of the top table that leads to the window, and the address it starts at.
const WINDOW_INDEX: usize = 1;
/// A page of virtual memory that nothing else uses.
pub const WINDOW: usize = WINDOW_INDEX << 39;

static WINDOW_TABLES: [Page; 3] = [const { Page::new() }; 3];

/// Returns the page-table entry of [`WINDOW`], and makes the tables that lead to it.
pub fn window_entry() -> *mut u64 {
    let [third, second, first] = &WINDOW_TABLES;
    let lead = |entry: *mut u64, table: &Page| {
        // SAFETY: the entry leads to the window and nothing else.
        unsafe { entry.write_volatile(table.physical() | PRESENT | WRITABLE) };
    };
    lead(top_entry(WINDOW_INDEX), third);
    lead(third.entry(0), second);
    lead(second.entry(0), first);
    first.entry(0)
}

/// Returns an entry of the top table in use, which lies below 4 GiB and so is mapped where it is.
fn top_entry(index: usize) -> *mut u64 {
    let top = (<Native as Cpu>::read_cr3() & ADDRESS) as usize;
    core::ptr::with_exposed_provenance_mut::<u64>(top).wrapping_add(index)
}

/// Copies the top table into `page` and returns the value of CR3 that selects the copy.
pub fn copy_of_top_table(page: &Page) -> u64 {
    for index in 0..512 {
        // SAFETY: the top table is mapped.
        let entry = unsafe { top_entry(index).read_volatile() };
        // SAFETY: the page is not in use as a table, or holds the same entries.
        unsafe { page.entry(index).write_volatile(entry) };
    }
    page.physical()
}

/// Tells whether the page at `address` may be written to, as the tables in use say.
pub fn is_writable(address: usize) -> bool {
    let mut writable = true;
    walk(address, |entry| writable &= entry & WRITABLE != 0);
    writable
}

/// Lets a page of the image be executed and no more be written to, or the other way round.
pub fn set_executable(page: &Page, executable: bool) {
    let address = page.0.get().addr();
    let entry = walk(address, |_| {});
    let no_execute = allow_no_execute();
    // SAFETY: page tables lie below 4 GiB and so are mapped where they are.
    let frame = unsafe { entry.read_volatile() } & ADDRESS;
    let access = if executable { 0 } else { WRITABLE | no_execute };
    // SAFETY: the frame stays; nobody uses the page meanwhile.
    unsafe { entry.write_volatile(frame | PRESENT | access) };
    <Native as Mmu>::flush_page(address as u64);
}

/// Shows the entries that lead to `address`, from the top table down, and returns where the last one lies.
fn walk(address: usize, mut show: impl FnMut(u64)) -> *mut u64 {
    let mut table = (<Native as Cpu>::read_cr3() & ADDRESS) as usize;
    for shift in [39, 30, 21, 12] {
        let place = core::ptr::with_exposed_provenance_mut::<u64>(table).wrapping_add(address >> shift & 511);
        // SAFETY: page tables lie below 4 GiB and so are mapped where they are.
        let entry = unsafe { place.read_volatile() };
        show(entry);
        if shift == 12 || entry & LARGE != 0 {
            return place;
        }
        table = (entry & ADDRESS) as usize;
    }
    unreachable!("the last table has pages")
}
