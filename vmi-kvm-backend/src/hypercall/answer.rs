//! What KVM answers.

use core::fmt;

/// A hypercall that failed, by the negative number that KVM returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Error(pub i64);

impl Error {
    /// The host does not know the number. Not the errno of that name, which is 38.
    pub const NO_SUCH_CALL: Self = Self(-1000);
    /// An address leads nowhere.
    pub const FAULT: Self = Self(-14);
    /// An argument is wrong.
    pub const INVALID: Self = Self(-22);
    /// An argument is too big.
    pub const TOO_BIG: Self = Self(-7);
    /// The caller was not in ring 0.
    pub const NOT_PERMITTED: Self = Self(-1);
    /// The host cannot do this now.
    pub const NOT_SUPPORTED: Self = Self(-95);
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match *self {
            Self::NO_SUCH_CALL => "no such call",
            Self::FAULT => "bad address",
            Self::INVALID => "invalid argument",
            Self::TOO_BIG => "argument too big",
            Self::NOT_PERMITTED => "not in ring 0",
            Self::NOT_SUPPORTED => "not supported",
            _ => "unknown error",
        };
        write!(f, "hypercall failed: {meaning} ({})", self.0)
    }
}

impl core::error::Error for Error {}

/// Reads what KVM left in RAX.
///
/// # Errors
///
/// Any negative value, kept as it is.
pub const fn decode(rax: i64) -> Result<u64, Error> {
    if rax < 0 { Err(Error(rax)) } else { Ok(rax as u64) }
}
