//! What an ELF file must be like before any of it is loaded.

use std::fs::File;
use std::path::Path;

use object::elf::{EM_X86_64, FileHeader64, NoteType, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};

use crate::error::{Error, Result};
use crate::layout::{HOLE, IMAGE_MIN};

/// The type of the note that names the entry. Source: Xen, `public/elfnote.h`, `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: NoteType = NoteType(18);

/// What is known of an ELF file that can be booted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Checked {
    /// The first instruction, in 32-bit protected mode.
    pub(super) entry: u64,
    /// Behind the last byte of memory it uses.
    pub(super) end: u64,
}

/// Checks the file, all of it that is relied on.
///
/// # Errors
///
/// Names what is wrong with it.
pub(super) fn check(path: &Path, file: &File, ram_bytes: u64) -> Result<Checked> {
    let damaged =
        |reason: &dyn std::fmt::Display| Error::Damaged { path: path.to_owned(), reason: reason.to_string() };
    let data = ReadCache::new(file);
    let data = &data;
    let mut ident = [0; 20];
    for (at, byte) in ident.iter_mut().enumerate() {
        *byte = *data.read_at::<u8>(at as u64).map_err(|()| damaged(&"it ends within its header"))?;
    }
    // Class of 64 bits, little endian; the machine is two bytes behind the identification and the type.
    if ident[4..6] != [2, 1] || u16::from_le_bytes([ident[18], ident[19]]) != EM_X86_64.0 {
        return Err(Error::WrongElf(path.to_owned()));
    }
    // Sections are none of a loader's business, and may be damaged or gone.
    let elf = FileHeader64::<Endianness>::parse(data).map_err(|error| damaged(&error))?;
    let endian = elf.endian().map_err(|error| damaged(&error))?;
    let headers = elf.program_headers(endian, data).map_err(|error| damaged(&error))?;
    let length = data.len().map_err(|()| damaged(&"its length cannot be told"))?;
    let available = IMAGE_MIN..ram_bytes.min(HOLE.start);
    let mut segments = Vec::new();
    let mut entry = None;
    for header in headers {
        let (offset, in_file) = header.file_range(endian);
        let kind = header.p_type(endian);
        if kind != PT_LOAD && kind != PT_NOTE {
            continue;
        }
        if offset.checked_add(in_file).is_none_or(|end| end > length) {
            return Err(damaged(&"it ends before its last segment does"));
        }
        if kind == PT_NOTE {
            entry = entry.or(pvh_entry(header, endian, data).map_err(|error| damaged(&error))?);
            continue;
        }
        let (start, size) = (header.p_paddr(endian), header.p_memsz(endian));
        if size < in_file {
            return Err(damaged(&"a segment is larger in the file than in memory"));
        }
        if size == 0 {
            continue;
        }
        let end = start.saturating_add(size);
        if start < available.start || end > available.end {
            let (available, available_end) = (available.start, available.end);
            return Err(Error::OutsideMemory { path: path.to_owned(), start, end, available, available_end });
        }
        segments.push(start..end);
    }
    segments.sort_by_key(|segment| segment.start);
    if let Some(pair) = segments.windows(2).find(|pair| pair[0].end > pair[1].start) {
        return Err(Error::Overlap { path: path.to_owned(), address: pair[1].start });
    }
    let entry = entry.ok_or_else(|| Error::NoPvhNote(path.to_owned()))?;
    if !segments.iter().any(|segment| segment.contains(&entry)) {
        return Err(Error::EntryOutside { path: path.to_owned(), entry });
    }
    Ok(Checked { entry, end: segments.last().map_or(available.start, |segment| segment.end) })
}

/// Returns the entry that the notes of a segment name.
fn pvh_entry<'data, R: ReadRef<'data>>(
    header: &object::elf::ProgramHeader64<Endianness>,
    endian: Endianness,
    data: R,
) -> object::read::Result<Option<u64>> {
    let Some(mut notes) = header.notes(endian, data)? else { return Ok(None) };
    while let Some(note) = notes.next()? {
        if note.name() == b"Xen" && note.n_type(endian) == PHYS32_ENTRY {
            // The address has 32 bits; some linkers' scripts write it as 64.
            let bytes = note.desc().get(..4).and_then(|bytes| bytes.try_into().ok());
            return Ok(bytes.map(|bytes| u64::from(u32::from_le_bytes(bytes))));
        }
    }
    Ok(None)
}
