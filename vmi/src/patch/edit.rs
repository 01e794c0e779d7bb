//! Sites that may be edited, and sites that were.

// UNSAFETY: has the platform write to text.
#![expect(unsafe_code)]

use core::{fmt, ptr};

use vmi_abi::{Cpu, Platform};
use vmi_native::Native;

use super::{Plan, Records, text::Text, walk::read};
use crate::SiteCounts;

/// Sites whose records passed [`Plan::validate`], and whose text is native.
#[derive(Clone, Copy)]
struct Sites<'a> {
    plan: &'a Plan,
    records: Records<'a>,
    platform: &'a dyn Platform,
}

/// The right to edit sites: every record was found good, and every replacement fits and is in reach.
#[must_use = "nothing is edited before `apply`"]
#[derive(Debug)]
pub struct Validated<'a> {
    sites: Sites<'a>,
    counts: SiteCounts,
}

/// Sites that were edited, and the right to put them back.
#[must_use = "what was edited stays so until `restore`"]
#[derive(Debug)]
pub struct Edited<'a> {
    sites: Sites<'a>,
}

impl<'a> Validated<'a> {
    /// The caller has validated the records against the plan and the platform's text.
    pub(super) fn new(
        plan: &'a Plan,
        records: Records<'a>,
        platform: &'a dyn Platform,
        counts: SiteCounts,
    ) -> Self {
        Self { sites: Sites { plan, records, platform }, counts }
    }

    /// Returns how many sites stand in which form once the plan is applied.
    pub fn counts(&self) -> SiteCounts {
        self.counts
    }

    /// Writes every replacement into its sites, and has this CPU see them.
    ///
    /// # Safety
    ///
    /// - Nothing wrote to the sites since they were validated.
    /// - No other CPU or thread executes the text meanwhile, and no interrupt or signal handler that uses an op runs.
    /// - What the plan puts in place of ops does, wherever one of the sites is, what the documentation of the op says,
    ///   or what everybody who reaches such a site expects.
    pub unsafe fn apply(self) -> Edited<'a> {
        let Sites { plan, records, platform } = self.sites;
        let mut edit = || {
            for (address, site) in records.iter() {
                if let Some(row) = plan.row(site).filter(|row| row.is_edited()) {
                    // SAFETY: the record is valid and the replacement in reach, or this token would not be; by the
                    // caller, the text is nobody else's.
                    unsafe { write(row.replacement, address, site.len, platform) };
                }
            }
        };
        // SAFETY: by the caller, the text is nobody else's.
        unsafe { platform.edit_text(&mut edit) };
        serialise();
        Edited { sites: self.sites }
    }
}

impl<'a> Edited<'a> {
    /// Takes sites for edited ones, where whoever edited them has not kept what [`Validated::apply`] returned.
    ///
    /// # Safety
    ///
    /// - The records passed [`Plan::validate`] with the text of this platform.
    /// - Since then only [`Validated::apply`] and [`restore`](Self::restore) have written to their sites.
    pub unsafe fn assume(plan: &'a Plan, records: Records<'a>, platform: &'a dyn Platform) -> Self {
        Self { sites: Sites { plan, records, platform } }
    }

    /// Writes the native text back wherever another stands, and has this CPU see it.
    ///
    /// # Safety
    ///
    /// - No other CPU or thread executes the text meanwhile, and no interrupt or signal handler that uses an op runs.
    pub unsafe fn restore(self) {
        let Sites { plan, records, platform } = self.sites;
        let mut edit = || {
            for (address, site) in records.iter() {
                let Some(row) = plan.row(site) else { continue };
                // SAFETY: the record is valid, or this token would not be: its site lies in text.
                let found = unsafe { read(address, site.len) };
                if !row.is_native(address, found) {
                    // SAFETY: as above; by the caller, the text is nobody else's.
                    unsafe { write(row.native, address, site.len, platform) };
                }
            }
        };
        // SAFETY: by the caller, the text is nobody else's.
        unsafe { platform.edit_text(&mut edit) };
        serialise();
    }
}

/// Has the platform write a text into a site.
///
/// # Safety
///
/// - Called inside `edit_text`.
/// - `address..address + len` lies in the platform's text, and the text is in reach from there.
/// - No other CPU executes these bytes, and interrupts are off.
#[inline(always)]
unsafe fn write(text: Text, address: usize, len: u8, platform: &dyn Platform) {
    let bytes = text.at(address).to_le_bytes();
    let place = ptr::with_exposed_provenance_mut(address);
    // SAFETY: the caller's promises are those of `write_text`.
    unsafe { platform.write_text(place, &bytes[..usize::from(len)]) };
}

/// Has this CPU drop what it fetched ahead. Source: Intel SDM, Volume 3, "Handling Self- and Cross-Modifying Code".
fn serialise() {
    let _ = <Native as Cpu>::cpuid(0, 0);
}

impl fmt::Debug for Sites<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sites").field("records", &self.records.len()).finish_non_exhaustive()
    }
}
