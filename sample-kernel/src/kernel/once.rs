//! A static that boot code sets before anyone reads it.

// UNSAFETY: one CPU, and a value that is written once before it is shared.
#![expect(unsafe_code)]

use core::cell::UnsafeCell;

/// A value that is set once, early.
pub struct Once<T>(UnsafeCell<Option<T>>);

// SAFETY: `set` promises that no reader exists yet; after it, nobody writes.
unsafe impl<T: Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Returns a cell without a value.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Sets the value.
    ///
    /// # Safety
    ///
    /// - Nobody holds a reference from [`get`](Self::get), and no other call of `set` runs.
    pub unsafe fn set(&self, value: T) {
        // SAFETY: by the caller, this is the only access now.
        unsafe { *self.0.get() = Some(value) };
    }

    /// Returns the value.
    ///
    /// # Panics
    ///
    /// When it was not set.
    pub fn get(&self) -> &T {
        // SAFETY: nobody writes while readers exist, by the promise of `set`.
        let value = unsafe { &*self.0.get() };
        value.as_ref().expect("set at boot")
    }
}
