//! Maskable interrupts off by the bottom: the ops that would do it may be about to be edited.

// UNSAFETY: puts back what was masked.
#![expect(unsafe_code)]

use vmi_abi::Bottom;

/// Maskable interrupts off on this CPU until this is dropped.
pub(crate) struct Masked<'a> {
    bottom: &'a dyn Bottom,
    before: u64,
}

impl<'a> Masked<'a> {
    pub(crate) fn new(bottom: &'a dyn Bottom) -> Self {
        Self { bottom, before: bottom.mask() }
    }
}

impl Drop for Masked<'_> {
    fn drop(&mut self) {
        // SAFETY: this is what masking returned, on this CPU: who masks does not move.
        unsafe { self.bottom.unmask(self.before) };
    }
}
