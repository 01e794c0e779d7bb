//! What shall stand in the sites of each op, and the check that it may.

// UNSAFETY: declares a function with a contract; holds no unsafe block.
#![expect(unsafe_code)]

use vmi_abi::{Op, Override, Replacements, SiteRecord, Text};
use vmi_native::NativeForm;

use super::{
    edit::Validated,
    encoding::{Code, Encoding, Reach, allow},
    records::Records,
    walk::Walk,
};
use crate::{Error, Flaw, SiteCounts};

/// What stands, and what shall stand, in the sites of each op.
#[derive(Debug)]
pub struct Plan([OpPlan; Op::COUNT]);

/// What the patcher knows of the sites of one op, as it needs it at every site.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpPlan {
    op: Op,
    form: Form,
    /// Length and reserved field of the records.
    shape: [u8; 2],
    pub(super) native: Code,
    pub(super) replacement: Code,
    /// Ones for the bytes of a site.
    mask: u64,
    /// From where both codes do what they shall.
    reach: Reach,
    /// The function that the replacement calls.
    target: usize,
}

/// The form in which the sites of an op stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Native,
    Call,
    Inline,
    Nop,
}

impl Form {
    /// Returns the form in which a replacement stands.
    pub(crate) fn of(with: Override<usize>) -> Self {
        match with {
            Override::Keep => Self::Native,
            Override::Call(_) => Self::Call,
            Override::Inline(_) => Self::Inline,
            Override::Nop => Self::Nop,
        }
    }
}

impl Plan {
    /// Returns the plan that leaves the sites of this image native.
    #[inline(always)]
    pub fn native() -> Self {
        Self::of(|op| vmi_native::TABLE.address(op))
    }

    /// Returns the plan that edits native sites of this image as `replacements` say.
    ///
    /// # Errors
    ///
    /// As of [`replace`](Self::replace).
    pub fn new(replacements: &Replacements) -> Result<Self, Error> {
        let mut plan = Self::native();
        plan.replace(replacements)?;
        Ok(plan)
    }

    /// Returns the plan that leaves the sites of an image native whose call ops are served by the functions that `natives`
    /// has.
    #[inline(always)]
    pub(super) fn of(natives: impl Fn(Op) -> usize) -> Self {
        let mut rows = [OpPlan::UNUSED; Op::COUNT];
        for (op, row) in Op::all().zip(&mut rows) {
            *row = OpPlan::native(op, natives(op));
        }
        Self(rows)
    }

    /// Has something else stand in the sites of the ops that `replacements` replaces.
    ///
    /// # Errors
    ///
    /// [`Error::Fit`], [`Error::Nothing`] and [`Error::Stack`].
    pub fn replace(&mut self, replacements: &Replacements) -> Result<(), Error> {
        for (op, row) in Op::all().zip(&mut self.0) {
            match replacements.get(op) {
                Override::Keep => {}
                with => row.replace(op, with)?,
            }
        }
        Ok(())
    }

    /// Checks every record against the plan and the text that it names.
    ///
    /// # Errors
    ///
    /// [`Error::Record`] for the first wrong one. Nothing was written.
    pub fn validate<'a>(&'a self, records: Records<'a>, text: &'a dyn Text) -> Result<Validated<'a>, Error> {
        let mut seen = [0; Op::COUNT];
        let mut walk = Walk::new(text);
        for (address, site) in records.iter() {
            match self.op(site) {
                Some(op) if op.fits(site, address, &walk) => walk.pass(address, site.len),
                _ => self.examine(records, site, &mut walk)?,
            }
            seen[usize::from(site.op)] += 1;
        }
        let mut counts = SiteCounts::default();
        for (row, count) in self.0.iter().zip(seen) {
            counts.add(row.form, count);
        }
        Ok(Validated::new(self, records, text, counts))
    }

    /// Takes records for valid ones, where they were found so a moment ago.
    ///
    /// # Safety
    ///
    /// - They passed [`validate`](Self::validate) with this text, and nothing wrote to the sites since.
    pub(crate) unsafe fn valid<'a>(&'a self, records: Records<'a>, text: &'a dyn Text) -> Validated<'a> {
        Validated::new(self, records, text, SiteCounts::default())
    }

    /// Looks at a record step by step, to say what is wrong with it, or that nothing is.
    #[cold]
    #[inline(never)]
    fn examine(&self, records: Records<'_>, site: &SiteRecord, walk: &mut Walk<'_>) -> Result<(), Error> {
        let address = Records::place(site);
        let refuse = |flaw| Err(Error::Record { index: records.index(site), address, flaw });
        let Some(row) = self.op(site) else { return refuse(Flaw::Op(site.op)) };
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
    pub(super) fn op(&self, site: &SiteRecord) -> Option<&OpPlan> {
        self.0.get(usize::from(site.op))
    }
}

impl OpPlan {
    /// What a plan holds before it is filled in.
    const UNUSED: Self = Self {
        op: vmi_abi::cpu::relax::OP,
        form: Form::Native,
        shape: [0; 2],
        native: Code::NOTHING,
        replacement: Code::NOTHING,
        mask: 0,
        reach: Reach::EVERYWHERE,
        target: 0,
    };

    /// Has the sites of an op stay native; `function` is the op's own.
    #[inline(always)]
    fn native(op: Op, function: usize) -> Self {
        let form = NativeForm::of(op);
        let native = Encoding::native(op.class(), form, function);
        Self {
            op,
            form: Form::Native,
            shape: [form.site_len(), 0],
            native: native.code,
            replacement: native.code,
            mask: u64::MAX >> (u64::BITS - 8 * u32::from(form.site_len())),
            reach: native.reach,
            target: 0,
        }
    }

    /// Has something else stand in the sites.
    fn replace(&mut self, op: Op, with: Override<usize>) -> Result<(), Error> {
        allow(op, with)?;
        let replacement = Encoding::replacement(op, with);
        self.form = Form::of(with);
        self.replacement = replacement.code;
        self.reach = self.reach.and(replacement.reach);
        self.target = replacement.target;
        Ok(())
    }

    /// Tells whether a record and its site are plainly right. If not, they may still be: at the ends of a range of text.
    #[inline(always)]
    fn fits(&self, site: &SiteRecord, address: usize, walk: &Walk<'_>) -> bool {
        self.shape == [site.len, site.reserved]
            && self.reach.contains(address)
            && walk.peek(address).is_some_and(|found| self.is_native(address, found))
    }

    /// Tells whether something else than the native text shall stand in the sites.
    #[inline(always)]
    pub(super) fn is_edited(&self) -> bool {
        self.form != Form::Native
    }

    /// Tells whether the native text stands in a site with these bytes.
    #[inline(always)]
    pub(super) fn is_native(&self, address: usize, found: u64) -> bool {
        (found ^ self.native.at(address)) & self.mask == 0
    }
}
