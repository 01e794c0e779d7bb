//! Who serves the interface.

use core::fmt;

/// A host's program and its version: for reports, and for what [vendor numbers](super::Number::vendor) mean; never a reason
/// to leave out a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Implementation {
    /// Which program: 0 where it does not say, as every host of version 1.0, [`VMI_RUN`](Self::VMI_RUN), or another's number.
    /// Those of programs that nobody has listed here have bit 14 set. At most [`ID_MAX`](Self::ID_MAX).
    pub id: u32,
    /// The program's own version: major in bits 31 to 24, minor in 23 to 16, patch in 15 to 0.
    pub version: u32,
}

impl Implementation {
    /// The hypervisor of this project.
    pub const VMI_RUN: u32 = 1;

    /// The largest id.
    pub const ID_MAX: u32 = 0x7fff;
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            0 => return f.write_str("unnamed"),
            Self::VMI_RUN => f.write_str("vmi-run")?,
            id => write!(f, "implementation {id:#x}")?,
        }
        write!(f, " {}.{}.{}", self.version >> 24, self.version >> 16 & 0xff, self.version & 0xffff)
    }
}
