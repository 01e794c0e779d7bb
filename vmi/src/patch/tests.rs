//! Hostile records: every one must be refused by name, with nothing written.

// UNSAFETY: edits a text that is data.
#![expect(unsafe_code)]

mod alias;

use core::{ops::Range, ptr};
use std::{boxed::Box, cell::UnsafeCell, vec::Vec};

use proptest::prelude::*;
use vmi_abi::{Inline, Op, Override, Replacements, Text, cpu, io, irq, mmu};

use vmi_native::NativeForm;

use super::{Plan, Records, SiteRecord, encoding::Encoding};
use crate::{Error, Flaw, SiteCounts};

const SITES: [Op; 6] = [
    irq::disable::OP,
    cpu::cycles::OP,
    mmu::flush_local::OP,
    irq::leave::OP,
    io::delay::OP,
    irq::disable::OP,
];
/// Bytes between two sites: they stand at every alignment.
const GAP: usize = 3;
const TEXT_LEN: usize = 64;

/// Where the text starts in its page: the third site lies across the end of it.
const IN_PAGE: usize = 4096 - 20;

/// An image: records and the text they name, at fixed distances.
#[repr(C, align(4096))]
struct Image {
    records: [SiteRecord; SITES.len()],
    between: [u8; IN_PAGE - SITES.len() * size_of::<SiteRecord>()],
    text: UnsafeCell<[u8; TEXT_LEN]>,
    range: [Range<*const u8>; 1],
}

// SAFETY: used by one thread at a time.
unsafe impl Sync for Image {}

// SAFETY: the text is this image's own; nobody executes it.
unsafe impl Text for Image {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.range
    }

    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        let at = place.addr().wrapping_sub(self.start());
        assert!(at + bytes.len() <= TEXT_LEN, "a write outside the text");
        let text = self.text.get().cast::<u8>().wrapping_add(at);
        // SAFETY: inside the text, as just asserted.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), text, bytes.len()) };
    }
}

impl Image {
    fn new() -> Box<Self> {
        let record = SiteRecord { offset: 0, op: 0, len: 5, reserved: 0 };
        let mut image = Box::new(Self {
            records: [record; SITES.len()],
            between: [0; _],
            text: UnsafeCell::new([0x90; TEXT_LEN]),
            range: [text(0..0)],
        });
        let start = image.text.get().addr();
        image.range = [text(start..start + TEXT_LEN)];
        let functions = natives(start);
        for (index, op) in SITES.into_iter().enumerate() {
            let at = GAP + index * (5 + GAP);
            let bytes = Encoding::native(op.class(), NativeForm::of(op), functions(op)).code.at(start + at);
            image.text.get_mut()[at..at + 5].copy_from_slice(&bytes.to_le_bytes()[..5]);
            let here = (&raw const image.records[index]).addr();
            image.records[index] =
                SiteRecord { offset: (start + at - here) as i32, op: op.number(), ..record };
        }
        image
    }

    fn start(&self) -> usize {
        self.text.get().addr()
    }

    fn text(&self) -> [u8; TEXT_LEN] {
        // SAFETY: nobody writes meanwhile.
        unsafe { *self.text.get() }
    }

    fn validate(&self, plan: &Plan) -> Result<SiteCounts, Error> {
        let before = self.text();
        let result = plan.validate(Records::of_slice(&self.records), self).map(|sites| sites.counts());
        assert_eq!(before, self.text(), "validation wrote to the text");
        result
    }

    fn plan(&self, overrides: &[(Op, Override<usize>)]) -> Plan {
        plan(natives(self.start()), &replacements(overrides)).unwrap()
    }

    /// Returns the index and the flaw of the record that is refused.
    fn refusal(&self) -> (usize, Flaw) {
        match self.validate(&self.plan(&[])) {
            Err(Error::Record { index, flaw, .. }) => (index, flaw),
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// A platform with other ranges of text than the image's own.
struct InRanges(Vec<Range<*const u8>>);

// SAFETY: used by one thread.
unsafe impl Sync for InRanges {}

// SAFETY: the ranges are inside an image's text, but for one that no record names; nothing is written.
unsafe impl Text for InRanges {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.0
    }

    unsafe fn write(&self, _: *mut u8, _: &[u8]) {
        unreachable!("only validated")
    }
}

/// A range of text.
fn text(range: Range<usize>) -> Range<*const u8> {
    ptr::with_exposed_provenance(range.start)..ptr::with_exposed_provenance(range.end)
}

/// Returns the plan of an image whose call ops are served by the functions that `natives` has.
fn plan(natives: impl Fn(Op) -> usize, replacements: &Replacements) -> Result<Plan, Error> {
    let mut plan = Plan::of(natives);
    plan.replace(replacements).map(|()| plan)
}

/// Native functions within reach of a text.
fn natives(text: usize) -> impl Fn(Op) -> usize {
    move |op| text + 0x1_0000 + 16 * op.index()
}

fn replacements(overrides: &[(Op, Override<usize>)]) -> Replacements {
    let mut all = Replacements::KEEP;
    for (op, with) in overrides {
        // SAFETY: never executed.
        unsafe { all.set_raw(*op, *with) };
    }
    all
}

fn inline(bytes: &[u8]) -> Override<usize> {
    // SAFETY: never executed.
    Override::Inline(unsafe { Inline::promise(bytes) })
}

#[test]
fn an_edit_writes_what_the_plan_says_and_restore_takes_it_back() {
    let image = Image::new();
    let original = image.text();
    let target = image.start() + 0x1000;
    let plan = image.plan(&[
        (irq::disable::OP, Override::Nop),
        (cpu::cycles::OP, inline(&[0x31, 0xc0])),
        (mmu::flush_local::OP, Override::Call(target)),
        (irq::leave::OP, Override::Call(target)),
    ]);
    let counts = SiteCounts { total: 6, native: 1, call: 2, inline: 1, nop: 2 };
    let sites = plan.validate(Records::of_slice(&image.records), &*image).unwrap();
    assert_eq!(sites.counts(), counts);
    // SAFETY: the text is this test's own, and nobody executes it.
    let edited = unsafe { sites.apply() };
    let site = |index: usize| {
        let at = GAP + index * (5 + GAP);
        (image.start() + at, image.text()[at..at + 5].to_vec())
    };
    let branch = |opcode: u8, address: usize| {
        let mut bytes = Vec::from([opcode]);
        bytes.extend(((target - address - 5) as u32).to_le_bytes());
        bytes
    };
    assert_eq!(site(0).1, [0x0f, 0x1f, 0x44, 0, 0]);
    assert_eq!(site(1).1, [0x2e, 0x2e, 0x2e, 0x31, 0xc0]);
    assert_eq!(site(2).1, branch(0xe8, site(2).0), "a call op is called");
    assert_eq!(site(3).1, branch(0xe9, site(3).0), "a jump op is jumped to");
    assert_eq!(site(4).1, &original[GAP + 4 * (5 + GAP)..][..5], "kept");
    assert_eq!(site(5).1, [0x0f, 0x1f, 0x44, 0, 0]);
    // SAFETY: as above.
    unsafe { edited.restore() };
    assert_eq!(image.text(), original);
}

#[test]
fn row_21_site_across_a_page_and_across_a_16_byte_line() {
    let image = Image::new();
    let records = Records::of_slice(&image.records);
    let across = |size: usize| {
        let across = |(address, site): &(usize, &SiteRecord)| {
            *address / size != (*address + usize::from(site.len) - 1) / size
        };
        records.iter().position(|placed| across(&placed))
    };
    assert_eq!((across(4096), across(16)), (Some(2), Some(0)));
    let plan = image.plan(&[(mmu::flush_local::OP, Override::Nop), (irq::disable::OP, Override::Nop)]);
    let sites = plan.validate(records, &*image).unwrap();
    // SAFETY: the text is this test's own, and nobody executes it.
    let _ = unsafe { sites.apply() };
    for at in [GAP, GAP + 2 * (5 + GAP)] {
        assert_eq!(image.text()[at..at + 5], [0x0f, 0x1f, 0x44, 0, 0]);
    }
}

#[test]
fn row_21_site_outside_text() {
    for index in 0..SITES.len() {
        for offset in [i32::MIN, -0x4000, 0x4000, i32::MAX] {
            let mut image = Image::new();
            image.records[index].offset = offset;
            let (found, flaw) = image.refusal();
            assert!(
                found == index && matches!(flaw, Flaw::OutsideText | Flaw::Order(_)),
                "{index} {offset}: {flaw:?}"
            );
        }
    }
    let mut image = Image::new();
    image.range = [text(image.start()..image.start() + GAP + 5 * (5 + GAP) + 4)];
    assert_eq!(image.refusal(), (5, Flaw::OutsideText), "the last byte is outside");
    let mut image = Image::new();
    image.range = [text(image.start() + GAP + 1..image.start() + TEXT_LEN)];
    assert_eq!(image.refusal(), (0, Flaw::OutsideText), "the first byte is outside");
    let mut image = Image::new();
    image.range = [text(0..0)];
    assert_eq!(image.refusal(), (0, Flaw::OutsideText), "there is no text");
}

#[test]
fn row_21_overlap() {
    let mut image = Image::new();
    image.records[2].offset = image.records[1].offset - 8 + 4;
    let (index, flaw) = image.refusal();
    assert!(index == 2 && matches!(flaw, Flaw::Order(_)), "{flaw:?}");
}

#[test]
fn row_21_duplicate_record() {
    let mut image = Image::new();
    image.records[3] = SiteRecord { offset: image.records[2].offset - 8, ..image.records[2] };
    let (index, flaw) = image.refusal();
    assert!(index == 3 && matches!(flaw, Flaw::Order(_)), "{flaw:?}");
}

#[test]
fn row_21_records_in_swapped_order() {
    let mut image = Image::new();
    let [first, second] = [image.records[0], image.records[1]];
    image.records[0] = SiteRecord { offset: second.offset + 8, ..second };
    image.records[1] = SiteRecord { offset: first.offset - 8, ..first };
    let (index, flaw) = image.refusal();
    assert!(index == 1 && matches!(flaw, Flaw::Order(_)), "{flaw:?}");
}

#[test]
fn row_21_old_bytes_differ() {
    for index in 0..SITES.len() {
        for byte in 0..5 {
            let mut image = Image::new();
            image.text.get_mut()[GAP + index * (5 + GAP) + byte] ^= 0x10;
            let (found, flaw) = image.refusal();
            assert!(found == index && matches!(flaw, Flaw::Original { .. }), "{index} {byte}: {flaw:?}");
        }
    }
}

#[test]
fn row_21_length_mismatch() {
    for len in (0..=u8::MAX).filter(|len| *len != 5) {
        let mut image = Image::new();
        image.records[4].len = len;
        assert_eq!(image.refusal(), (4, Flaw::Len { op: io::delay::OP, found: len, expected: 5 }));
    }
}

#[test]
fn a_record_of_another_or_of_no_op_is_refused() {
    for number in (0..=u16::MAX).filter(|number| *number != irq::disable::OP.number()) {
        let mut image = Image::new();
        image.records[0].op = number;
        let (index, flaw) = image.refusal();
        assert_eq!(index, 0);
        match Op::new(number) {
            None => assert_eq!(flaw, Flaw::Op(number)),
            Some(_) => assert!(matches!(flaw, Flaw::Original { .. }), "{flaw:?}"),
        }
    }
}

#[test]
fn a_site_of_any_op_is_no_site_of_another() {
    for op in Op::all() {
        for other in Op::all().filter(|other| *other != op) {
            let mut image = Image::new();
            let form = Encoding::native(op.class(), NativeForm::of(op), natives(image.start())(op));
            let bytes = form.code.at(image.start() + GAP).to_le_bytes();
            image.text.get_mut()[GAP..GAP + 5].copy_from_slice(&bytes[..5]);
            image.records[0].op = other.number();
            assert!(matches!(image.refusal(), (0, Flaw::Original { .. })), "{op} passes as {other}");
        }
    }
}

#[test]
fn a_reserved_field_in_use_is_refused() {
    for value in 1..=u8::MAX {
        let mut image = Image::new();
        image.records[1].reserved = value;
        assert_eq!(image.refusal(), (1, Flaw::Reserved(value)));
    }
}

#[test]
fn row_21_target_out_of_reach() {
    let image = Image::new();
    for distance in [1 << 31, 1 << 40, 1 << 63] {
        let target = image.start().wrapping_add(distance + TEXT_LEN);
        let error = image.validate(&image.plan(&[(cpu::cycles::OP, Override::Call(target))]));
        let Err(Error::Record { index: 1, flaw, .. }) = error else { panic!("{error:?}") };
        assert_eq!(flaw, Flaw::Reach { op: cpu::cycles::OP, target });
    }
}

#[test]
fn row_21_a_replacement_longer_than_the_site() {
    let all = replacements(&[(io::delay::OP, inline(&[0x90; 6]))]);
    let error = plan(natives(0), &all).unwrap_err();
    assert_eq!(error, Error::Fit { op: io::delay::OP, len: 6, site: 5 });
}

#[test]
fn nothing_stands_for_no_op_with_a_result_a_stacked_operand_or_an_effect_that_counts() {
    for op in Op::all() {
        let result = plan(natives(0), &replacements(&[(op, Override::Nop)])).map(|_| ());
        let harmless =
            ["irq::disable", "irq::enable", "irq::wait", "irq::halt", "cpu::relax", "io::delay", "apic::eoi"];
        let may = harmless.contains(&op.name())
            || ["mmu::", "power::"].iter().any(|start| op.name().starts_with(start));
        assert_eq!(result, if may { Ok(()) } else { Err(Error::Nothing(op)) });
    }
}

#[test]
fn sites_in_several_ranges_of_text() {
    let image = Image::new();
    let start = image.start();
    let split = start + GAP + 3 * (5 + GAP);
    let records = Records::of_slice(&image.records);
    let validate = |ranges: &[Range<usize>]| {
        let text = InRanges(ranges.iter().cloned().map(self::text).collect());
        image.plan(&[]).validate(records, &text).map(|sites| sites.counts())
    };
    assert!(validate(&[start..split, split..start + TEXT_LEN]).is_ok());
    assert!(validate(&[0..1, start..split, split..split, split..start + TEXT_LEN]).is_ok());
    assert!(validate(&[start..split - 1, split + 1..start + TEXT_LEN]).is_err(), "a site in the gap");
    assert!(validate(&[start..split + 2, split + 2..start + TEXT_LEN]).is_err(), "a site across two ranges");
}

proptest! {
    /// Whatever the records hold: those that pass name the native forms of their ops, in text, in order.
    #[test]
    fn what_passes_is_true(index in 0..SITES.len(), bytes: [u8; 8]) {
        let mut image = Image::new();
        let [o0, o1, o2, o3, n0, n1, len, reserved] = bytes;
        let honest = image.records[index];
        // Half the offsets stay near, or hardly any would be inside the text.
        let offset = if o3 & 1 == 0 { honest.offset + i32::from(o0 as i8) } else { i32::from_le_bytes([o0, o1, o2, o3]) };
        let op = if n1 & 1 == 0 { honest.op } else { u16::from_le_bytes([n0, n1]) };
        let len = if len & 1 == 0 { honest.len } else { len };
        let reserved = if reserved & 1 == 0 { 0 } else { reserved };
        image.records[index] = SiteRecord { offset, op, len, reserved };
        if image.validate(&image.plan(&[])).is_ok() {
            prop_assert_eq!(image.records[index], honest);
        } else {
            prop_assert_ne!(image.records[index], honest);
        }
    }
}
