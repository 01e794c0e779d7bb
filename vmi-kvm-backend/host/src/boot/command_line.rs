//! Command lines, of the kernel and of modules.

use crate::error::{Error, Result};
use crate::layout::COMMAND_LINE_MAX;

/// Returns a command line with a 0 byte behind it, for a kernel that takes so many bytes at most.
///
/// # Errors
///
/// Refuses one that is too long or holds a 0 byte.
pub(super) fn bytes(line: &str, most: usize) -> Result<Vec<u8>> {
    let room = most.min(COMMAND_LINE_MAX);
    if line.len() > room {
        return Err(Error::CommandLineTooLong { length: line.len(), room });
    }
    if line.contains('\0') {
        return Err(Error::CommandLineZero);
    }
    Ok([line.as_bytes(), b"\0"].concat())
}
