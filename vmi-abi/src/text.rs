//! What a kernel tells the patcher.

// UNSAFETY: declares the contract of an unsafe trait; holds no unsafe block.
#![expect(unsafe_code)]

use core::ops::Range;

/// Text that holds sites: where it is, and how to write it.
///
/// # Safety
///
/// The implementer promises that
/// - every range of [`ranges`](Self::ranges) is mapped, readable and holds the running code itself;
/// - [`write`](Self::write) makes exactly the bytes given appear at exactly the place given;
/// - [`edit`](Self::edit) calls what it is given exactly once;
/// - none of its methods executes a site (uses an op of the front door).
pub unsafe trait Text: Sync {
    /// Returns the address ranges of the text, in ascending order and without overlap.
    fn ranges(&self) -> &[Range<*const u8>];

    /// Writes `bytes` to the text at `place`, which may be read-only at all other times.
    ///
    /// A site may lie across the end of a page: who writes through another mapping, page by page, writes `bytes` in two
    /// pieces then.
    ///
    /// # Safety
    ///
    /// - Called inside [`edit`](Self::edit).
    /// - `place` and as many bytes as are written lie inside one range of [`ranges`](Self::ranges).
    /// - No other CPU executes these bytes meanwhile, and interrupts are off.
    unsafe fn write(&self, place: *mut u8, bytes: &[u8]);

    /// Calls `edit`, once, with the text ready to be written to.
    ///
    /// The library writes to text inside of it and nowhere else. A kernel whose text is read-only lets it be written here,
    /// once for a whole edit, rather than in every [`write`](Self::write): under a hypervisor, changing CR0 or a page
    /// table may cost an exit each time.
    ///
    /// # Safety
    ///
    /// - No other CPU executes text meanwhile, and interrupts are off.
    unsafe fn edit(&self, edit: &mut dyn FnMut()) {
        edit();
    }
}
