//! Files that are placed in memory as they are: the first file system, and modules.

use std::path::Path;

use vm_memory::{Bytes, GuestAddress};

use super::start::open;
use crate::error::{Error, Result};
use crate::layout::{HOLE, PAGE};
use crate::memory::Memory;

/// A file in the guest's memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Placed {
    /// First byte.
    pub(super) start: u64,
    /// Size in bytes.
    pub(super) size: u64,
}

/// Room for files, given away from its upper end.
#[derive(Debug)]
pub(super) struct Room {
    start: u64,
    end: u64,
}

impl Room {
    /// Makes the room between an image's end and the end of the RAM that 32 bits reach, or the limit if that is lower.
    pub(super) fn new(image_end: u64, ram_bytes: u64, limit: u64) -> Self {
        Self { start: image_end, end: ram_bytes.min(HOLE.start).min(limit) }
    }

    /// Places a file.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read or finds no room.
    pub(super) fn place(&mut self, memory: &Memory, path: &Path) -> Result<Placed> {
        let cannot_read = |reason| Error::File { path: path.to_owned(), reason };
        let mut file = open(path)?;
        let size = file.metadata().map_err(cannot_read)?.len();
        let start = self.end.checked_sub(size).map(|start| start / PAGE * PAGE);
        let Some(start) = start.filter(|start| *start >= self.start) else {
            return Err(Error::NoRoom { path: path.to_owned(), size });
        };
        memory
            .read_exact_volatile_from(GuestAddress(start), &mut file, size as usize)
            .map_err(|error| cannot_read(std::io::Error::other(error)))?;
        self.end = start;
        Ok(Placed { start, size })
    }
}
