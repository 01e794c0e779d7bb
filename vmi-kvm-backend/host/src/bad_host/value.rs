//! `VALUE[/MASK]`: the bits of a register that are overridden.

use std::str::FromStr;

use crate::error::{Error, Result};

/// Bits of a register, and which of them count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Bits {
    value: u64,
    mask: u64,
}

impl Bits {
    /// Returns a register's content with the bits overridden.
    pub(super) fn over(self, content: u64) -> u64 {
        content & !self.mask | self.value & self.mask
    }
}

impl FromStr for Bits {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((value, mask)) => Ok(Self { value: number(value)?, mask: number(mask)? }),
            None => Ok(Self { value: number(text)?, mask: u64::MAX }),
        }
    }
}

/// Reads a number, decimal or hexadecimal.
pub(super) fn number(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").map(|digits| u64::from_str_radix(&digits.replace('_', ""), 16));
    digits.unwrap_or_else(|| text.parse()).map_err(|_| Error::Option(format!("`{text}` is not a number")))
}

/// Reads a number of 32 bits.
pub(super) fn number32(text: &str) -> Result<u32> {
    u32::try_from(number(text)?).map_err(|_| Error::Option(format!("`{text}` has more than 32 bits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_without_a_mask_are_all_that_there_are() {
        let over = |text: &str, content| text.parse::<Bits>().map(|bits| bits.over(content)).ok();
        assert_eq!(over("0x10", u64::MAX), Some(0x10));
        assert_eq!(over("0/0x8", 0xff), Some(0xf7));
        assert_eq!(over("8/8", 0), Some(8));
        assert_eq!(over("8/", 0), None);
        assert_eq!(over("-1", 0), None);
        assert_eq!(over("", 0), None);
    }
}
