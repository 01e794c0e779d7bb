//! The version of the interface.

use core::fmt;

/// A version of the interface: the major number is above the low 16 bits, the minor in them. Appending a number, a
/// status, a feature or a field raises the minor, anything else the major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Version(u32);

impl Version {
    /// The version that this crate describes.
    pub const CURRENT: Self = Self(1 << 16 | 1);

    /// Reads a version as the other side wrote it, known or not.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the version as it is written.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the major number.
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Returns the minor number.
    pub const fn minor(self) -> u16 {
        self.0 as u16
    }

    /// Tells whether this crate can be spoken to by that version: the major numbers are the same.
    pub const fn is_known(self) -> bool {
        self.major() == Self::CURRENT.major()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}
