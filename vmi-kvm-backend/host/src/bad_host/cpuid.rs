//! CPUID that is not what the host can do.

use std::str::FromStr;

use super::value::{Bits, number, number32};
use crate::cpuid::Leaves;
use crate::error::{Error, Result};

/// The leaf of KVM's features. Source: KVM documentation, "KVM CPUID bits".
const FEATURES: u32 = 0x4000_0001;

/// A register of a leaf that is overridden: `LEAF[.SUBLEAF]:REGISTER=VALUE[/MASK]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuidRule {
    leaf: u32,
    subleaf: u32,
    register: Register,
    bits: Bits,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

impl FromStr for CpuidRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let form =
            || Error::Option(format!("`{text}` is not of the form LEAF[.SUBLEAF]:REGISTER=VALUE[/MASK]"));
        let (leaf, rest) = text.split_once(':').ok_or_else(form)?;
        let (register, bits) = rest.split_once('=').ok_or_else(form)?;
        let (leaf, subleaf) = leaf.split_once('.').unwrap_or((leaf, "0"));
        let register = match register {
            "eax" => Register::Eax,
            "ebx" => Register::Ebx,
            "ecx" => Register::Ecx,
            "edx" => Register::Edx,
            _ => return Err(form()),
        };
        Ok(Self { leaf: number32(leaf)?, subleaf: number32(subleaf)?, register, bits: bits.parse()? })
    }
}

impl CpuidRule {
    /// Overrides the register, in a leaf that is made where there is none.
    pub(crate) fn apply(&self, leaves: &mut Leaves) {
        let entry = leaves.find_or_add(self.leaf, self.subleaf);
        let register = match self.register {
            Register::Eax => &mut entry.eax,
            Register::Ebx => &mut entry.ebx,
            Register::Ecx => &mut entry.ecx,
            Register::Edx => &mut entry.edx,
        };
        *register = self.bits.over(u64::from(*register)) as u32;
    }
}

/// A feature bit of KVM's that is set without a service behind it: its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim(u32);

impl FromStr for Claim {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bit = number(text)?;
        let bit = u32::try_from(bit).ok().filter(|bit| *bit < 32);
        bit.map(Self).ok_or_else(|| Error::Option(format!("`{text}` is no bit of a 32-bit register")))
    }
}

impl Claim {
    /// Sets the bit.
    pub(crate) fn apply(self, leaves: &mut Leaves) {
        leaves.find_or_add(FEATURES, 0).eax |= 1 << self.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_refused() {
        let rule: CpuidRule = "0x40000001:eax=0/0x8".parse().unwrap();
        assert_eq!((rule.leaf, rule.subleaf, rule.register), (0x4000_0001, 0, Register::Eax));
        let rule: CpuidRule = "7.1:edx=5".parse().unwrap();
        assert_eq!((rule.leaf, rule.subleaf, rule.bits.over(0)), (7, 1, 5));
        for text in ["", "1", "1:eax", "1:rax=0", "1:eax=x", "1.x:eax=0", "0x100000000:eax=0"] {
            assert!(text.parse::<CpuidRule>().is_err(), "{text}");
        }
        assert!("32".parse::<Claim>().is_err());
        assert_eq!("16".parse::<Claim>().ok(), Some(Claim(16)));
    }
}
