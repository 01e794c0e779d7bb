//! What a kernel tells the library.

// UNSAFETY: declares the contract of an unsafe trait; holds no unsafe block.
#![expect(unsafe_code)]

use core::ops::Range;

/// What only the kernel knows: where its text is, how to write it, and where memory lies.
///
/// # Safety
///
/// The implementer promises that
/// - every range of [`text`](Self::text) is mapped, readable and holds the running image's own code;
/// - [`write_text`](Self::write_text) makes exactly the bytes given appear at exactly the place given;
/// - [`edit_text`](Self::edit_text) calls what it is given exactly once;
/// - [`physical_address`](Self::physical_address) is the address at which the hypervisor reaches that byte, and stays
///   so as long as the kernel runs;
/// - none of its methods executes a site (uses an op of the front door).
pub unsafe trait Platform: Sync {
    /// Returns the address ranges of the image's text, in ascending order and without overlap.
    fn text(&self) -> &[Range<*const u8>];

    /// Writes `bytes` to the text at `place`, which may be read-only at all other times.
    ///
    /// A site may lie across two pages, and then so do the bytes: a writer that reaches the text by an alias of a page
    /// has to split them, because pages that are neighbours in the text need not be so in memory.
    ///
    /// # Safety
    ///
    /// - Called inside [`edit_text`](Self::edit_text).
    /// - `place` and as many bytes as are written lie inside one range of [`text`](Self::text).
    /// - No other CPU executes these bytes meanwhile, and interrupts are off.
    unsafe fn write_text(&self, place: *mut u8, bytes: &[u8]);

    /// Calls `edit`, once, with the text ready to be written to.
    ///
    /// The library writes to text inside of it and nowhere else. A kernel whose text is read-only lets it be written here,
    /// once for a whole edit, rather than in every [`write_text`](Self::write_text): under a hypervisor, changing CR0 or a
    /// page table may cost an exit each time.
    ///
    /// # Safety
    ///
    /// - No other CPU executes text meanwhile, and interrupts are off.
    unsafe fn edit_text(&self, edit: &mut dyn FnMut()) {
        edit();
    }

    /// Returns the physical address of a byte of the image's data.
    fn physical_address(&self, pointer: *const u8) -> u64;

    /// Returns the kernel's command line; the library reads `nopv` from it, backends their own words.
    fn command_line(&self) -> &str {
        ""
    }
}
