//! The boot CPU's clock page, for whoever wants to look at it.

use super::{PageError, Source, TimeInfo, Tries};
use crate::BACKEND;

/// Returns the page as it stood under one even version. All zero while it was never registered.
///
/// # Errors
///
/// [`PageError::Unfinished`] and [`PageError::Unsteady`] when a bounded number of tries were in vain.
pub fn snapshot() -> Result<TimeInfo, PageError> {
    Ok(BACKEND.boot.page.read(Tries::BOUNDED)?.0)
}

/// Returns the virtual address of the page: of a [`TimeInfo`] that the host may write at any moment.
pub fn page_address() -> *const u8 {
    (&raw const BACKEND.boot.page).cast()
}

/// Returns how often the clock found, and cleared, the flag that says that the host had held the guest up.
pub fn pauses_seen() -> u32 {
    BACKEND.boot.clock.pauses()
}

/// Returns what the clock is ahead of the page's formula, in nanoseconds: 0 unless the host's clock started anew lower.
pub fn ahead_ns() -> u64 {
    BACKEND.timeline.ahead()
}

/// Returns what the registration MSR held when the [backend](crate::BACKEND) was last enabled: a physical address with bit 0
/// set where firmware had registered a page, else 0.
pub fn inherited_registration() -> u64 {
    BACKEND.boot.inherited()
}
