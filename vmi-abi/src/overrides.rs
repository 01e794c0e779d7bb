//! What stands in place of one op.

// UNSAFETY: declares the promise that inline bytes keep an op's register contract; makes functions of addresses.
#![expect(unsafe_code)]

use core::mem;

use crate::{Leaf, SITE_LEN_MAX};

/// The replacement of one op; `F` is the op's function type, or of a raw one its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Override<F> {
    /// The native form stays.
    Keep,
    /// The site calls this function (a jump op jumps to it).
    Call(F),
    /// The site holds this instruction.
    Inline(Inline),
    /// The site does nothing. Only for ops that [`may be nothing`](crate::Info::may_be_nothing).
    Nop,
}

/// An instruction short enough to stand in a site.
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
    /// - `code` is exactly one instruction, which means the same at any address and behind a prefix for CS, and control
    ///   leaves at its end. Of a jump op, control goes where the op's documentation says.
    /// - It takes inputs, leaves outputs and preserves registers as the op's contract says.
    pub const unsafe fn promise(code: &[u8]) -> Self {
        assert!(!code.is_empty() && code.len() <= SITE_LEN_MAX, "inline code does not fit a site");
        let mut bytes = [0; SITE_LEN_MAX];
        bytes.split_at_mut(code.len()).0.copy_from_slice(code);
        Self { len: code.len() as u8, bytes }
    }

    /// Returns the instruction.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A function type that an op can be served by.
#[doc(hidden)]
pub trait Entry: Copy {
    /// Returns the function's address.
    fn address(self) -> usize;
    /// Returns the function at an address.
    ///
    /// # Safety
    ///
    /// - It is a function of this type.
    unsafe fn from_address(address: *mut ()) -> Self;
}

impl<O> Entry for Leaf<O> {
    fn address(self) -> usize {
        Self::address(self)
    }

    unsafe fn from_address(address: *mut ()) -> Self {
        // SAFETY: the caller says that it is a function without a signature of Rust's.
        let function = unsafe { mem::transmute::<*mut (), unsafe extern "sysv64" fn()>(address) };
        // SAFETY: by the caller it keeps the contract of the op.
        unsafe { Self::promise(function) }
    }
}

macro_rules! entries {
    ($( ($($argument:ident)*) )*) => { $(
        entries!(@one ($($argument)*) extern "sysv64" fn($($argument),*) -> R);
        entries!(@one ($($argument)*) unsafe extern "sysv64" fn($($argument),*) -> R);
    )* };
    (@one ($($argument:ident)*) $function:ty) => {
        impl<$($argument,)* R> Entry for $function {
            fn address(self) -> usize {
                self as *const () as usize
            }

            unsafe fn from_address(address: *mut ()) -> Self {
                // SAFETY: the caller says that it is a function of this type.
                unsafe { mem::transmute::<*mut (), Self>(address) }
            }
        }
    };
}
entries!(() (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F));
