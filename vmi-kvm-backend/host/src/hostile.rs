//! Hostile input: what guests could come with, by numbers.
//!
//! There are four kinds: VMI's calls, devices, registers and images. A case of one is made of numbers, and those come from a seed
//! or from the bytes of a fuzzer. A quarter of a million cases of each kind is in every run of the tests, by seeds;
//! `cargo xtask hostile` tries as many as it is told.

#[cfg(test)]
mod seeds;

#[cfg(test)]
pub(crate) use seeds::try_all;

use std::vec;

pub use crate::bad_host::clock::hostile::case as registers;
pub use crate::boot::hostile::case as images;
pub use crate::devices::hostile::case as devices;
pub use crate::port_call::hostile::case as port_call;

/// What a case is made of.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Numbers that look random and repeat from a seed: Steele, Lea and Flood, "Fast splittable pseudorandom number
    /// generators".
    Seeded(u64),
    /// Bytes of a fuzzer: of them a number takes as few as it needs, so that a changed byte is a changed choice. Behind their end
    /// are zeros.
    Given(vec::IntoIter<u8>),
}

impl Numbers {
    /// Takes the bytes of a fuzzer.
    pub fn given(bytes: &[u8]) -> Self {
        Self::Given(Vec::from(bytes).into_iter())
    }

    /// Returns any number up to `most`, or a larger one that needs no more bytes.
    fn next_up_to(&mut self, most: u64) -> u64 {
        match self {
            Self::Seeded(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ mixed >> 31
            }
            Self::Given(bytes) => {
                let mut word = [0; 8];
                let needed = (u64::BITS - most.leading_zeros()).div_ceil(8) as usize;
                word[..needed].fill_with(|| bytes.next().unwrap_or_default());
                u64::from_le_bytes(word)
            }
        }
    }

    /// Returns any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.next_up_to(u64::MAX)
    }

    /// Returns any number of 32 bits.
    pub(crate) fn next_u32(&mut self) -> u32 {
        self.next_up_to(u32::MAX.into()) as u32
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next_up_to(end - 1) % end
    }

    /// Returns one of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Tells, so often in 256, yes; behind the end of what was given, no.
    pub(crate) fn odds(&mut self, of_256: u64) -> bool {
        self.below(256) >= 256 - of_256
    }
}
