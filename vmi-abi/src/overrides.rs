//! What a backend puts in place of an op.

// UNSAFETY: declares the promise that inline bytes keep an op's register contract; holds no unsafe block.
#![expect(unsafe_code)]

use crate::{Leaf, SITE_LEN_MAX};

/// The replacement of one op; `F` is the op's function type.
#[derive(Clone, Copy, Debug)]
pub enum Override<F> {
    /// The native form stays.
    Keep,
    /// The site calls this function (a jump op jumps to it).
    Call(F),
    /// The site holds these instructions.
    Inline(Inline),
    /// The site does nothing. Only for ops that [`may be nothing`](crate::Op::may_be_nothing).
    Nop,
}

/// Instructions short enough to stand in a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inline {
    len: u8,
    bytes: [u8; SITE_LEN_MAX],
}

impl Inline {
    /// Promises that `code` keeps the contract of the op it is put in place of.
    ///
    /// # Panics
    ///
    /// When `code` is empty or longer than [`SITE_LEN_MAX`]; in a constant, that is a compile error.
    ///
    /// # Safety
    ///
    /// - `code` is whole instructions that mean the same at any address, and control leaves at its end.
    /// - It takes inputs, leaves outputs and preserves registers as the op's contract says.
    pub const unsafe fn promise(code: &[u8]) -> Self {
        assert!(!code.is_empty() && code.len() <= SITE_LEN_MAX, "inline code does not fit a site");
        let mut bytes = [0; SITE_LEN_MAX];
        bytes.split_at_mut(code.len()).0.copy_from_slice(code);
        Self { len: code.len() as u8, bytes }
    }

    /// Returns the instructions.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// An override without its type, as the patcher reads it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    Keep,
    Call(usize),
    Inline(Inline),
    Nop,
}

/// A function type that an op can be served by.
#[doc(hidden)]
pub trait Entry: Copy {
    /// Returns the function's address.
    fn address(self) -> usize;
}

impl<O> Entry for Leaf<O> {
    fn address(self) -> usize {
        Self::address(self)
    }
}

macro_rules! entries {
    ($( ($($argument:ident)*) )*) => { $(
        impl<$($argument,)* R> Entry for extern "sysv64" fn($($argument),*) -> R {
            fn address(self) -> usize {
                self as *const () as usize
            }
        }
        impl<$($argument,)* R> Entry for unsafe extern "sysv64" fn($($argument),*) -> R {
            fn address(self) -> usize {
                self as *const () as usize
            }
        }
    )* };
}
entries!(() (A) (A B));

impl<F: Entry> Override<F> {
    #[doc(hidden)]
    pub fn erase(self) -> Erased {
        match self {
            Self::Keep => Erased::Keep,
            Self::Call(function) => Erased::Call(function.address()),
            Self::Inline(code) => Erased::Inline(code),
            Self::Nop => Erased::Nop,
        }
    }
}
