//! The patcher: validates every record, then edits, or puts back, the sites they name.
//!
//! What to write is computed by [`Plan`] and [`Text`] from values alone; the platform stores it. Validation reads
//! nothing that is not inside the platform's text, and nothing is written before all of it has passed. No function
//! here uses an op: the sites being edited may be any.

// UNSAFETY: reads the text of sites, and has the platform write it.
#![expect(unsafe_code)]

use core::{ops::Range, ptr};

use vmi_abi::{Erased, Op, Platform, SITE_LEN_MIN, Site};

use crate::{Error, Flaw, SiteCounts, native, records::Records, text::Text};

/// What stands, and what shall stand, in the sites of each op.
#[derive(Debug)]
pub(crate) struct Plan([Row; Op::COUNT]);

#[derive(Clone, Copy, Debug)]
struct Row {
    op: Op,
    native: Text,
    len: u8,
    replacement: Option<Text>,
    kind: Kind,
}

/// The form in which the sites of an op stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Native,
    Call,
    Inline,
    Nop,
}

impl Plan {
    /// Returns the plan that edits the sites of the native kernel, whose call ops are served by the functions at
    /// `natives`, as `overrides` say.
    ///
    /// # Errors
    ///
    /// [`Error::Fit`] and [`Error::Nothing`].
    pub(crate) fn new(natives: &[usize; Op::COUNT], overrides: &[Erased; Op::COUNT]) -> Result<Self, Error> {
        let mut rows = Op::all().map(|op| {
            let number = usize::from(op.number());
            Ok(Row {
                op,
                native: Text::native(op, natives[number]),
                len: native::form(op).len,
                replacement: Text::replacement(op, overrides[number])?,
                kind: match overrides[number] {
                    Erased::Keep => Kind::Native,
                    Erased::Call(_) => Kind::Call,
                    Erased::Inline(_) => Kind::Inline,
                    Erased::Nop => Kind::Nop,
                },
            })
        });
        let mut plan = Self([Row::UNUSED; Op::COUNT]);
        for row in &mut plan.0 {
            *row = rows.next().unwrap_or(Ok(Row::UNUSED))?;
        }
        Ok(plan)
    }

    /// Returns the form in which the sites of an op shall stand.
    pub(crate) fn kind(&self, op: Op) -> Kind {
        self.0[usize::from(op.number())].kind
    }

    /// Checks every record against the plan and the text, and counts the sites by their new form.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] for the first wrong one.
    ///
    /// # Safety
    ///
    /// - The `text` ranges are mapped and readable.
    pub(crate) unsafe fn validate(
        &self,
        records: Records<'_>,
        text: &[Range<*const u8>],
    ) -> Result<SiteCounts, Error> {
        let mut counts = SiteCounts::default();
        let mut ranges = text.iter().map(|range| range.start.addr()..range.end.addr());
        let mut range = ranges.next().unwrap_or(0..0);
        let mut end = 0;
        for (index, (address, site)) in records.iter().enumerate() {
            let refuse = |flaw| Error::Record { index, address, flaw };
            let row = self.row(site).map_err(refuse)?;
            if address < end {
                return Err(refuse(Flaw::Order(end)));
            }
            while address >= range.end {
                range = ranges.next().ok_or(refuse(Flaw::OutsideText))?;
            }
            if address < range.start || range.end - address < usize::from(site.len) {
                return Err(refuse(Flaw::OutsideText));
            }
            end = address + usize::from(site.len);
            // SAFETY: the site lies inside `range`, just checked, which the caller says is readable; it is at least
            // as long as the shortest site, because its length is the native form's.
            let found = unsafe { read(address, site.len) };
            if row.native.at(address) != Ok(found) {
                return Err(refuse(row.original(address, found)));
            }
            if let Some(Err(target)) = row.replacement.map(|text| text.at(address)) {
                return Err(refuse(Flaw::Reach { op: row.op, target }));
            }
            counts.add(row.kind);
        }
        Ok(counts)
    }

    /// Writes every replacement into its sites.
    ///
    /// # Safety
    ///
    /// - [`validate`](Self::validate) passed for the same records, this platform's text and this plan.
    /// - No other CPU executes the text, and interrupts are off.
    pub(crate) unsafe fn apply(&self, records: Records<'_>, platform: &dyn Platform) {
        for (address, site) in records.iter() {
            let Ok(Row { replacement: Some(text), .. }) = self.row(site) else {
                continue;
            };
            // SAFETY: by the caller, the record is valid, the replacement in reach and the text nobody else's.
            unsafe { write(*text, address, site.len, platform) };
        }
    }

    /// Writes the native text back wherever another stands.
    ///
    /// # Safety
    ///
    /// - [`validate`](Self::validate) passed for the same records and this platform's text, and since then only
    ///   [`apply`](Self::apply) of a plan for the same natives has written to them.
    /// - No other CPU executes the text, and interrupts are off.
    pub(crate) unsafe fn restore(&self, records: Records<'_>, platform: &dyn Platform) {
        for (address, site) in records.iter() {
            let Ok(Row { native, .. }) = self.row(site) else {
                continue;
            };
            // SAFETY: by the caller, the record is valid: its site lies in text.
            let found = unsafe { read(address, site.len) };
            if native.at(address) != Ok(found) {
                // SAFETY: as above, and the text is nobody else's.
                unsafe { write(*native, address, site.len, platform) };
            }
        }
    }

    /// Returns the plan's row for a site, if the record can be one of the op it names.
    #[inline]
    fn row(&self, site: &Site) -> Result<&Row, Flaw> {
        let row = self.0.get(usize::from(site.op)).ok_or(Flaw::Op(site.op))?;
        if site.len != row.len {
            return Err(Flaw::Len { op: row.op, found: site.len, expected: row.len });
        }
        if site.reserved != 0 {
            return Err(Flaw::Reserved(site.reserved));
        }
        Ok(row)
    }
}

impl Row {
    /// What a plan holds before its rows are filled in.
    const UNUSED: Self = Self {
        op: vmi_abi::cpu::relax::OP,
        native: Text::Fixed(0),
        len: 0,
        replacement: None,
        kind: Kind::Native,
    };

    #[cold]
    fn original(&self, address: usize, found: u64) -> Flaw {
        let expected = self.native.at(address).unwrap_or(0).to_le_bytes();
        Flaw::Original { op: self.op, found: found.to_le_bytes(), expected, len: self.len }
    }
}

/// Reads a site as a little-endian word, by two loads that overlap.
///
/// # Safety
///
/// - `address..address + len` is readable.
/// - `len` is from [`SITE_LEN_MIN`] to 8.
#[inline]
unsafe fn read(address: usize, len: u8) -> u64 {
    const _: () = assert!(SITE_LEN_MIN >= size_of::<u32>());
    let head: *const u32 = ptr::with_exposed_provenance(address);
    let behind = usize::from(len) - size_of::<u32>();
    let tail = head.wrapping_byte_add(behind);
    // SAFETY: the first four bytes of the site, which has at least five.
    let low = unsafe { head.read_unaligned() };
    // SAFETY: the last four bytes of the site.
    let high = unsafe { tail.read_unaligned() };
    u64::from(low) | u64::from(high) << (8 * behind)
}

/// Has the platform write a text into a site.
///
/// # Safety
///
/// - `address..address + len` lies in the platform's text, and `text` is in reach from there.
/// - No other CPU executes these bytes, and interrupts are off.
unsafe fn write(text: Text, address: usize, len: u8, platform: &dyn Platform) {
    let Ok(bytes) = text.at(address) else { return };
    let place = ptr::with_exposed_provenance_mut(address);
    // SAFETY: the caller's promises are those of `write_text`.
    unsafe { platform.write_text(place, &bytes.to_le_bytes()[..usize::from(len)]) };
}

#[cfg(test)]
mod tests;
