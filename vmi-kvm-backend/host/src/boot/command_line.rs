//! The kernel's command line.

use crate::error::{Error, Result};
use crate::layout::COMMAND_LINE;
use crate::memory::{self, Memory};

/// Writes the command line, with a 0 byte behind it, for a kernel that takes so many bytes at most.
///
/// # Errors
///
/// Refuses one that is too long or holds a 0 byte.
pub(super) fn write(memory: &Memory, line: &str, most: usize) -> Result<()> {
    let room = most.min((COMMAND_LINE.end - COMMAND_LINE.start) as usize - 1);
    if line.len() > room {
        return Err(Error::CommandLineTooLong { length: line.len(), room });
    }
    if line.contains('\0') {
        return Err(Error::CommandLineZero);
    }
    memory::write(memory, COMMAND_LINE.start, &[line.as_bytes(), b"\0"].concat())
}
