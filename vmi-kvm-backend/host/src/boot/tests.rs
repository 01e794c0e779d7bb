//! Images up to what lies in memory. None of this needs KVM.

use std::io::Write;

use tempfile::NamedTempFile;

use super::input::Input;
use super::made::{BYTES, END, Elf, LOAD, NOTE, NOTES, Program, multiboot, multiboot2, note};
use super::plan::{Plan, Protocol};
use super::segment::Segment;
use super::{Boot, load};
use crate::error::{Error, Result};
use crate::layout::IMAGE_MIN;
use crate::memory;
use crate::port_call::GuestRam;

const RAM: u64 = 16 << 20;

impl Elf {
    fn plan(&self) -> Result<Plan> {
        plan(&written(&self.file()))
    }
}

fn written(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn plan(file: &NamedTempFile) -> Result<Plan> {
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

#[test]
fn a_segment_is_what_it_says_where_a_bios_had_something() {
    let mut elf = Elf::new();
    elf.programs.push((LOAD, BYTES, 0x410, 0x410, 0x40, 0x100, 1));
    let memory = memory::allocate(RAM).unwrap();
    crate::devices::write_bios(&memory, RAM).unwrap();
    let file = written(&elf.file());
    let boot = Boot { image: file.path().to_owned(), ..Boot::default() };
    load(&memory, RAM, &boot, None, &[]).unwrap();
    let mut segment = [0xff; 0x100];
    memory.read(0x410, &mut segment).unwrap();
    assert_eq!(segment[..0x40], [0x90; 0x40]);
    assert_eq!(segment[0x40..], [0; 0xc0]);
}

#[test]
fn the_first_protocol_that_can_be_served_starts_an_image() {
    let with = |header: &[u8], more: &[u8], noted: bool| {
        let mut elf = Elf::new();
        elf.programs.truncate(if noted { 2 } else { 1 });
        elf.bytes = [header, &vec![0; 0x40 - header.len()], more].concat();
        elf.bytes.resize(0x100, 0);
        elf
    };
    let second = multiboot2(&END);
    let unknown = multiboot2(&[&[99, 0, 0, 0, 8, 0, 0, 0], &END[..]].concat());
    let plan = with(&multiboot(0), &second, true).plan().unwrap();
    assert!(matches!(plan.protocol, Protocol::Pvh));
    let plan = with(&multiboot(7), &second, false).plan().unwrap();
    assert!(matches!(plan.protocol, Protocol::Multiboot));
    // A flag that is unknown has it refused, and the second version tried.
    let plan = with(&multiboot(8), &second, false).plan().unwrap();
    assert!(matches!(plan.protocol, Protocol::Multiboot2 { load_base: None }));
    let refused = with(&multiboot(8), &unknown, false).plan().unwrap_err().to_string();
    assert!(refused.ends_with("cannot be served: what it demands by the flags 0x8 is unknown"), "{refused}");
    // A checksum that is wrong makes it no header.
    let mut wrong = multiboot(0);
    wrong[8] ^= 1;
    assert!(matches!(with(&wrong, &[], false).plan(), Err(Error::NoEntry(_))));
}

#[test]
fn a_header_of_linux_that_cannot_be_served_hides_no_other() {
    let addresses = [IMAGE_MIN, IMAGE_MIN, 0, 0, IMAGE_MIN].map(|address| address as u32);
    let header = [multiboot(1 << 16), addresses.map(u32::to_le_bytes).as_flattened().to_vec()].concat();
    let mut bytes = [header, vec![0; 0x1000]].concat();
    bytes[0x201..0x208].copy_from_slice(b"\x6cHdrS\x0f\x02");
    let served = plan(&written(&bytes)).unwrap();
    assert!(matches!(served.protocol, Protocol::Multiboot), "{served:?}");
    // Where nothing else fits, what is told is what is wrong with it.
    for other in [&multiboot(0)[..], b"\x7fELF", b"nothing"] {
        bytes[..other.len()].copy_from_slice(other);
        let refused = plan(&written(&bytes)).unwrap_err().to_string();
        assert!(refused.contains("code32_start is 0"), "{refused}");
    }
    bytes[0x214..0x218].copy_from_slice(&addresses[0].to_le_bytes());
    assert!(matches!(plan(&written(&bytes)).unwrap().protocol, Protocol::Linux(_)));
}

#[test]
fn an_entry_is_virtual_where_a_segment_has_it() {
    let mut elf = Elf { entry: 0xffff_8000_0010_0010, ..Elf::new() };
    elf.programs = vec![(LOAD, BYTES, 0xffff_8000_0010_0000, IMAGE_MIN, 0x100, 0x1000, 0x1000)];
    elf.bytes[..12].copy_from_slice(&multiboot(0));
    assert_eq!(elf.plan().unwrap().entry, IMAGE_MIN + 0x10);
    elf.entry = IMAGE_MIN + 0x20;
    assert_eq!(elf.plan().unwrap().entry, IMAGE_MIN + 0x20);
    elf.entry = 0x40_0000;
    assert!(matches!(elf.plan(), Err(Error::EntryOutside { entry: 0x40_0000, .. })));
}

#[test]
fn demands_that_cannot_be_met_are_named() {
    let refused = |bytes: &[u8], saying: &str| {
        let error = plan(&written(bytes)).unwrap_err().to_string();
        assert!(error.contains(saying), "`{error}` does not say `{saying}`");
    };
    let tags = |tags: &[&[u32]]| {
        let mut bytes = Vec::new();
        for tag in tags.iter().chain([&&[0, 8][..]]) {
            bytes.extend(tag.iter().flat_map(|word| word.to_le_bytes()));
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        multiboot2(&bytes)
    };
    const OPTIONAL: u32 = 1 << 16;
    refused(&multiboot(0), "it has no addresses, and the image is no ELF file");
    refused(&multiboot(1 << 16), "ends within its multiboot header");
    refused(&tags(&[]), "it has no address tag, and the image is no ELF file");
    refused(&tags(&[&[99, 8]]), "a tag of type 99 is unknown");
    refused(&tags(&[&[99 | OPTIONAL, 8]]), "no address tag");
    refused(&tags(&[&[1, 12, 22]]), "information of type 22 is unknown");
    refused(&tags(&[&[1 | OPTIONAL, 12, 22]]), "no address tag");
    refused(&tags(&[&[4, 12, 1]]), "there is no screen");
    refused(&tags(&[&[4, 12, 2]]), "no address tag");
    refused(&tags(&[&[5, 20, 0, 0, 0], &[10, 24, 0, 0, 1, 0]]), "no address tag");
    refused(&tags(&[&[2, 24, 0x10_0000, 0x10_0000, 0, 0]]), "it has an address tag, but no entry tag");
    for cut in [&[3, 8][..], &[2, 12, 0], &[9, 4], &[9, 0xffff_fff8]] {
        refused(&tags(&[cut]), "a tag of its multiboot2 header is cut off");
    }
    let flat = |addresses: [u32; 5]| {
        let bytes = addresses.map(u32::to_le_bytes);
        let mut image = [&multiboot(1 << 16), bytes.as_flattened()].concat();
        image.resize(0x100, 0);
        image
    };
    let base = 0x10_0000;
    refused(
        &flat([base, base - 1, 0, 0, base]),
        "its header is at 0x0, so 0xfffff would lie before the file",
    );
    refused(
        &flat([base, base + 1, 0, 0, base]),
        "its header is at 0x0, so 0x100001 would lie before the file",
    );
    refused(&flat([base, base, base - 1, 0, base]), "ends at 0xfffff, before it begins at 0x100000");
    refused(&flat([base, base, base + 0x101, 0, base]), "ends before its last segment does");
    refused(
        &flat([base, base, base + 0x100, base + 0xff, base]),
        "it ends at 0x1000ff, within the 256 bytes",
    );
    refused(&flat([base, base, 0, 0, base + 0x100]), "entered at 0x100100, where it has no segment");
    assert!(plan(&written(&flat([base, base, 0, 0, base + 0xff]))).is_ok());
}

/// An image that could lie elsewhere is told where it lies.
#[test]
fn an_image_that_is_relocatable_is_told_its_base() {
    let mut elf = Elf::new();
    elf.programs.truncate(1);
    let relocatable = [&[10, 0, 0, 0, 24, 0, 0, 0][..], &[0; 16], &END].concat();
    let header = multiboot2(&relocatable);
    elf.bytes[..header.len()].copy_from_slice(&header);
    let plan = elf.plan().unwrap();
    assert!(matches!(plan.protocol, Protocol::Multiboot2 { load_base: Some(0x10_0000) }), "{plan:?}");
}
