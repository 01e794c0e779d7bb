//! The PVH start info, as far as this kernel reads it. Source: Xen, `public/arch-x86/hvm/start_info.h`.

use core::fmt;

/// `hvm_start_info.magic`.
const MAGIC: u32 = 0x336e_c578;

/// What the boot loader passes: physical addresses, 0 where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartInfo {
    /// Version of the structure.
    pub version: u32,
    /// How many modules were loaded.
    pub modules: u32,
    /// The command line, ended by a 0 byte.
    pub command_line: Option<u64>,
    /// ACPI's root pointer.
    pub rsdp: Option<u64>,
    /// The memory map and its number of entries, from version 1 on.
    pub memory_map: Option<(u64, u32)>,
}

/// The structure is not a start info: the magic number found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMagic(pub u32);

impl fmt::Display for BadMagic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the PVH start info has magic {:#x}, not {MAGIC:#x}", self.0)
    }
}

impl StartInfo {
    /// Bytes of the structure in version 0, without the memory map.
    pub const LEN_V0: usize = 40;
    /// Bytes of the structure from version 1 on.
    pub const LEN_V1: usize = 56;

    /// Returns how many bytes the structure has whose first eight are `head`.
    ///
    /// # Errors
    ///
    /// [`BadMagic`].
    pub fn len(head: &[u8; 8]) -> Result<usize, BadMagic> {
        let [m0, m1, m2, m3, v0, v1, v2, v3] = *head;
        match u32::from_le_bytes([m0, m1, m2, m3]) {
            MAGIC if u32::from_le_bytes([v0, v1, v2, v3]) == 0 => Ok(Self::LEN_V0),
            MAGIC => Ok(Self::LEN_V1),
            other => Err(BadMagic(other)),
        }
    }

    /// Reads the structure; of one shorter than its version says, what is missing is absent.
    ///
    /// # Errors
    ///
    /// [`BadMagic`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadMagic> {
        let u32_at =
            |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let u64_at =
            |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        let address = |at| Some(u64_at(at)).filter(|address| *address != 0);
        if u32_at(0) != MAGIC {
            return Err(BadMagic(u32_at(0)));
        }
        let version = u32_at(4);
        let memory_map =
            address(40).filter(|_| version >= 1).zip(Some(u32_at(48)).filter(|count| *count != 0));
        Ok(Self { version, modules: u32_at(12), command_line: address(24), rsdp: address(32), memory_map })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(version: u32) -> [u8; 56] {
        let mut bytes = [0; 56];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        bytes[24..32].copy_from_slice(&0x9000_u64.to_le_bytes());
        bytes[40..48].copy_from_slice(&0xa000_u64.to_le_bytes());
        bytes[48..52].copy_from_slice(&3_u32.to_le_bytes());
        bytes
    }

    #[test]
    fn row_26_bad_start_info_magic() {
        let mut bytes = bytes(1);
        bytes[0] ^= 1;
        assert_eq!(StartInfo::parse(&bytes), Err(BadMagic(MAGIC ^ 1)));
        assert_eq!(StartInfo::parse(&[]), Err(BadMagic(0)));
        assert_eq!(StartInfo::len(&[0; 8]), Err(BadMagic(0)));
    }

    #[test]
    fn row_26_zero_modules_and_no_command_line() {
        let mut bytes = bytes(1);
        bytes[24..32].fill(0);
        let info = StartInfo::parse(&bytes).expect("the magic is right");
        assert_eq!((info.modules, info.command_line, info.rsdp), (0, None, None));
    }

    #[test]
    fn row_26_memory_map_absent() {
        let old = StartInfo::parse(&bytes(0)).expect("the magic is right");
        assert_eq!(old.memory_map, None, "version 0 has none, whatever lies behind it");
        let mut empty = bytes(1);
        empty[48..52].fill(0);
        assert_eq!(StartInfo::parse(&empty).map(|info| info.memory_map), Ok(None));
        assert_eq!(StartInfo::parse(&bytes(1)).map(|info| info.memory_map), Ok(Some((0xa000, 3))));
        let cut = StartInfo::parse(&bytes(1)[..StartInfo::LEN_V0]).expect("the magic is right");
        assert_eq!(cut.memory_map, None);
    }
}
