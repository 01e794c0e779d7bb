//! What a kernel tells the library.

// UNSAFETY: declares the contract of an unsafe trait; holds no unsafe block.
#![expect(unsafe_code)]

use crate::Text;

/// What only the kernel knows, on top of where its text is: where memory lies, and what the boot loader said.
///
/// # Safety
///
/// The implementer promises that
/// - [`physical_address`](Self::physical_address) is the address at which the hypervisor reaches that byte, and stays
///   so as long as the kernel runs;
/// - none of its methods executes a site (uses an op of the front door).
pub unsafe trait Platform: Text {
    /// Returns the physical address of a byte of the image's data.
    fn physical_address(&self, pointer: *const u8) -> u64;

    /// Returns the kernel's command line. The library reads `nopv` from it, which refuses every backend, and `no-NAME`,
    /// which refuses the backend of that name; backends read their own words.
    fn command_line(&self) -> &str {
        ""
    }
}
