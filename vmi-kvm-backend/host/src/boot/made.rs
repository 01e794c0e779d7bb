//! Images as linkers and hands make them.

use crate::layout::IMAGE_MIN;

/// Types of program headers.
pub(super) const LOAD: u32 = 1;
pub(super) const NOTE: u32 = 4;
/// Where the bytes of notes and of segments lie in the file.
pub(super) const NOTES: u64 = 0x800;
pub(super) const BYTES: u64 = 0x1000;

/// A program header: type, offset, virtual and physical address, sizes in the file and in memory, alignment.
pub(super) type Program = (u32, u64, u64, u64, u64, u64, u64);

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

    /// Returns the file.
    pub(super) fn file(&self) -> Vec<u8> {
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
        file
    }
}

/// A note of Xen's.
pub(super) fn note(kind: u32, content: &[u8]) -> Vec<u8> {
    let words = [4, content.len() as u32, kind, u32::from_le_bytes(*b"Xen\0")];
    [words.map(u32::to_le_bytes).as_flattened(), content].concat()
}

/// A header of multiboot by its flags, and of multiboot2 by its tags.
pub(super) fn multiboot(flags: u32) -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    [MAGIC, flags, 0_u32.wrapping_sub(MAGIC).wrapping_sub(flags)]
        .map(u32::to_le_bytes)
        .as_flattened()
        .to_vec()
}

pub(super) fn multiboot2(tags: &[u8]) -> Vec<u8> {
    const MAGIC: u32 = 0xe852_50d6;
    let size = 16 + tags.len() as u32;
    let words = [MAGIC, 0, size, 0_u32.wrapping_sub(MAGIC).wrapping_sub(size)];
    [words.map(u32::to_le_bytes).as_flattened(), tags].concat()
}

pub(super) const END: [u8; 8] = [0, 0, 0, 0, 8, 0, 0, 0];
