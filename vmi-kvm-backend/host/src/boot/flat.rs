//! Flat images: what a multiboot header says itself of what is to be loaded ("a.out kludge").

use super::input::Input;
use super::segment::Segment;
use crate::error::Result;

/// The addresses that a multiboot header gives. Source: Multiboot specification, "The address fields of Multiboot header".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Addresses {
    /// Where the header is in memory.
    pub(super) header: u32,
    /// The first byte to load.
    pub(super) load: u32,
    /// Behind the last one; 0 for the file's end.
    pub(super) load_end: u32,
    /// Behind what is to be 0; 0 for nothing.
    pub(super) bss_end: u32,
}

/// Returns what is to be loaded, for a header at that offset in the file.
///
/// # Errors
///
/// Refuses addresses that contradict each other or the file.
pub(super) fn segment(image: &Input, header_offset: u64, addresses: Addresses) -> Result<Segment> {
    let Addresses { header, load, load_end, bss_end } = addresses;
    let offset = header.checked_sub(load).and_then(|before| header_offset.checked_sub(before.into()));
    let Some(offset) = offset else {
        let reason = format!("its header is at {header_offset:#x}, so {load:#x} would lie before the file");
        return Err(image.damaged(reason));
    };
    let in_file = match load_end {
        0 => image.length - offset,
        end => u64::from(end).checked_sub(load.into()).ok_or_else(|| {
            image.damaged(format_args!("what it loads ends at {end:#x}, before it begins at {load:#x}"))
        })?,
    };
    let in_memory = match bss_end {
        0 => in_file,
        end => u64::from(end).checked_sub(load.into()).filter(|size| *size >= in_file).ok_or_else(|| {
            image.damaged(format_args!("it ends at {end:#x}, within the {in_file} bytes from {load:#x}"))
        })?,
    };
    Ok(Segment { start: load.into(), in_memory, offset, in_file })
}
