//! Why the library refused, with the value it refused.

use core::fmt;

use vmi_abi::{EnableError, Op, SITE_LEN_MAX};

/// Why [`init`](crate::init), [`teardown`](crate::teardown), [`resume`](crate::resume) or
/// [`SiteSet::register`](crate::SiteSet::register) refused. Each leaves the kernel's sites as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// `init` came a second time without a teardown between, or on another CPU at the same time.
    AlreadyInitialised,
    /// `teardown` or `resume` came without an `init` before.
    NotInitialised,
    /// More backends were given than a report can hold: how many.
    TooManyBackends(usize),
    /// The image holds no site records, though `init` holds a site itself: the linker lost section `vmi_sites`.
    NoRecords,
    /// Section `vmi_sites` is not a whole number of aligned records: its size in bytes.
    RecordsCut(usize),
    /// A site record is wrong.
    Record {
        /// Which record, counted from 0.
        index: usize,
        /// The address of the site it names.
        address: usize,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A replacement does not fit the sites of its op.
    Fit {
        /// The op.
        op: Op,
        /// Bytes of the replacement.
        len: usize,
        /// Bytes of the site.
        site: usize,
    },
    /// A backend would have nothing stand for this op, which has a result, an operand on the stack, or an effect that must
    /// not be lost.
    Nothing(Op),
    /// A backend would have a call stand for this op, whose sites may stand where the stack is not the kernel's.
    Stack(Op),
    /// Sites are being edited, by an `init`, a `teardown`, or for another set, or a `resume` is under way.
    Busy,
    /// A set of sites was registered a second time.
    Registered,
    /// A backend could not register with its hypervisor.
    Enable {
        /// The backend.
        backend: &'static str,
        /// What it could not do.
        error: EnableError,
    },
}

/// What is wrong with a site record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// There is no op with this number.
    Op(u16),
    /// The site has not the length of the op's native form.
    Len {
        /// The op.
        op: Op,
        /// Bytes according to the record.
        found: u8,
        /// Bytes of the native form.
        expected: u8,
    },
    /// The reserved field is not 0.
    Reserved(u8),
    /// The site is not inside one of the ranges of text.
    OutsideText,
    /// The site does not lie behind the one before, which ends at this address.
    Order(usize),
    /// The text is not the op's native form.
    Original {
        /// The op.
        op: Op,
        /// The text found, `len` bytes of it.
        found: [u8; SITE_LEN_MAX],
        /// The native form.
        expected: [u8; SITE_LEN_MAX],
        /// Bytes of the site.
        len: u8,
    },
    /// The function to call is more than 2 GiB away.
    Reach {
        /// The op.
        op: Op,
        /// The address of the function.
        target: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInitialised => f.write_str("already initialised"),
            Self::NotInitialised => f.write_str("not initialised"),
            Self::TooManyBackends(count) => {
                write!(f, "{count} backends given, at most {} allowed", crate::BACKENDS_MAX)
            }
            Self::NoRecords => f.write_str("section vmi_sites is empty: the linker lost the site records"),
            Self::RecordsCut(bytes) => {
                write!(f, "section vmi_sites has {bytes} bytes, not a whole number of aligned records")
            }
            Self::Record { index, address, flaw } => {
                write!(f, "site record {index} (site at {address:#x}): {flaw}")
            }
            Self::Fit { op, len, site } => {
                write!(f, "{len} inline bytes do not fit the {site} bytes of a site of {op}")
            }
            Self::Nothing(op) => write!(f, "nothing cannot stand for {op}"),
            Self::Stack(op) => write!(f, "a call cannot stand for {op}, which may run on any stack"),
            Self::Busy => f.write_str("sites are being edited"),
            Self::Registered => f.write_str("the set of sites is registered already"),
            Self::Enable { backend, error } => write!(f, "backend {backend}: {error}"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Op(number) => write!(f, "no op has number {number}"),
            Self::Len { op, found, expected } => {
                write!(f, "{found} bytes long, a site of {op} has {expected}")
            }
            Self::Reserved(value) => write!(f, "reserved field is {value}, not 0"),
            Self::OutsideText => f.write_str("not inside the text"),
            Self::Order(end) => write!(f, "not behind the site before, which ends at {end:#x}"),
            Self::Original { op, found, expected, len } => {
                let len = usize::from(*len);
                write!(f, "holds {:02x?}, {op} is {:02x?}", &found[..len], &expected[..len])
            }
            Self::Reach { op, target } => {
                write!(f, "the replacement of {op} at {target:#x} is more than 2 GiB away")
            }
        }
    }
}

impl core::error::Error for Error {}
