//! What this kernel tells the library.

// UNSAFETY: implements an unsafe trait, and writes to text.
#![expect(unsafe_code)]

use core::{ops::Range, ptr};

use vmi_abi::{CommandLine, Cpu, Machine};
use vmi_native::Native;
use x86_64::registers::control::Cr0Flags;

use super::{image, once::Once};

/// The platform, once [`set`] made it.
pub static PLATFORM: Once<SamplePlatform> = Once::new();

/// Text, addresses and command line of the sample kernel.
#[derive(Debug)]
pub struct SamplePlatform {
    text: [Range<*const u8>; 1],
    virtual_offset: u64,
    command_line: &'static str,
}

/// Describes the machine anew.
pub fn machine() -> Machine<'static> {
    Machine::new(&<Native as Cpu>::cpuid, CommandLine::new(PLATFORM.get().command_line))
}

/// Makes [`PLATFORM`].
///
/// # Panics
///
/// When the image has not exactly one segment of text.
///
/// # Safety
///
/// - `virtual_offset` is the distance from physical addresses of the image to the ones it was linked at.
/// - Called once, before anyone uses [`PLATFORM`].
pub unsafe fn set(virtual_offset: u64, command_line: &'static str) {
    let mut segments = image::segments().filter(|segment| segment.executable);
    let segment = segments.next().expect("a segment of text");
    assert!(segments.next().is_none(), "more than one segment of text");
    let text =
        ptr::with_exposed_provenance(segment.range.start)..ptr::with_exposed_provenance(segment.range.end);
    let platform = SamplePlatform { text: [text], virtual_offset, command_line };
    // SAFETY: by the caller, nobody reads yet.
    unsafe { PLATFORM.set(platform) };
}

// SAFETY: the pointers of the text are only compared and handed to `write`.
unsafe impl Sync for SamplePlatform {}

// SAFETY: the text is the loaded segment, mapped readable; `write` copies, `edit` calls; no op is used here.
unsafe impl vmi::Text for SamplePlatform {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.text
    }

    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        // SAFETY: by the caller, these bytes are text, nobody executes them now, and `edit` lets them be written.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    unsafe fn edit(&self, edit: &mut dyn FnMut()) {
        let protected = <Native as Cpu>::read_cr0();
        // SAFETY: only lets ring 0 write to read-only pages until the next line but one.
        unsafe { <Native as Cpu>::write_cr0(protected & !Cr0Flags::WRITE_PROTECT.bits()) };
        edit();
        // SAFETY: CR0 as it was.
        unsafe { <Native as Cpu>::write_cr0(protected) };
    }
}

// SAFETY: the image is loaded in one piece, so the offset holds for every byte of it; no op is used here.
unsafe impl vmi::Platform for SamplePlatform {
    fn physical_address(&self, pointer: *const u8) -> u64 {
        (pointer.addr() as u64).wrapping_sub(self.virtual_offset)
    }

    fn command_line(&self) -> &str {
        self.command_line
    }
}
