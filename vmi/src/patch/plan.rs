//! What shall stand in the sites of each op, and the check that it may.

use vmi_abi::{Erased, Op, Overrides, Platform, Site};

use super::{
    edit::Validated,
    records::Records,
    text::{Form, Reach, Text},
    walk::Walk,
};
use crate::{Error, Flaw, SiteCounts, native};

/// What stands, and what shall stand, in the sites of each op.
#[derive(Debug)]
pub struct Plan([Row; Op::COUNT]);

/// What the patcher knows of the sites of one op, as it needs it at every site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    op: Op,
    kind: Kind,
    /// Length and reserved field of the records.
    shape: [u8; 2],
    pub(super) native: Text,
    pub(super) replacement: Text,
    /// Ones for the bytes of a site.
    mask: u64,
    /// From where both texts do what they shall.
    reach: Reach,
    /// The function that the replacement calls.
    target: usize,
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
        let mut plan = Self([Row::UNUSED; Op::COUNT]);
        for (op, row) in Op::all().zip(&mut plan.0) {
            let number = usize::from(op.number());
            *row = Row::new(op, natives[number], overrides[number])?;
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
        let mut seen = [0; Op::COUNT];
        let mut walk = Walk::new(platform);
        for (address, site) in records.iter() {
            match self.row(site) {
                Some(row) if row.fits(site, address, &walk) => walk.pass(address, site.len),
                _ => self.examine(records, site, &mut walk)?,
            }
            seen[usize::from(site.op)] += 1;
        }
        let mut counts = SiteCounts::default();
        for (row, count) in self.0.iter().zip(seen) {
            counts.add(row.kind, count);
        }
        Ok(Validated::new(self, records, platform, counts))
    }

    /// Looks at a record step by step, to say what is wrong with it, or that nothing is.
    #[cold]
    #[inline(never)]
    fn examine(&self, records: Records<'_>, site: &Site, walk: &mut Walk<'_>) -> Result<(), Error> {
        let address = Records::place(site);
        let refuse = |flaw| Err(Error::Record { index: records.index(site), address, flaw });
        let Some(row) = self.row(site) else { return refuse(Flaw::Op(site.op)) };
        let (op, [len, reserved]) = (row.op, row.shape);
        if site.len != len {
            return refuse(Flaw::Len { op, found: site.len, expected: len });
        }
        if site.reserved != reserved {
            return refuse(Flaw::Reserved(site.reserved));
        }
        let found = match walk.seek(address, len) {
            Ok(found) => found,
            Err(flaw) => return refuse(flaw),
        };
        if !row.is_native(address, found) {
            let bytes = |word: u64| (word & row.mask).to_le_bytes();
            let (found, expected) = (bytes(found), bytes(row.native.at(address)));
            return refuse(Flaw::Original { op, found, expected, len });
        }
        if !row.reach.contains(address) {
            return refuse(Flaw::Reach { op, target: row.target });
        }
        walk.pass(address, len);
        Ok(())
    }

    /// Returns what is known of the sites of the op that a record names.
    #[inline(always)]
    pub(super) fn row(&self, site: &Site) -> Option<&Row> {
        self.0.get(usize::from(site.op))
    }
}

impl Row {
    /// What a plan holds before its rows are filled in.
    const UNUSED: Self = Self {
        op: vmi_abi::cpu::relax::OP,
        kind: Kind::Native,
        shape: [0; 2],
        native: Text::NOTHING,
        replacement: Text::NOTHING,
        mask: 0,
        reach: Reach::EVERYWHERE,
        target: 0,
    };

    fn new(op: Op, function: usize, with: Erased) -> Result<Self, Error> {
        let len = native::form(op).len;
        let native = Form::native(op, function);
        let replacement = Form::replacement(op, with)?.unwrap_or(native);
        Ok(Self {
            op,
            shape: [len, 0],
            kind: match with {
                Erased::Keep => Kind::Native,
                Erased::Call(_) => Kind::Call,
                Erased::Inline(_) => Kind::Inline,
                Erased::Nop => Kind::Nop,
            },
            native: native.text,
            replacement: replacement.text,
            mask: u64::MAX >> (u64::BITS - 8 * u32::from(len)),
            reach: native.reach.and(replacement.reach),
            target: replacement.target,
        })
    }

    /// Tells whether a record and its site are plainly right. If not, they may still be: at the ends of a range of text.
    #[inline(always)]
    fn fits(&self, site: &Site, address: usize, walk: &Walk<'_>) -> bool {
        self.shape == [site.len, site.reserved]
            && self.reach.contains(address)
            && walk.peek(address).is_some_and(|found| self.is_native(address, found))
    }

    /// Tells whether something else than the native text shall stand in the sites.
    #[inline(always)]
    pub(super) fn is_edited(&self) -> bool {
        self.kind != Kind::Native
    }

    /// Tells whether the native text stands in a site with these bytes.
    #[inline(always)]
    pub(super) fn is_native(&self, address: usize, found: u64) -> bool {
        (found ^ self.native.at(address)) & self.mask == 0
    }
}
