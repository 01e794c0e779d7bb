//! What an ELF file says that is used here: its segments, its entry, and the note that names another.

use object::elf::{EM_386, EM_X86_64, FileHeader32, FileHeader64, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache};

use super::input::Input;
use super::segment::Segment;
use crate::error::{Error, Result};

/// The owner and the type of the note that names the entry. Source: Xen, `public/elfnote.h`, `XEN_ELFNOTE_PHYS32_ENTRY`.
const OWNER: &[u8] = b"Xen\0";
const PHYS32_ENTRY: u32 = 18;
/// How many bytes of a segment of notes are looked at; notes are short.
const NOTES_MAX: usize = 1 << 20;
/// Behind the identification, the type and the machine of a header.
const IDENT: usize = 20;

/// An ELF file.
#[derive(Debug)]
pub(super) struct Elf {
    /// Everything that is to be loaded.
    pub(super) segments: Vec<Segment>,
    /// The physical address of the entry.
    pub(super) entry: u64,
    /// The entry that a note names, for PVH.
    pub(super) note: Option<u64>,
}

/// Reads an ELF file; returns nothing if it is none.
///
/// # Errors
///
/// Fails for one of a foreign kind, or whose headers are cut off. What the segments say is not checked yet.
pub(super) fn read(image: &Input) -> Result<Option<Elf>> {
    let ident = image.read_at(0, IDENT)?;
    if !ident.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    if ident.len() < IDENT {
        return Err(image.damaged("it ends within its header"));
    }
    let (class, order, machine) = (ident[4], ident[5], u16::from_le_bytes([ident[18], ident[19]]));
    let elf = match (class, order) {
        (1, 1) if machine == EM_386.0 => read_as::<FileHeader32<Endianness>>(image),
        (2, 1) if machine == EM_X86_64.0 => read_as::<FileHeader64<Endianness>>(image),
        _ => Err(Error::WrongElf { path: image.path.clone(), class, order, machine }),
    };
    elf.map(Some)
}

fn read_as<H: FileHeader<Endian = Endianness>>(image: &Input) -> Result<Elf> {
    let data = &ReadCache::new(&image.file);
    // Sections are none of a loader's business, and may be damaged or gone.
    let elf = H::parse(data).map_err(|error| image.damaged(error))?;
    let endian = elf.endian().map_err(|error| image.damaged(error))?;
    let headers = elf.program_headers(endian, data).map_err(|error| image.damaged(error))?;
    let mut entry: u64 = elf.e_entry(endian).into();
    let (mut segments, mut note, mut physical) = (Vec::new(), None, None);
    for header in headers {
        let (offset, in_file) = header.file_range(endian);
        let start = header.p_paddr(endian).into();
        let in_memory = header.p_memsz(endian).into();
        if header.p_type(endian) == PT_LOAD {
            segments.push(Segment { start, in_memory, offset, in_file });
            let within = entry.checked_sub(header.p_vaddr(endian).into());
            let within = within.filter(|within| *within < in_memory);
            physical = physical.or(within.map(|within| start.saturating_add(within)));
        } else if header.p_type(endian) == PT_NOTE && note.is_none() {
            let bytes = image.read_at(offset, in_file.min(NOTES_MAX as u64) as usize)?;
            note = phys32_entry(&bytes, header.p_align(endian).into());
        }
    }
    // An entry outside of all segments' virtual addresses may still be a physical one.
    entry = physical.unwrap_or(entry);
    Ok(Elf { segments, entry, note })
}

/// Returns the entry that notes name. They are packed as their segment says, or by 4 bytes in spite of it: linkers put
/// notes of either kind into one segment.
fn phys32_entry(notes: &[u8], align: u64) -> Option<u64> {
    let packed = |align| Notes { rest: notes, align }.find_map(|note| entry_of(&note));
    (align == 8).then(|| packed(8)).flatten().or_else(|| packed(4))
}

fn entry_of(note: &Note<'_>) -> Option<u64> {
    if note.owner != OWNER || note.kind != PHYS32_ENTRY {
        return None;
    }
    // The address has 32 bits; some linkers' scripts write it as 64.
    match *note.content {
        [a, b, c, d, e, f, g, h, ..] => Some(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
        [a, b, c, d, ..] => Some(u32::from_le_bytes([a, b, c, d]).into()),
        _ => None,
    }
}

struct Note<'notes> {
    owner: &'notes [u8],
    kind: u32,
    content: &'notes [u8],
}

/// Notes one by one, up to the first that is cut off. Source: System V ABI, "Note Section".
struct Notes<'notes> {
    rest: &'notes [u8],
    align: usize,
}

impl<'notes> Iterator for Notes<'notes> {
    type Item = Note<'notes>;

    fn next(&mut self) -> Option<Note<'notes>> {
        let (words, _) = self.rest.as_chunks::<4>();
        let [owner, content, kind] = *words.first_chunk::<3>()?;
        let owner_end = 12_usize.checked_add(u32::from_le_bytes(owner) as usize)?;
        let start = owner_end.checked_next_multiple_of(self.align)?;
        let end = start.checked_add(u32::from_le_bytes(content) as usize)?;
        let note = Note {
            owner: self.rest.get(12..owner_end)?,
            kind: u32::from_le_bytes(kind),
            content: self.rest.get(start..end)?,
        };
        self.rest = self.rest.get(end.checked_next_multiple_of(self.align)?..).unwrap_or_default();
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A note by its owner, type and content, packed.
    fn note(owner: &[u8], kind: u32, content: &[u8], align: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [owner.len() as u32, content.len() as u32, kind] {
            bytes.extend(word.to_le_bytes());
        }
        for piece in [owner, content] {
            bytes.extend(piece);
            bytes.resize(bytes.len().next_multiple_of(align), 0);
        }
        bytes
    }

    #[test]
    fn the_entry_is_found_however_notes_are_packed() {
        for packed in [4, 8] {
            for said in [4, 8, 0, 16] {
                if packed == 8 && said != 8 {
                    continue;
                }
                let entry = note(OWNER, PHYS32_ENTRY, &0x10_0000_u32.to_le_bytes(), packed);
                for before in [note(b"GNU\0", 5, &[1; 12], packed), note(OWNER, 6, b"vmi\0", packed), vec![]]
                {
                    let notes = [&before[..], &entry].concat();
                    assert_eq!(phys32_entry(&notes, said), Some(0x10_0000), "by {packed}, said {said}");
                }
            }
        }
    }

    #[test]
    fn an_entry_of_eight_bytes_is_not_cut() {
        let entry = |content: &[u8]| phys32_entry(&note(OWNER, PHYS32_ENTRY, content, 4), 4);
        assert_eq!(entry(&0x1_0010_0000_u64.to_le_bytes()), Some(0x1_0010_0000));
        assert_eq!(entry(&0x10_0000_u64.to_le_bytes()), Some(0x10_0000));
        assert_eq!(entry(&[1, 2, 3]), None);
    }

    #[test]
    fn what_is_no_note_is_none() {
        let good = note(OWNER, PHYS32_ENTRY, &[1, 0, 0, 0], 4);
        for end in 0..good.len() {
            assert_eq!(phys32_entry(&good[..end], 4), None);
        }
        assert_eq!(phys32_entry(&note(b"Xen", PHYS32_ENTRY, &[1; 4], 4), 4), None);
        assert_eq!(phys32_entry(&note(OWNER, 17, &[1; 4], 4), 4), None);
        assert_eq!(phys32_entry(&[0xff; 64], 8), None);
    }
}
