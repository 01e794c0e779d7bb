//! Pieces of an image, each of which has a place in memory.

use vm_memory::{Bytes, GuestAddress};

use super::input::Input;
use crate::error::{Error, Result};
use crate::layout::{BIOS_DATA, HOLE, IMAGE_MIN, LOW_RAM_END};
use crate::memory::{self, Memory};

/// A piece of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Segment {
    /// Its first byte in memory.
    pub(super) start: u64,
    /// How many bytes of memory it has; those that the file has not are 0.
    pub(super) in_memory: u64,
    /// Its first byte in the file.
    pub(super) offset: u64,
    /// How many bytes of it are in the file.
    pub(super) in_file: u64,
}

impl Segment {
    /// Behind its last byte in memory.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.in_memory)
    }
}

/// Sorts the segments by address, without those that are empty, and checks them.
///
/// # Errors
///
/// Names the first that lies outside the file or the memory, or in another one.
pub(super) fn check(image: &Input, mut segments: Vec<Segment>, ram_bytes: u64) -> Result<Vec<Segment>> {
    if segments.iter().any(|segment| segment.in_memory < segment.in_file) {
        return Err(image.damaged("a segment is larger in the file than in memory"));
    }
    segments.retain(|segment| segment.in_memory != 0);
    for segment in &segments {
        // Where a segment without bytes would have them decides nothing.
        let ends = segment.offset.checked_add(segment.in_file).is_some_and(|end| end <= image.length);
        if segment.in_file != 0 && !ends {
            return Err(image.damaged("it ends before its last segment does"));
        }
        let available = vec![0..LOW_RAM_END, IMAGE_MIN..ram_bytes.min(HOLE.start)];
        let (start, end) = (segment.start, segment.end());
        if !available.iter().any(|range| range.start <= start && end <= range.end) {
            return Err(Error::OutsideMemory { path: image.path.clone(), start, end, available });
        }
    }
    segments.sort_by_key(|segment| segment.start);
    if let Some(pair) = segments.windows(2).find(|pair| pair[0].end() > pair[1].start) {
        return Err(Error::Overlap { path: image.path.clone(), address: pair[1].start });
    }
    Ok(segments)
}

/// Copies the segments into memory that is 0, but for what a BIOS has there.
///
/// # Errors
///
/// Fails where the file cannot be read.
pub(super) fn load(memory: &Memory, image: &Input, segments: &[Segment]) -> Result<()> {
    for segment in segments.iter().filter(|segment| segment.start < BIOS_DATA.end) {
        let size = segment.end().min(BIOS_DATA.end) - segment.start;
        memory::write(memory, segment.start, &vec![0; size as usize])?;
    }
    for segment in segments.iter().filter(|segment| segment.in_file != 0) {
        place(memory, image, segment.start, segment.offset, segment.in_file)?;
    }
    Ok(())
}

/// Copies bytes of a file into memory.
///
/// # Errors
///
/// Fails where the file cannot be read, or has become shorter.
pub(super) fn place(memory: &Memory, file: &Input, start: u64, offset: u64, size: u64) -> Result<()> {
    use std::io::{Error as IoError, Seek, SeekFrom};
    let cannot = |reason| Error::File { path: file.path.clone(), reason };
    let mut source = &file.file;
    source.seek(SeekFrom::Start(offset)).map_err(cannot)?;
    memory
        .read_exact_volatile_from(GuestAddress(start), &mut source, size as usize)
        .map_err(|error| cannot(IoError::other(error)))
}
