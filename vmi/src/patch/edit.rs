//! Sites that may be edited, and sites that were.

// UNSAFETY: has the platform write to text.
#![expect(unsafe_code)]

use core::{fmt, ptr};

use vmi_abi::{Bottom, Text};
use vmi_native::BareMetal;

use super::{Plan, Records, encoding::Code, walk::read};
use crate::SiteCounts;

/// Sites whose records passed [`Plan::validate`], and whose text is native.
#[derive(Clone, Copy)]
struct Sites<'a> {
    plan: &'a Plan,
    records: Records<'a>,
    text: &'a dyn Text,
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
    pub(super) fn new(plan: &'a Plan, records: Records<'a>, text: &'a dyn Text, counts: SiteCounts) -> Self {
        Self { sites: Sites { plan, records, text }, counts }
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
        // SAFETY: the caller's promises.
        let edited = unsafe { self.write() };
        BareMetal.serialise();
        edited
    }

    /// Writes every replacement into its sites; the caller has this CPU see them.
    ///
    /// # Safety
    ///
    /// - As of [`apply`](Self::apply).
    pub(crate) unsafe fn write(self) -> Edited<'a> {
        let Sites { plan, records, text } = self.sites;
        let mut edit = || {
            for (address, site) in records.iter() {
                if let Some(op) = plan.op(site).filter(|op| op.is_edited()) {
                    // SAFETY: the record is valid and the replacement in reach, or this token would not be; by the
                    // caller, the text is nobody else's.
                    unsafe { write(op.replacement, address, site.len, text) };
                }
            }
        };
        // SAFETY: by the caller, the text is nobody else's.
        unsafe { text.edit(&mut edit) };
        Edited { sites: self.sites }
    }
}

impl<'a> Edited<'a> {
    /// Takes sites for edited ones, where whoever edited them has not kept what [`Validated::apply`] returned.
    ///
    /// # Safety
    ///
    /// - The records passed [`Plan::validate`] with this text.
    /// - Since then only [`Validated::apply`] and [`restore`](Self::restore) have written to their sites.
    pub unsafe fn assume(plan: &'a Plan, records: Records<'a>, text: &'a dyn Text) -> Self {
        Self { sites: Sites { plan, records, text } }
    }

    /// Writes the native text back wherever another stands, and has this CPU see it.
    ///
    /// # Safety
    ///
    /// - No other CPU or thread executes the text meanwhile, and no interrupt or signal handler that uses an op runs.
    pub unsafe fn restore(self) {
        // SAFETY: the caller's promises.
        unsafe { self.write_back() };
        BareMetal.serialise();
    }

    /// Writes the native text back; the caller has this CPU see it.
    ///
    /// # Safety
    ///
    /// - As of [`restore`](Self::restore).
    pub(crate) unsafe fn write_back(self) {
        let Sites { plan, records, text } = self.sites;
        let mut edit = || {
            for (address, site) in records.iter() {
                let Some(op) = plan.op(site) else { continue };
                // SAFETY: the record is valid, or this token would not be: its site lies in text.
                let found = unsafe { read(address, site.len) };
                if !op.is_native(address, found) {
                    // SAFETY: as above; by the caller, the text is nobody else's.
                    unsafe { write(op.native, address, site.len, text) };
                }
            }
        };
        // SAFETY: by the caller, the text is nobody else's.
        unsafe { text.edit(&mut edit) };
    }
}

/// Has a code written into a site.
///
/// # Safety
///
/// - Called inside `Text::edit`.
/// - `address..address + len` lies in the text, and the code is in reach from there.
/// - No other CPU executes these bytes, and interrupts are off.
#[inline(always)]
unsafe fn write(code: Code, address: usize, len: u8, text: &dyn Text) {
    let bytes = code.at(address).to_le_bytes();
    let place = ptr::with_exposed_provenance_mut(address);
    // SAFETY: the caller's promises are those of `Text::write`.
    unsafe { text.write(place, &bytes[..usize::from(len)]) };
}

impl fmt::Debug for Sites<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sites").field("records", &self.records.len()).finish_non_exhaustive()
    }
}
