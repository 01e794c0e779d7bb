//! Every door shuts with one clear sentence. None of this needs KVM: images and memory are looked at first.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

const LOAD: u32 = 1;
const NOTE: u32 = 4;
const CODE: u64 = 0x10_0000;

/// A small ELF file that is right, but for what a test changes.
struct Elf {
    class: u8,
    machine: u16,
    note_type: u32,
    entry: u32,
    /// Physical address, size in the file, size in memory.
    segments: Vec<(u64, u64, u64)>,
    /// Where the file is cut off.
    length: Option<u64>,
}

impl Default for Elf {
    fn default() -> Self {
        let segments = vec![(CODE, 0x100, 0x1000)];
        Self { class: 2, machine: 62, note_type: 18, entry: CODE as u32, segments, length: None }
    }
}

impl Elf {
    fn write(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        let mut bytes = vec![0x7f, b'E', b'L', b'F', self.class, 1, 1];
        bytes.resize(16, 0);
        bytes.extend(2_u16.to_le_bytes());
        bytes.extend(self.machine.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        for word in [u64::from(self.entry), 64, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(0_u32.to_le_bytes());
        for half in [64, 56, self.segments.len() as u16 + 1, 64, 0, 0] {
            bytes.extend(u16::to_le_bytes(half));
        }
        let mut program = |kind: u32, [offset, address, in_file, in_memory]: [u64; 4]| {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(7_u32.to_le_bytes());
            for word in [offset, address, address, in_file, in_memory, 4] {
                bytes.extend(word.to_le_bytes());
            }
        };
        program(NOTE, [0x800, 0, 20, 20]);
        for (address, in_file, in_memory) in &self.segments {
            program(LOAD, [0x1000, *address, *in_file, *in_memory]);
        }
        bytes.resize(0x800, 0);
        for word in [4, 4, self.note_type, u32::from_le_bytes(*b"Xen\0"), self.entry] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.resize(0x2000, 0x90);
        file.write_all(&bytes).unwrap();
        if let Some(length) = self.length {
            file.as_file().set_len(length).unwrap();
        }
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }
}

/// Runs the program; returns its status and what it says.
fn run(arguments: &[&str], image: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmi-run"));
    let output = command.args(["--limit", "2"]).args(arguments).arg(image).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Expects the program to fail with one sentence that says this.
fn refused(arguments: &[&str], image: &Path, saying: &str) {
    let (status, text) = run(arguments, image);
    assert_eq!(status, Some(125), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("vmi-run: ") && text.contains(saying), "`{text}` does not say `{saying}`");
}

#[test]
fn images_that_cannot_be_booted() {
    let no = |elf: Elf, saying: &str| refused(&[], elf.write().path(), saying);
    no(
        Elf { class: 1, ..Elf::default() },
        "an ELF file of class 1 and byte order 1 for machine 62, not one of",
    );
    no(
        Elf { machine: 40, ..Elf::default() },
        "an ELF file of class 2 and byte order 1 for machine 40, not one of",
    );
    no(Elf { note_type: 17, ..Elf::default() }, "has no PVH note (Xen, type 18) and no multiboot header");
    no(Elf { length: Some(10), ..Elf::default() }, "ends within its header");
    no(Elf { length: Some(100), ..Elf::default() }, "is damaged");
    no(Elf { length: Some(0x10ff), ..Elf::default() }, "ends before its last segment does");
    no(Elf { entry: 0x20_0000, ..Elf::default() }, "entered at 0x200000, where it has no segment");
    let segments = |segments: &[(u64, u64, u64)]| Elf { segments: segments.to_vec(), ..Elf::default() };
    no(segments(&[(CODE, 0x100, 0x80)]), "larger in the file than in memory");
    no(segments(&[(CODE, 0x100, 0x1000), (CODE + 0xfff, 1, 1)]), "overlap at 0x100fff");
    no(segments(&[(CODE, 0x100, 128 << 20)]), "wants 0x100000 to 0x8100000");
    no(segments(&[(CODE, 0x100, 0x1000), (u64::MAX - 10, 0x100, 0x100)]), "is not all memory");
    no(
        segments(&[(0x9_f000, 0x100, 0x1000)]),
        "wants 0x9f000 to 0xa0000, which is not all memory for an image",
    );
    no(segments(&[(0xf_f000, 0x100, 0x1000)]), "there is 0x0 to 0x9fc00 and 0x100000 to 0x8000000");
    no(segments(&[(CODE, 0x100, 0x1000), (0x1000, 0x100, 0x1001), (0x2000, 1, 1)]), "overlap at 0x2000");
    no(segments(&[(CODE, 0x100, u64::MAX)]), "is not all memory");
}

#[test]
fn files_that_are_no_images() {
    let mut text = NamedTempFile::new().unwrap();
    text.write_all(b"#!/bin/sh\n").unwrap();
    refused(&[], text.path(), "is neither an ELF file nor a Linux kernel, and has no multiboot header");
    let empty = NamedTempFile::new().unwrap();
    refused(&[], empty.path(), "is empty");
    refused(&[], Path::new("/dev/null"), "`/dev/null` is empty");
    refused(&["-m", "4M"], Path::new("/dev/zero"), "`/dev/zero` has not ended after the 4194304 bytes");
    refused(&[], Path::new("/proc/version"), "`/proc/version` is neither an ELF file nor a Linux kernel");
    refused(&[], Path::new("/nonexistent/image"), "cannot read `/nonexistent/image`");
    refused(&[], Path::new("/"), "cannot read `/`");
}

#[test]
fn kernels_of_linux_that_cannot_be_booted() {
    let mut bytes = vec![0; 0x800];
    bytes[0x1f1] = 1;
    bytes[0x201] = 0x6c;
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    bytes[0x211] = 1;
    bytes[0x214..0x218].copy_from_slice(&0x10_0000_u32.to_le_bytes());
    let with = |change: &dyn Fn(&mut Vec<u8>), saying: &str| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        refused(&[], file.path(), saying);
    };
    with(
        &|bytes| bytes[0x206..0x208].copy_from_slice(&[1, 2]),
        "its boot protocol is 0x0201, older than 0x0202",
    );
    let no_entry = |bytes: &mut Vec<u8>| bytes[0x216] = 0;
    with(
        &|bytes| (no_entry(bytes), bytes[0x211] = 0).1,
        "it has no 32-bit entry (code32_start is 0), and lies",
    );
    with(
        &|bytes| {
            no_entry(bytes);
            bytes.resize(0x20000, 0);
            bytes[0x1f1] = 111;
        },
        "its setup code has 57344 bytes",
    );
    let mut real = bytes.clone();
    no_entry(&mut real);
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&real).unwrap();
    refused(&["--without", "bios"], file.path(), "and takes a BIOS to start");
    with(&|bytes| bytes.truncate(0x206), "ends within its header");
    with(&|bytes| bytes.truncate(0x210), "ends within its header");
    with(&|bytes| bytes.truncate(0x400), "ends within its setup code");
    with(&|bytes| bytes[0x1f4..0x1f6].copy_from_slice(&[0xff, 0xff]), "bytes of kernel, not");
    with(&|bytes| bytes[0x260..0x264].copy_from_slice(&[0, 0, 0, 0x40]), "is not all memory");
}

#[test]
fn machines_that_cannot_be_made() {
    let good = Elf::default().write();
    refused(&["-m", "1M"], good.path(), "too little memory");
    refused(&["-m", "4194305"], good.path(), "are not whole pages");
    refused(&["-m", "1000000G"], good.path(), "but this machine has");
    refused(&["-i", "/nonexistent/initrd"], good.path(), "cannot read `/nonexistent/initrd`");
    refused(&["-i", "/dev/null"], good.path(), "`/dev/null` is empty");
    refused(&["--module", "/dev/null arguments"], good.path(), "`/dev/null` is empty");
    refused(&["-i", "/dev/zero"], good.path(), "`/dev/zero` has not ended after the 134217728 bytes");
    let mut large = NamedTempFile::new().unwrap();
    large.as_file_mut().set_len(127 << 20).unwrap();
    let path = large.path().to_str().unwrap();
    refused(&["-i", path], good.path(), "for which there is no room left");
}

#[test]
fn the_command_line_has_an_end() {
    let good = Elf::default().write();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmi-run"));
    let output = command.arg(good.path()).args(["--", &"x".repeat(70_000)]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("the command line has 70000 bytes, and there is room for 65535"), "{text}");
}

/// Without KVM the sentence says which of the reasons it is; the directory of devices is an empty one here.
#[test]
fn a_machine_without_kvm() {
    let good = Elf::default().write();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /dev && exec \"$@\"";
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    let output = command.arg(env!("CARGO_BIN_EXE_vmi-run")).arg(good.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("there is no /dev/kvm"), "{text}");
    assert_eq!(output.status.code(), Some(125));
}
