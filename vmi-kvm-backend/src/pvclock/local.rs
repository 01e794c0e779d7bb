//! A word that only one CPU touches.

// UNSAFETY: volatile access.
#![expect(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something that a `u64` can be read from.
pub(crate) trait Word {
    fn get(&self) -> u64;
}

impl Word for u64 {
    #[inline(always)]
    fn get(&self) -> u64 {
        *self
    }
}

/// A word of one CPU's own memory, shared by the flows on that CPU: a flow and the interrupts on top of it. Accesses
/// stay in program order, and each is one instruction, which is all the order that flows of one CPU need.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Local(AtomicU64);

impl Local {
    pub(crate) const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: u64) {
        // SAFETY: the pointer is to an atomic behind a reference: valid, aligned, and writable through it. An aligned
        // volatile access of 8 bytes is one instruction.
        unsafe { self.0.as_ptr().write_volatile(value) }
    }

    /// Sets the word to `value` unless it is more already.
    pub(crate) fn raise(&self, value: u64) {
        self.0.fetch_max(value, Relaxed);
    }
}

impl Word for Local {
    #[inline(always)]
    fn get(&self) -> u64 {
        // Volatile, not atomic, because the compiler makes a volatile load an operand of the instruction that uses
        // it, and leaves an atomic one an instruction of its own: six of them in the clock's fast path.
        // SAFETY: the pointer is to an atomic behind a reference: valid, aligned, initialised. An aligned volatile
        // access of 8 bytes is one instruction.
        unsafe { self.0.as_ptr().read_volatile() }
    }
}
