//! How a value travels in the registers of an op.

use core::arch::x86_64::CpuidResult;

/// A value that registers can carry: an image of up to 128 bits, cut into registers by
/// the bit ranges of the op list (a call op returns the low half in rax and the high one in rdx).
pub trait Value: Sized {
    /// Returns the image.
    fn to_bits(self) -> u128;
    /// Returns the value of an image; bits above the value's width are ignored.
    fn from_bits(bits: u128) -> Self;
}

/// What an access that may fault reports instead of dying: the CPU raised a general-protection fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the access raised a general-protection fault")
    }
}

impl core::error::Error for Fault {}

/// The bit of the image that says the access faulted; the value lies below it.
const FAULT: u128 = 1 << 64;

impl Value for () {
    #[inline(always)]
    fn to_bits(self) -> u128 {
        0
    }
    #[inline(always)]
    fn from_bits(_: u128) {}
}

macro_rules! integers {
    ($($integer:ty)*) => { $(
        impl Value for $integer {
            #[inline(always)]
            fn to_bits(self) -> u128 {
                self as u128
            }
            #[inline(always)]
            fn from_bits(bits: u128) -> Self {
                bits as Self
            }
        }
    )* };
}
integers!(u8 u16 u32 u64 u128);

impl<T> Value for *mut T {
    #[inline(always)]
    fn to_bits(self) -> u128 {
        self as usize as u128
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Self {
        bits as usize as Self
    }
}

impl<T: Value> Value for Result<T, Fault> {
    #[inline(always)]
    fn to_bits(self) -> u128 {
        match self {
            Ok(value) => value.to_bits() & (FAULT - 1),
            Err(Fault) => FAULT,
        }
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Self {
        if bits & FAULT == 0 { Ok(T::from_bits(bits)) } else { Err(Fault) }
    }
}

/// eax, ebx, ecx and edx, from the lowest bit up.
impl Value for CpuidResult {
    #[inline(always)]
    fn to_bits(self) -> u128 {
        u128::from(self.eax)
            | u128::from(self.ebx) << 32
            | u128::from(self.ecx) << 64
            | u128::from(self.edx) << 96
    }
    #[inline(always)]
    fn from_bits(bits: u128) -> Self {
        Self {
            eax: bits as u32,
            ebx: (bits >> 32) as u32,
            ecx: (bits >> 64) as u32,
            edx: (bits >> 96) as u32,
        }
    }
}

/// Returns bits `low..high` of an image, moved down: what one register of the contract holds.
#[doc(hidden)]
#[inline(always)]
pub const fn bits(image: u128, low: u32, high: u32) -> u64 {
    ((image >> low) as u64) & (u64::MAX >> (64 - (high - low)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut_and_join(image: u128, cuts: &[(u32, u32)]) -> u128 {
        cuts.iter().fold(0, |joined, &(low, high)| joined | u128::from(bits(image, low, high)) << low)
    }

    proptest! {
        #[test]
        fn an_msr_value_survives_its_two_registers(value: u64) {
            let joined = cut_and_join(value.to_bits(), &[(0, 32), (32, 64)]);
            prop_assert_eq!(u64::from_bits(joined), value);
        }

        #[test]
        fn a_result_survives_its_three_registers(value: u64, faulted: bool) {
            let result = if faulted { Err(Fault) } else { Ok(value) };
            let joined = cut_and_join(result.to_bits(), &[(0, 32), (32, 64), (64, 65)]);
            prop_assert_eq!(Result::<u64, Fault>::from_bits(joined), result);
        }

        #[test]
        fn a_cpuid_leaf_survives_its_four_registers(eax: u32, ebx: u32, ecx: u32, edx: u32) {
            let leaf = CpuidResult { eax, ebx, ecx, edx };
            let joined = cut_and_join(leaf.to_bits(), &[(0, 32), (32, 64), (64, 96), (96, 128)]);
            prop_assert_eq!(CpuidResult::from_bits(joined), leaf);
        }
    }
}
