//! Multiboot2.
//!
//! Source: "Multiboot2 Specification version 2.0".

use super::command_line;
use super::elf::Elf;
use super::flat::{self, Addresses};
use super::input::Input;
use super::plan::{Plan, Protocol};
use super::space::Space;
use super::start::{Boot, LOADER, Start};
use crate::error::{Error, Result};
use crate::layout::{IMAGE_MIN, LOW_RAM_END};

/// What a header begins with, and what the image finds in `eax`.
const HEADER: u32 = 0xe852_50d6;
const ALIVE: u32 = 0x36d7_6289;
/// The header lies within so many bytes of the file, at a multiple of 8; it and its tags are aligned so.
const WITHIN: usize = 32768;
const ALIGN: usize = 8;
/// Its architecture: 32-bit protected mode.
const I386: u32 = 0;

/// Tags of the header.
mod wish {
    pub(super) const END: u16 = 0;
    pub(super) const INFORMATION: u16 = 1;
    pub(super) const ADDRESS: u16 = 2;
    pub(super) const ENTRY: u16 = 3;
    pub(super) const CONSOLE: u16 = 4;
    pub(super) const FRAMEBUFFER: u16 = 5;
    pub(super) const ENTRY_EFI64: u16 = 9;
    pub(super) const RELOCATABLE: u16 = 10;
    /// The flag of a tag that may go unheeded.
    pub(super) const OPTIONAL: u16 = 1;
    /// The flag of a console tag that asks for a screen.
    pub(super) const CONSOLE_REQUIRED: u32 = 1;
}

/// Tags of the information.
mod tag {
    pub(super) const END: u32 = 0;
    pub(super) const COMMAND_LINE: u32 = 1;
    pub(super) const LOADER: u32 = 2;
    pub(super) const MODULE: u32 = 3;
    pub(super) const BASIC_MEMORY: u32 = 4;
    pub(super) const MEMORY_MAP: u32 = 6;
    pub(super) const ACPI_NEW: u32 = 15;
    pub(super) const LOAD_BASE: u32 = 21;
}
/// The size and the version of an entry of the memory map.
const MAP_ENTRY: [u32; 2] = [24, 0];

/// Makes the plan of an image that has a header.
pub(super) fn plan(image: &Input, elf: Option<&Elf>) -> Result<Option<Plan>> {
    let start = image.read_at(0, WITHIN)?;
    let Some((offset, tags)) = header(&start) else { return Ok(None) };
    let refuse = |reason: String| Error::Multiboot { path: image.path.clone(), reason };
    let cut_off = || image.damaged("a tag of its multiboot2 header is cut off");
    let (mut addresses, mut entry, mut relocatable, mut rest) = (None, None, false, tags);
    loop {
        let Some(([kind, flags], [size])) = tag_head(rest) else { return Err(cut_off()) };
        let content = rest.get(8..size as usize).ok_or_else(cut_off)?;
        let words: Vec<u32> = content.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let required = flags & wish::OPTIONAL == 0;
        match (kind, &words[..]) {
            (wish::END, _) => break,
            (wish::ADDRESS, &[header, load, load_end, bss_end, ..]) => {
                // All ones: from the start of the file.
                let load = if load == u32::MAX { header.wrapping_sub(offset as u32) } else { load };
                addresses = Some(Addresses { header, load, load_end, bss_end });
            }
            (wish::ENTRY, &[address, ..]) => entry = Some(u64::from(address)),
            (wish::ADDRESS | wish::ENTRY, _) => return Err(cut_off()),
            (wish::INFORMATION, asked) if required => {
                if let Some(unknown) = asked.iter().find(|asked| **asked > tag::LOAD_BASE) {
                    return Err(refuse(format!("information of type {unknown} is unknown")));
                }
            }
            (wish::CONSOLE, &[flags, ..]) if required && flags & wish::CONSOLE_REQUIRED != 0 => {
                return Err(refuse("there is no screen".to_owned()));
            }
            (wish::RELOCATABLE, _) => relocatable = true,
            // A framebuffer is preferred, no more; and the rest concerns EFI, which is not here.
            (wish::INFORMATION | wish::CONSOLE | wish::FRAMEBUFFER..=wish::ENTRY_EFI64, _) => {}
            (unknown, _) if required => {
                return Err(refuse(format!("what it demands by a tag of type {unknown} is unknown")));
            }
            _ => {}
        }
        rest = rest.get((size as usize).next_multiple_of(ALIGN)..).ok_or_else(cut_off)?;
    }
    let (segments, linked) = match (addresses, elf) {
        (Some(addresses), _) => (vec![flat::segment(image, offset as u64, addresses)?], None),
        (None, Some(elf)) => (elf.segments.clone(), Some(elf.entry)),
        (None, None) => {
            return Err(refuse("it has no address tag, and the image is no ELF file".to_owned()));
        }
    };
    let entry =
        entry.or(linked).ok_or_else(|| refuse("it has an address tag, but no entry tag".to_owned()))?;
    let load_base = segments.iter().map(|segment| segment.start as u32).min().filter(|_| relocatable);
    Ok(Some(Plan { segments, entry, protocol: Protocol::Multiboot2 { load_base } }))
}

/// Returns the offset of the first header that adds up, and its tags.
fn header(start: &[u8]) -> Option<(usize, &[u8])> {
    let adds_up = |at: &usize| {
        let (words, _) = start[*at..].as_chunks();
        let Some(words) = words.first_chunk::<4>() else { return false };
        let words = words.map(u32::from_le_bytes);
        words[..2] == [HEADER, I386] && words.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word)) == 0
    };
    let at = (0..start.len()).step_by(ALIGN).find(adds_up)?;
    let size = u32::from_le_bytes(*start[at + 8..].first_chunk()?) as usize;
    let end = at.saturating_add(size).min(start.len());
    Some((at, start.get(at + 16..end).unwrap_or_default()))
}

/// Returns type, flags and size of a tag that is at least as large as it must be.
fn tag_head(tag: &[u8]) -> Option<([u16; 2], [u32; 1])> {
    let [a, b, c, d, size @ ..] = *tag.first_chunk::<8>()?;
    let size = u32::from_le_bytes(size);
    (size >= 8).then_some(([[a, b], [c, d]].map(u16::from_le_bytes), [size]))
}

/// Tells the image what it is given.
pub(super) fn tell(
    space: &mut Space<'_>,
    boot: &Boot,
    load_base: Option<u32>,
    rsdp: Option<u64>,
) -> Result<Start> {
    let mut information = Information(vec![0; 8]);
    information.tag(tag::COMMAND_LINE, &[], &command_line::bytes(&boot.command_line, usize::MAX)?);
    information.tag(tag::LOADER, &[], &command_line::bytes(LOADER, usize::MAX)?);
    for module in boot.given() {
        let placed = space.file(&module.path, u64::MAX)?;
        let bounds = [placed.start as u32, (placed.start + placed.size) as u32];
        information.tag(tag::MODULE, &bounds, &command_line::bytes(&module.command_line, usize::MAX)?);
    }
    let sizes = [LOW_RAM_END >> 10, (space.ram_end() - IMAGE_MIN) >> 10].map(|size| size as u32);
    information.tag(tag::BASIC_MEMORY, &sizes, &[]);
    let mut map = Vec::new();
    for range in space.map() {
        map.extend([range.start, range.end - range.start, range.kind as u64].map(u64::to_le_bytes));
    }
    information.tag(tag::MEMORY_MAP, &MAP_ENTRY, map.as_flattened());
    if let Some(rsdp) = rsdp {
        information.tag(tag::ACPI_NEW, &[], &space.read(rsdp, acpi_tables::rsdp::Rsdp::len())?);
    }
    if let Some(base) = load_base {
        information.tag(tag::LOAD_BASE, &[base], &[]);
    }
    let ebx = space.put(&information.finish())?;
    Ok(Start { eax: ALIVE.into(), ebx, ..Start::default() })
}

/// The information, which begins with its size and a 0.
struct Information(Vec<u8>);

impl Information {
    fn tag(&mut self, kind: u32, words: &[u32], bytes: &[u8]) {
        let size = 8 + size_of_val(words) + bytes.len();
        for word in [kind, size as u32].iter().chain(words) {
            self.0.extend(word.to_le_bytes());
        }
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.tag(tag::END, &[], &[]);
        let size = self.0.len() as u32;
        self.0[..4].copy_from_slice(&size.to_le_bytes());
        self.0
    }
}
