//! The bytes of a site, as a pure function of where it stands.

use vmi_abi::{Class, Erased, Op, SITE_LEN_MAX};

use crate::{Error, native};

/// The opcode of a near relative `call`.
const CALL: u8 = 0xe8;
/// The opcode of a near relative `jmp`.
const JMP: u8 = 0xe9;
/// Bytes of both: the opcode, and the distance from the end of the branch.
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

/// What stands in every site of an op, as a little-endian word.
///
/// The same bytes anywhere, or a near branch, whose bytes 1 to 4 depend on where it stands. One formula for both, because
/// the patcher computes it for every site of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// All bytes but those of the distance.
    fixed: u64,
    /// The distance of a branch that stands at address 0, modulo 2³²; else 0.
    distance: u32,
    /// All ones for a branch, which is the nearer the higher it stands; else 0.
    moving: u32,
}

/// The addresses of sites from which a branch gets where it shall: an interval modulo 2⁶⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    start: usize,
    len: usize,
}

/// A text, the function it branches to (if it is no branch, 0), and from where it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) text: Text,
    pub(super) target: usize,
    pub(super) reach: Reach,
}

impl Text {
    /// No bytes.
    pub(super) const NOTHING: Self = Self { fixed: 0, distance: 0, moving: 0 };

    /// Returns the bytes for a site at `address`, if that is in the text's [`Reach`].
    #[inline(always)]
    pub(super) fn at(self, address: usize) -> u64 {
        let distance = self.distance.wrapping_sub(address as u32 & self.moving);
        u64::from(distance) << 8 | self.fixed
    }
}

impl Reach {
    /// From where the same bytes do the same: the top address, where no site fits, is not among them.
    pub(super) const EVERYWHERE: Self = Self { start: 0, len: usize::MAX };

    /// Returns from where a near branch reaches `target`.
    fn of(target: usize) -> Self {
        Self { start: target.wrapping_sub(BRANCH_LEN + i32::MAX as usize), len: 1 << u32::BITS }
    }

    /// Tells whether `address` is one of the addresses.
    #[inline(always)]
    pub(super) fn contains(self, address: usize) -> bool {
        address.wrapping_sub(self.start) < self.len
    }

    /// Returns the addresses that are also in `other`.
    pub(super) fn and(self, other: Self) -> Self {
        let (first, second) = match (self, other) {
            (Self::EVERYWHERE, some) | (some, Self::EVERYWHERE) => return some,
            _ if self.contains(other.start) => (self, other),
            _ => (other, self),
        };
        let skipped = second.start.wrapping_sub(first.start);
        Self { start: second.start, len: first.len.saturating_sub(skipped).min(second.len) }
    }
}

impl Form {
    /// Returns the native form of an op, given the address of its bare-metal function.
    pub(super) fn native(op: Op, function: usize) -> Self {
        match op.class() {
            Class::Call => Self::branch(CALL, function, 0),
            _ => Self::fixed(u64::from_le_bytes(native::form(op).bytes)),
        }
    }

    /// Returns the form of an override, or `None` where the native form stays.
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
                Self::branch(opcode, target, word(&[], BRANCH_LEN, site))
            }
            Erased::Nop if op.may_be_nothing() => Self::fixed(word(&[], 0, site)),
            Erased::Nop => return Err(Error::Nothing(op)),
            Erased::Inline(code) if code.as_slice().len() <= site => {
                Self::fixed(word(code.as_slice(), code.as_slice().len(), site))
            }
            Erased::Inline(code) => {
                return Err(Error::Fit { op, len: code.as_slice().len(), site });
            }
        }))
    }

    /// Returns the form of the same bytes anywhere.
    fn fixed(bytes: u64) -> Self {
        Self { text: Text { fixed: bytes, distance: 0, moving: 0 }, target: 0, reach: Reach::EVERYWHERE }
    }

    /// Returns the form of a branch, and what fills a longer site behind it.
    fn branch(opcode: u8, target: usize, behind: u64) -> Self {
        let distance = target.wrapping_sub(BRANCH_LEN) as u32;
        let text = Text { fixed: u64::from(opcode) | behind, distance, moving: u32::MAX };
        Self { text, target, reach: Reach::of(target) }
    }
}

/// Returns `code` at the start of a site of `len` bytes, and a NOP from byte `from` to its end.
fn word(code: &[u8], from: usize, len: usize) -> u64 {
    let mut bytes = [0; SITE_LEN_MAX];
    bytes[..code.len()].copy_from_slice(code);
    bytes[from..len].copy_from_slice(NOPS[len - from]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The formula against the CPU's own: the target is the end of the branch and the signed distance.
        #[test]
        fn a_branch_leads_to_its_target_from_where_it_reaches(target: usize, near in -0x1_0000_0000_i64..0x1_0000_0000) {
            let Form { text, reach, .. } = Form::branch(CALL, target, 0);
            for address in [target.wrapping_add_signed(near as isize), near as usize] {
                let bytes = text.at(address).to_le_bytes();
                let distance = i32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
                let end = address.wrapping_add(BRANCH_LEN);
                prop_assert_eq!(bytes[0], CALL);
                prop_assert_eq!(reach.contains(address), end.wrapping_add_signed(distance as isize) == target);
            }
        }

        #[test]
        fn what_is_in_reach_of_two_is_in_reach_of_each(one: usize, apart in -0x2_0000_0000_i64..0x2_0000_0000, at in -0x2_0000_0000_i64..0x2_0000_0000) {
            let reaches = [one, one.wrapping_add_signed(apart as isize)].map(Reach::of);
            let address = one.wrapping_add_signed(at as isize);
            let both = reaches.iter().all(|reach| reach.contains(address));
            prop_assert_eq!(reaches[0].and(reaches[1]).contains(address), both);
            prop_assert_eq!(reaches[1].and(reaches[0]).contains(address), both);
            prop_assert_eq!(reaches[0].and(Reach::EVERYWHERE), reaches[0]);
            prop_assert_eq!(Reach::EVERYWHERE.and(reaches[0]), reaches[0]);
        }
    }

    #[test]
    fn what_fills_a_longer_site_behind_a_branch_stays() {
        let Form { text, .. } = Form::branch(CALL, 0x1000, word(&[], BRANCH_LEN, 7));
        assert_eq!(text.at(0xfff0).to_le_bytes(), [0xe8, 0x0b, 0x10, 0xff, 0xff, 0x66, 0x90, 0]);
    }
}
