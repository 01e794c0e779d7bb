//! The bytes of a site, as a pure function of where it stands.

use vmi_abi::{Class, Erased, Op, SITE_LEN_MAX};

use crate::{Error, native};

/// The opcode of a near relative `call`.
const CALL: u8 = 0xe8;
/// The opcode of a near relative `jmp`.
const JMP: u8 = 0xe9;
/// Bytes of both.
const BRANCH_LEN: usize = 5;

/// The recommended NOPs of each length. Source: Intel SDM, Volume 2, "NOP—No Operation", "Recommended Multi-Byte
/// Sequence of NOP Instruction".
const NOPS: [&[u8]; SITE_LEN_MAX + 1] = [
    &[],
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// What stands in every site of an op, as a little-endian word whose bytes past the site's length are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// The same bytes anywhere.
    Fixed(u64),
    /// A near branch to an address, and what fills a longer site behind it.
    Branch { opcode: u8, target: usize, tail: u64 },
}

impl Text {
    /// Returns the native text of an op, given the address of its bare-metal function.
    pub(super) fn native(op: Op, function: usize) -> Self {
        match op.class() {
            Class::Call => Self::Branch { opcode: CALL, target: function, tail: 0 },
            _ => Self::Fixed(u64::from_le_bytes(native::form(op).bytes)),
        }
    }

    /// Returns the text of an override, or `None` where the native text stays.
    ///
    /// # Errors
    ///
    /// [`Error::Fit`] and [`Error::Nothing`].
    pub(super) fn replacement(op: Op, with: Erased) -> Result<Option<Self>, Error> {
        let site = usize::from(native::form(op).len);
        Ok(Some(match with {
            Erased::Keep => return Ok(None),
            Erased::Call(target) => {
                let opcode = if op.class() == Class::Jump { JMP } else { CALL };
                Self::Branch { opcode, target, tail: word(&[], BRANCH_LEN, site) }
            }
            Erased::Nop if op.may_be_nothing() => Self::Fixed(word(&[], 0, site)),
            Erased::Nop => return Err(Error::Nothing(op)),
            Erased::Inline(code) if code.as_slice().len() <= site => {
                Self::Fixed(word(code.as_slice(), code.as_slice().len(), site))
            }
            Erased::Inline(code) => {
                return Err(Error::Fit { op, len: code.as_slice().len(), site });
            }
        }))
    }

    /// Returns the bytes for a site at `address`.
    ///
    /// # Errors
    ///
    /// The target that is out of reach from there.
    #[inline]
    pub(super) fn at(self, address: usize) -> Result<u64, usize> {
        match self {
            Self::Fixed(bytes) => Ok(bytes),
            Self::Branch { opcode, target, tail } => {
                let distance = target.wrapping_sub(address.wrapping_add(BRANCH_LEN)) as isize;
                let distance = i32::try_from(distance).map_err(|_| target)?;
                Ok(u64::from(opcode) | u64::from(distance as u32) << 8 | tail)
            }
        }
    }
}

/// Returns `code` at the start of a site of `len` bytes, and a NOP from byte `from` to its end.
fn word(code: &[u8], from: usize, len: usize) -> u64 {
    let mut bytes = [0; SITE_LEN_MAX];
    bytes[..code.len()].copy_from_slice(code);
    bytes[from..len].copy_from_slice(NOPS[len - from]);
    u64::from_le_bytes(bytes)
}
