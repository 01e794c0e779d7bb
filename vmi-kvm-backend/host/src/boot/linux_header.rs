//! The header of a Linux kernel.
//!
//! Source: Linux, `Documentation/arch/x86/boot.rst`, "The Real-Mode Kernel Header".

use super::input::Input;
use crate::error::Result;

/// Where the header begins, in the file and in the zero page; where its magic number is, and the jump over what follows.
pub(super) const START: usize = 0x1f1;
const MAGIC: usize = 0x202;
const JUMP: usize = 0x201;
/// How much of the file has all of it, and where it ends at the latest.
const FILE: usize = 0x300;
const END_MAX: usize = 0x290;

/// A field of up to 4 bytes: the protocol that introduced it, its place, its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field(u16, usize, usize);

pub(super) const SETUP_SECTS: Field = Field(0x200, 0x1f1, 1);
pub(super) const SYSSIZE: Field = Field(0x204, 0x1f4, 4);
pub(super) const LOADFLAGS: Field = Field(0x200, 0x211, 1);
pub(super) const CODE32_START: Field = Field(0x200, 0x214, 4);
pub(super) const INITRD_ADDR_MAX: Field = Field(0x203, 0x22c, 4);
pub(super) const CMDLINE_SIZE: Field = Field(0x206, 0x238, 4);
pub(super) const PREF_ADDRESS: [Field; 2] = [Field(0x20a, 0x258, 4), Field(0x20a, 0x25c, 4)];
pub(super) const INIT_SIZE: Field = Field(0x20a, 0x260, 4);

/// A header.
#[derive(Debug)]
pub(super) struct Header {
    /// Its bytes, from [`START`].
    pub(super) bytes: Vec<u8>,
    /// The version of its protocol.
    pub(super) version: u16,
}

impl Header {
    /// Reads the header of a file; returns nothing if there is none.
    ///
    /// # Errors
    ///
    /// Fails for one that is cut off.
    pub(super) fn read(image: &Input) -> Result<Option<Self>> {
        let start = image.read_at(0, FILE)?;
        if start.get(MAGIC..MAGIC + 4) != Some(b"HdrS") {
            return Ok(None);
        }
        // The header ends where its jump goes to.
        let end = (MAGIC + usize::from(start[JUMP])).min(END_MAX);
        let bytes = start.get(START..end).filter(|bytes| bytes.len() > 0x208 - START);
        let bytes = bytes.ok_or_else(|| image.damaged("it ends within its header"))?.to_vec();
        let version = u16::from_le_bytes([start[0x206], start[0x207]]);
        Ok(Some(Self { bytes, version }))
    }

    /// Returns the value of a field, 0 for one that the header is too old to have.
    pub(super) fn get(&self, Field(since, at, size): Field) -> u32 {
        let bytes = self.bytes.get(at - START..at - START + size).filter(|_| self.version >= since);
        bytes.unwrap_or_default().iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    /// Returns the value of a field, where it has one.
    pub(super) fn given(&self, field: Field) -> Option<u32> {
        Some(self.get(field)).filter(|value| *value != 0)
    }
}
