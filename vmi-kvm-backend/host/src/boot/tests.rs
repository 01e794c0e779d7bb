//! Images as linkers and hands make them, up to what lies in memory. None of this needs KVM.

use std::io::Write;

use tempfile::NamedTempFile;

use super::input::Input;
use super::plan::{Plan, Protocol};
use super::segment::Segment;
use crate::error::{Error, Result};
use crate::layout::IMAGE_MIN;

const RAM: u64 = 16 << 20;
/// Types of program headers.
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// Where the bytes of notes and of segments lie in the file.
const NOTES: u64 = 0x800;
const BYTES: u64 = 0x1000;

/// A program header: type, offset, virtual and physical address, sizes in the file and in memory, alignment.
type Program = (u32, u64, u64, u64, u64, u64, u64);

/// An ELF file.
pub(super) struct Elf {
    pub(super) wide: bool,
    pub(super) entry: u64,
    pub(super) programs: Vec<Program>,
    /// What lies at [`NOTES`] and at [`BYTES`].
    pub(super) notes: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl Elf {
    /// A segment at 1 MiB, and a note that enters it there.
    pub(super) fn new() -> Self {
        let programs =
            vec![(LOAD, BYTES, IMAGE_MIN, IMAGE_MIN, 0x100, 0x1000, 0x1000), (NOTE, NOTES, 0, 0, 20, 20, 4)];
        let notes = note(18, &(IMAGE_MIN as u32).to_le_bytes());
        Self { wide: true, entry: IMAGE_MIN, programs, notes, bytes: vec![0x90; 0x100] }
    }

    pub(super) fn write(&self) -> NamedTempFile {
        let word = |value: u64| value.to_le_bytes()[..if self.wide { 8 } else { 4 }].to_vec();
        let half = |value: usize| (value as u16).to_le_bytes();
        let long = |value: u32| value.to_le_bytes();
        let (header, program) = if self.wide { (64, 56) } else { (52, 32) };
        let mut file = vec![0x7f, b'E', b'L', b'F', if self.wide { 2 } else { 1 }, 1, 1];
        file.resize(16, 0);
        file.extend([half(2), half(if self.wide { 62 } else { 3 })].as_flattened());
        file.extend(long(1));
        for value in [self.entry, header as u64, 0] {
            file.extend(word(value));
        }
        file.extend(long(0));
        for value in [header, program, self.programs.len(), 0, 0, 0] {
            file.extend(half(value));
        }
        for (kind, offset, address, physical, in_file, in_memory, align) in &self.programs {
            file.extend(long(*kind));
            if self.wide {
                file.extend(long(7));
            }
            for value in [offset, address, physical, in_file, in_memory] {
                file.extend(word(*value));
            }
            if !self.wide {
                file.extend(long(7));
            }
            file.extend(word(*align));
        }
        file.resize(NOTES as usize, 0);
        file.extend(&self.notes);
        file.resize(BYTES as usize, 0);
        file.extend(&self.bytes);
        written(&file)
    }

    pub(super) fn plan(&self) -> Result<Plan> {
        plan(&self.write())
    }
}

/// A note of Xen's.
pub(super) fn note(kind: u32, content: &[u8]) -> Vec<u8> {
    let words = [4, content.len() as u32, kind, u32::from_le_bytes(*b"Xen\0")];
    [words.map(u32::to_le_bytes).as_flattened(), content].concat()
}

pub(super) fn written(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub(super) fn plan(file: &NamedTempFile) -> Result<Plan> {
    Plan::of(&Input::open(file.path(), RAM).unwrap(), RAM)
}

#[test]
fn what_is_not_used_does_not_decide() {
    let entered = |elf: &Elf, case: &str| {
        let plan = elf.plan().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(matches!(plan.protocol, Protocol::Pvh), "{case}: {plan:?}");
        assert_eq!(plan.entry, IMAGE_MIN, "{case}");
        assert_eq!(plan.segments[0].start, IMAGE_MIN, "{case}");
    };
    let with = |more: Program| {
        let mut first = Elf::new();
        first.programs.insert(0, more);
        let mut last = Elf::new();
        last.programs.push(more);
        [first, last]
    };
    for wide in [true, false] {
        entered(&Elf { wide, ..Elf::new() }, "good");
    }
    let far = u64::MAX - 8;
    for (case, more) in [
        ("a note behind the end of the file", (NOTE, 0x10_0000, 0, 0, 0x20, 0x20, 4)),
        ("a note that wraps around", (NOTE, far, 0, 0, 0x20, 0x20, 4)),
        ("a note that is cut off", (NOTE, NOTES, 0, 0, 10, 10, 4)),
        ("a note of an alignment that there is not", (NOTE, BYTES, 0, 0, 0x100, 0x100, 3)),
        ("notes that say 8", (NOTE, NOTES, 0, 0, 20, 20, 8)),
        (
            "a segment without bytes behind the end",
            (LOAD, 0x10_0000, 0x20_0000, 0x20_0000, 0, 0x4000, 0x1000),
        ),
        ("a segment without bytes that wraps around", (LOAD, far, 0x20_0000, 0x20_0000, 0, 0x4000, 0x1000)),
        ("a segment of nothing, nowhere", (LOAD, far, far, far, 0, 0, 0)),
        ("a header of another kind", (0x6474_e551, far, far, far, far, far, far)),
    ] {
        with(more).iter().for_each(|elf| entered(elf, case));
    }
    let notes = [note(6, b"vmi\0"), note(18, &(IMAGE_MIN as u32).to_le_bytes())].concat();
    let mut second = Elf { notes, ..Elf::new() };
    second.programs[1] = (NOTE, NOTES, 0, 0, 40, 40, 8);
    entered(&second, "the second of two notes packed by 4 where 8 is said");
}

#[test]
fn an_entry_above_4_gib_is_refused_and_not_cut() {
    let mut elf = Elf { notes: note(18, &0x1_0010_0000_u64.to_le_bytes()), ..Elf::new() };
    elf.programs[1] = (NOTE, NOTES, 0, 0, 24, 24, 4);
    assert!(matches!(elf.plan(), Err(Error::EntryOutside { entry: 0x1_0010_0000, .. })));
}

#[test]
fn segments_may_lie_below_1_mib() {
    let mut elf = Elf::new();
    elf.programs.push((LOAD, BYTES, 0x8000, 0x8000, 0x80, 0x80, 1));
    let low = Segment { start: 0x8000, in_memory: 0x80, offset: BYTES, in_file: 0x80 };
    assert_eq!(elf.plan().unwrap().segments[0], low);
    elf.programs[2] = (LOAD, BYTES, 0x9_fc00, 0x9_fc00, 1, 1, 1);
    assert!(matches!(elf.plan(), Err(Error::OutsideMemory { start: 0x9_fc00, .. })));
}
