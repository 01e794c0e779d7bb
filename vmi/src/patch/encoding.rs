//! The bytes of a site, as a pure function of where it stands.

use vmi_abi::{Class, Info, Op, Override, SITE_LEN_MAX, Stack};
use vmi_native::NativeForm;

use crate::Error;

/// The opcode of a near relative `call`.
const CALL: u8 = 0xe8;
/// The opcode of a near relative `jmp`.
const JMP: u8 = 0xe9;
/// Bytes of both: the opcode, and the distance from the end of the branch.
const BRANCH_LEN: usize = 5;

/// The prefix for CS, which means nothing in front of any instruction that it may stand before. In front of a direct call
/// compilers use it, too, to make room (GCC manual, "x86 Options", `-mindirect-branch-cs-prefix`).
const FILL: u8 = 0x2e;
/// What fills a site up behind a jump: `int3`, never reached.
const TRAP: u8 = 0xcc;

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
/// The same bytes anywhere, or a near branch, whose distance depends on where it stands. One formula for both, because
/// the patcher computes it for every site of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    /// All bytes but those of the distance.
    fixed: u64,
    /// The distance of a branch that stands at address 0, at its place in the word; else 0.
    distance: u64,
    /// What makes an address a distance at its place in the word: a branch is the nearer the higher it stands; else 0.
    scale: u64,
    /// Ones for the bytes of the distance.
    mask: u64,
}

/// The addresses of sites from which a branch gets where it shall: an interval modulo 2⁶⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    start: usize,
    len: usize,
}

/// The code of a form, the function it branches to (if it is no branch, 0), and from where it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) code: Code,
    pub(super) target: usize,
    pub(super) reach: Reach,
}

impl Code {
    /// No bytes.
    pub(super) const NOTHING: Self = Self { fixed: 0, distance: 0, scale: 0, mask: 0 };

    /// Returns the bytes for a site at `address`, if that is in the code's [`Reach`].
    #[inline(always)]
    pub(super) fn at(self, address: usize) -> u64 {
        self.distance.wrapping_sub((address as u64).wrapping_mul(self.scale)) & self.mask | self.fixed
    }
}

impl Reach {
    /// From where the same bytes do the same: the top address, where no site fits, is not among them.
    pub(super) const EVERYWHERE: Self = Self { start: 0, len: usize::MAX };

    /// Returns from where a near branch reaches `target` that ends `end` bytes behind the start of its site.
    fn of(target: usize, end: usize) -> Self {
        Self { start: target.wrapping_sub(end + i32::MAX as usize), len: 1 << u32::BITS }
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

impl Encoding {
    /// Returns the native form of an op of that class, given the address of its bare-metal function.
    #[inline(always)]
    pub(super) fn native(class: Class, form: &NativeForm, function: usize) -> Self {
        match class {
            Class::Call => Self::call(function, form.site_len().into()),
            _ => Self::fixed(u64::from_le_bytes(form.bytes())),
        }
    }

    /// Returns the form of a replacement that is [`allow`]ed.
    pub(super) fn replacement(op: Op, with: Override<usize>) -> Self {
        let len = NativeForm::of(op).site_len().into();
        let jumps = op.class() == Class::Jump;
        match with {
            Override::Keep => Self::fixed(u64::from_le_bytes(NativeForm::of(op).bytes())),
            Override::Call(target) if jumps => Self::jump(target, len),
            Override::Call(target) => Self::call(target, len),
            Override::Nop => Self::fixed(word(NOPS[len])),
            Override::Inline(code) => {
                let (code, room) = (code.as_slice(), len - code.as_slice().len());
                Self::fixed(if jumps {
                    word(code) | repeated(TRAP, room) << bits(code.len())
                } else {
                    repeated(FILL, room) | word(code) << bits(room)
                })
            }
        }
    }

    /// Returns the form of the same bytes anywhere.
    fn fixed(bytes: u64) -> Self {
        Self { code: Code { fixed: bytes, ..Code::NOTHING }, target: 0, reach: Reach::EVERYWHERE }
    }

    /// Returns the form of a call in a site of `len` bytes.
    fn call(target: usize, len: usize) -> Self {
        let room = len - BRANCH_LEN;
        Self::branch(repeated(FILL, room) | u64::from(CALL) << bits(room), target, len)
    }

    /// Returns the form of a jump in a site of `len` bytes.
    fn jump(target: usize, len: usize) -> Self {
        let behind = if len == BRANCH_LEN { 0 } else { repeated(TRAP, len - BRANCH_LEN) << bits(BRANCH_LEN) };
        Self::branch(u64::from(JMP) | behind, target, BRANCH_LEN)
    }

    /// Returns the form of a branch that ends `end` bytes behind the start of its site, its distance last.
    fn branch(around: u64, target: usize, end: usize) -> Self {
        let scale = 1 << bits(end - size_of::<u32>());
        let code = Code {
            fixed: around,
            distance: (target.wrapping_sub(end) as u64).wrapping_mul(scale),
            scale,
            mask: u64::from(u32::MAX) * scale,
        };
        Self { code, target, reach: Reach::of(target, end) }
    }
}

/// Returns how many bits so many bytes have.
fn bits(bytes: usize) -> u32 {
    u8::BITS * bytes as u32
}

/// Returns a byte so many times, fewer than a word has, from the lowest up.
fn repeated(byte: u8, times: usize) -> u64 {
    u64::from_le_bytes([byte; SITE_LEN_MAX]) & ((1 << bits(times)) - 1)
}

/// Returns bytes as the start of a word, the rest 0.
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; SITE_LEN_MAX];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Tells whether a replacement may stand in the sites of an op.
///
/// # Errors
///
/// [`Error::Fit`], [`Error::Nothing`] and [`Error::Stack`].
pub(super) fn allow(op: Op, with: Override<usize>) -> Result<(), Error> {
    match with {
        Override::Keep => Ok(()),
        with => allow_by(op, op.info(), NativeForm::of(op).site_len().into(), with),
    }
}

/// Tells it by a row of the op list, for sites of `site` bytes.
fn allow_by(op: Op, info: &Info, site: usize, with: Override<usize>) -> Result<(), Error> {
    match with {
        Override::Nop if !info.may_be_nothing => Err(Error::Nothing(op)),
        Override::Call(_) if info.stack == Stack::Any && info.class != Class::Jump => Err(Error::Stack(op)),
        Override::Inline(code) if code.as_slice().len() > site => {
            Err(Error::Fit { op, len: code.as_slice().len(), site })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The formula against the CPU's own: the target is the end of the branch and the signed distance.
        #[test]
        fn a_branch_leads_to_its_target_from_where_it_reaches(
            target: usize,
            near in -0x1_0000_0000_i64..0x1_0000_0000,
            len in BRANCH_LEN..=SITE_LEN_MAX,
        ) {
            for (Encoding { code, reach, .. }, opcode, end) in [
                (Encoding::call(target, len), CALL, len),
                (Encoding::jump(target, len), JMP, BRANCH_LEN),
            ] {
                for address in [target.wrapping_add_signed(near as isize), near as usize] {
                    let bytes = code.at(address).to_le_bytes();
                    let distance = i32::from_le_bytes(bytes[end - 4..end].try_into().unwrap());
                    prop_assert_eq!(bytes[end - 5], opcode);
                    let leads = address.wrapping_add(end).wrapping_add_signed(distance as isize);
                    prop_assert_eq!(reach.contains(address), leads == target);
                    prop_assert!(bytes[..end - 5].iter().all(|&byte| byte == FILL));
                    prop_assert!(bytes[end..len].iter().all(|&byte| byte == TRAP));
                }
            }
        }

        #[test]
        fn what_is_in_reach_of_two_is_in_reach_of_each(one: usize, apart in -0x2_0000_0000_i64..0x2_0000_0000, at in -0x2_0000_0000_i64..0x2_0000_0000) {
            let reaches = [one, one.wrapping_add_signed(apart as isize)].map(|target| Reach::of(target, BRANCH_LEN));
            let address = one.wrapping_add_signed(at as isize);
            let both = reaches.iter().all(|reach| reach.contains(address));
            prop_assert_eq!(reaches[0].and(reaches[1]).contains(address), both);
            prop_assert_eq!(reaches[1].and(reaches[0]).contains(address), both);
            prop_assert_eq!(reaches[0].and(Reach::EVERYWHERE), reaches[0]);
            prop_assert_eq!(Reach::EVERYWHERE.and(reaches[0]), reaches[0]);
        }
    }

    const OP: Op = vmi_abi::irq::disable::OP;

    #[test]
    fn an_op_on_any_stack_is_never_replaced_by_a_call() {
        let mut anywhere = *OP.info();
        anywhere.stack = Stack::Any;
        assert_eq!(allow_by(OP, &anywhere, 5, Override::Call(0x1000)), Err(Error::Stack(OP)));
        assert_eq!(allow_by(OP, &anywhere, 5, Override::Nop), Ok(()));
        assert_eq!(allow_by(OP, OP.info(), 5, Override::Call(0x1000)), Ok(()));
        let mut jump = anywhere;
        jump.class = Class::Jump;
        assert_eq!(allow_by(OP, &jump, 5, Override::Call(0x1000)), Ok(()), "which pushes nothing");
    }

    #[test]
    fn an_op_whose_row_forbids_it_is_never_nothing() {
        let op = vmi_abi::cpu::write_cr3::OP;
        assert_eq!(allow(op, Override::Nop), Err(Error::Nothing(op)));
    }
}
