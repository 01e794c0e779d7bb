//! What of the memory an image leaves free, for what it is given: boot information at the lower end, files at the upper.

use std::ops::Range;
use std::path::Path;

use vm_memory::{Bytes, GuestAddress};

use super::command_line;
use super::input::Input;
use super::segment::{self, Segment};
use crate::error::{Error, Result};
use crate::layout::{BIOS_DATA, BOOT_DATA, HOLE, IMAGE_MIN, LOW_RAM_END, PAGE};
use crate::memory::{self, Memory};

/// Where pieces of boot information begin.
const ALIGN: u64 = 16;

/// A file in the guest's memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Placed {
    /// First byte.
    pub(super) start: u64,
    /// Size in bytes.
    pub(super) size: u64,
}

/// The memory that is still free.
pub(super) struct Space<'memory> {
    memory: &'memory Memory,
    ram_bytes: u64,
    /// Free ranges below the legacy area, by address.
    low: Vec<Range<u64>>,
    /// What is free behind the image.
    high: Range<u64>,
}

impl<'memory> Space<'memory> {
    /// Makes the space around an image, whose segments are given by address, in RAM of so many bytes.
    pub(super) fn new(memory: &'memory Memory, ram_bytes: u64, segments: &[Segment]) -> Self {
        let end = segments.last().map_or(0, Segment::end);
        let high = end.max(IMAGE_MIN)..ram_bytes.min(HOLE.start);
        let mut low = Vec::new();
        let mut start = BIOS_DATA.end;
        for segment in segments.iter().filter(|segment| segment.start < LOW_RAM_END) {
            low.push(start..segment.start);
            start = start.max(segment.end());
        }
        low.push(start..LOW_RAM_END);
        low.retain(|range| !range.is_empty());
        Self { memory, ram_bytes, low, high }
    }

    /// Returns the end of the RAM that 32 bits reach, up to the hole.
    pub(super) fn ram_end(&self) -> u64 {
        self.ram_bytes.min(HOLE.start)
    }

    /// Returns the memory map.
    pub(super) fn map(&self) -> Vec<memory::Range> {
        memory::map(self.ram_bytes)
    }

    /// Places boot information: where [`BOOT_DATA`] begins or behind, below that if the image is there, and at the upper
    /// end of RAM if it has all of that. Most images map low memory first, and some nothing else.
    ///
    /// # Errors
    ///
    /// Fails where there is no room.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<u64> {
        let size = bytes.len() as u64;
        let at = self.low(BOOT_DATA, size).or_else(|| self.low(0..BOOT_DATA.end, size));
        let at = at.or_else(|| self.high(size, u64::MAX)).ok_or(Error::NoRoomForData(size))?;
        memory::write(self.memory, at, bytes)?;
        Ok(at)
    }

    /// Places a text with a 0 byte behind it.
    ///
    /// # Errors
    ///
    /// Refuses one that is too long or holds a 0 byte.
    pub(super) fn text(&mut self, text: &str) -> Result<u64> {
        self.put(&command_line::bytes(text, usize::MAX)?)
    }

    /// Places a file, below the limit.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read or finds no room.
    pub(super) fn file(&mut self, path: &Path, limit: u64) -> Result<Placed> {
        let file = Input::open(path, self.ram_bytes)?;
        let (path, size) = (path.to_owned(), file.length);
        let start = self.high(size, limit).ok_or(Error::NoRoom { path, size })?;
        segment::place(self.memory, &file, start, 0, size)?;
        Ok(Placed { start, size })
    }

    /// Writes boot information anew.
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        memory::write(self.memory, at, bytes)
    }

    /// Reads what is in memory already.
    pub(super) fn read(&self, at: u64, size: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        let read = self.memory.read_slice(&mut bytes, GuestAddress(at));
        let reason = |error: vm_memory::GuestMemoryError| error.to_string();
        read.map_err(|error| Error::Memory { asked: size as u64, reason: reason(error) })?;
        Ok(bytes)
    }

    /// Takes the lowest bytes that are free within a range.
    fn low(&mut self, within: Range<u64>, size: u64) -> Option<u64> {
        for (index, free) in self.low.iter_mut().enumerate() {
            let start = free.start.max(within.start).next_multiple_of(ALIGN);
            let end = start + size;
            if end > free.end.min(within.end) {
                continue;
            }
            let before = free.start..start;
            free.start = end;
            self.low.insert(index, before);
            return Some(start);
        }
        None
    }

    /// Takes the highest pages that are free behind the image and below a limit.
    fn high(&mut self, size: u64, limit: u64) -> Option<u64> {
        let start = self.high.end.min(limit).checked_sub(size)? / PAGE * PAGE;
        if start < self.high.start {
            return None;
        }
        self.high.end = start;
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, end: u64) -> Segment {
        Segment { start, in_memory: end - start, offset: 0, in_file: 0 }
    }

    #[test]
    fn boot_data_goes_around_the_image_wherever_that_is() {
        let memory = memory::allocate(4 << 20).unwrap();
        let image = [IMAGE_MIN, IMAGE_MIN + PAGE];
        let space = |low: &[[u64; 2]]| {
            let segments: Vec<_> = low.iter().chain([&image]).map(|[a, b]| segment(*a, *b)).collect();
            let mut space = Space::new(&memory, 4 << 20, &segments);
            let mut taken = Vec::new();
            for size in [1, 40, 0x3000, 0x3000, 3] {
                let start = space.put(&vec![0; size]).unwrap();
                taken.push(segment(start, start + size as u64));
            }
            let mut all = [&segments[..], &taken].concat();
            all.sort_by_key(|segment| segment.start);
            assert!(all.windows(2).all(|pair| pair[0].end() <= pair[1].start), "{low:x?}: {all:x?}");
            taken.iter().map(|segment| segment.start).collect::<Vec<_>>()
        };
        let start = BOOT_DATA.start;
        assert_eq!(space(&[]), [start, start + 0x10, start + 0x40, start + 0x3040, start + 0x6040]);
        assert_eq!(space(&[[0x1000, 0x2000]])[0], start);
        assert_eq!(space(&[[0x9000, 0x9001]])[0], 0x9010);
        assert_eq!(space(&[[0x8000, 0x9800], [0x9840, 0x9f000]]), [0x9800, 0x9810, 0x1000, 0x4000, 0x9f000]);
        assert!(space(&[[0, LOW_RAM_END]]).iter().all(|start| *start > IMAGE_MIN));
    }

    #[test]
    fn files_lie_at_the_upper_end_and_below_their_limit() {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"content").unwrap();
        let memory = memory::allocate(4 << 20).unwrap();
        let mut space = Space::new(&memory, 4 << 20, &[segment(IMAGE_MIN, IMAGE_MIN + 1)]);
        assert_eq!(space.file(file.path(), u64::MAX).unwrap(), Placed { start: (4 << 20) - PAGE, size: 7 });
        assert_eq!(space.file(file.path(), 0x20_0007).unwrap(), Placed { start: 0x20_0000, size: 7 });
        assert_eq!(space.read(0x20_0000, 8).unwrap(), b"content\0");
        file.as_file().set_len(0x10_0000).unwrap();
        let full = space.file(file.path(), u64::MAX);
        assert!(matches!(full, Err(Error::NoRoom { size: 0x10_0000, .. })), "{full:?}");
    }
}
