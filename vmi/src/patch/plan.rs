//! What shall stand in the sites of each op, and the check that it may.

// UNSAFETY: reads the text of sites.
#![expect(unsafe_code)]

use core::ptr;

use vmi_abi::{Erased, Op, Overrides, Platform, SITE_LEN_MIN, Site};

use super::{edit::Validated, records::Records, text::Text};
use crate::{Error, Flaw, SiteCounts, native};

/// What stands, and what shall stand, in the sites of each op.
#[derive(Debug)]
pub struct Plan([Row; Op::COUNT]);

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
    /// Returns the plan that edits native sites of this image as `overrides` say.
    ///
    /// # Errors
    ///
    /// [`Error::Fit`] and [`Error::Nothing`].
    pub fn new(overrides: &Overrides) -> Result<Self, Error> {
        Self::of(&native::TABLE.addresses(), &overrides.erase())
    }

    /// Returns the plan for an image whose call ops are served by the functions at `natives`.
    ///
    /// # Errors
    ///
    /// [`Error::Fit`] and [`Error::Nothing`].
    pub(super) fn of(natives: &[usize; Op::COUNT], overrides: &[Erased; Op::COUNT]) -> Result<Self, Error> {
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

    /// Checks every record against the plan and the text of the platform.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] for the first wrong one. Nothing was written.
    pub fn validate<'a>(
        &'a self,
        records: Records<'a>,
        platform: &'a dyn Platform,
    ) -> Result<Validated<'a>, Error> {
        let mut counts = SiteCounts::default();
        let mut ranges = platform.text().iter().map(|range| range.start.addr()..range.end.addr());
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
            // SAFETY: the site lies inside `range`, just checked, which the platform promises is readable; it is at
            // least as long as the shortest site, because its length is the native form's.
            let found = unsafe { read(address, site.len) };
            if row.native.at(address) != Ok(found) {
                return Err(refuse(row.original(address, found)));
            }
            if let Some(Err(target)) = row.replacement.map(|text| text.at(address)) {
                return Err(refuse(Flaw::Reach { op: row.op, target }));
            }
            counts.add(row.kind);
        }
        Ok(Validated::new(self, records, platform, counts))
    }

    /// Returns what shall stand in a site instead of the native text, if anything.
    pub(super) fn replacement(&self, site: &Site) -> Option<Text> {
        self.row(site).ok()?.replacement
    }

    /// Returns what stands in a site natively.
    pub(super) fn native(&self, site: &Site) -> Option<Text> {
        Some(self.row(site).ok()?.native)
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
pub(super) unsafe fn read(address: usize, len: u8) -> u64 {
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
