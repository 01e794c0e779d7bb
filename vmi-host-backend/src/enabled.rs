//! What `enable` was told, for the replacements that run later.

// UNSAFETY: keeps it in a cell that a flag guards.
#![expect(unsafe_code)]

use core::{
    cell::UnsafeCell,
    fmt,
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
};

use vmi_abi::Table;

use crate::port_call::Caller;

/// How the host is called, and what serves where it does not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enabled {
    /// `None` where the host cannot reach the backend's block.
    pub(crate) caller: Option<Caller>,
    pub(crate) below: &'static Table,
}

/// A place for [`Enabled`], while there is one.
pub(crate) struct Slot {
    is_set: AtomicBool,
    cell: UnsafeCell<Option<Enabled>>,
}

// SAFETY: the cell is written by `set` alone, while nobody reads it, by the promise of whoever calls that.
unsafe impl Sync for Slot {}

impl Slot {
    pub(crate) const fn new() -> Self {
        Self { is_set: AtomicBool::new(false), cell: UnsafeCell::new(None) }
    }

    /// Puts a value there.
    ///
    /// # Safety
    ///
    /// - No other flow is in [`get`](Self::get) or here: no site is edited to a replacement of this crate, and one CPU
    ///   alone is enabling.
    pub(crate) unsafe fn set(&self, enabled: Enabled) {
        // SAFETY: nobody else has the cell, by the caller's promise.
        unsafe { *self.cell.get() = Some(enabled) };
        self.is_set.store(true, Release);
    }

    /// Takes it away.
    pub(crate) fn clear(&self) {
        self.is_set.store(false, Release);
    }

    /// Returns what is there.
    pub(crate) fn get(&self) -> Option<Enabled> {
        // SAFETY: the cell was written before the flag was set, and is not written while replacements run.
        self.is_set.load(Acquire).then(|| unsafe { *self.cell.get() })?
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
