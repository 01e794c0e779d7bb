//! What can go wrong with a call.

use core::fmt;

use vmi_abi::port_call::{Features, Status};

/// A call that was not made, or that the host refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The block is not at the start of a page, but at this physical address.
    Misaligned(u64),
    /// The block's page number, of this physical address, does not fit into the 32 bits that the call port takes.
    TooHigh(u64),
    /// The host does not announce this.
    Absent(Features),
    /// The block is in use.
    Busy,
    /// The batch has its so many calls already.
    Full(usize),
    /// So many bytes do not fit, of a line, or of what is left of the block.
    TooLong(usize),
    /// The host left the batch or the call unanswered.
    NotServed,
    /// The host refused the batch or the call so; also a status that is not known here.
    Refused(Status),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned(address) => write!(f, "the block at {address:#x} is not at the start of a page"),
            Self::TooHigh(address) => write!(f, "the block at {address:#x} is too high for the call port"),
            Self::Absent(features) => {
                f.write_str("the host does not announce ")?;
                bitflags::parser::to_writer(features, f)
            }
            Self::Busy => f.write_str("the block is in use"),
            Self::Full(calls) => write!(f, "the batch is full with {calls} calls"),
            Self::TooLong(bytes) => write!(f, "{bytes} bytes do not fit"),
            Self::NotServed => f.write_str("the host did not answer"),
            Self::Refused(status) => write!(f, "the host refused: {status}"),
        }
    }
}

impl core::error::Error for Error {}
