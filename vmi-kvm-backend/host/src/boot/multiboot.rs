//! Multiboot, the first version.
//!
//! Source: "Multiboot Specification version 0.6.96".

use std::path::Path;

use super::elf::Elf;
use super::flat::{self, Addresses};
use super::input::Input;
use super::plan::{Plan, Protocol};
use super::space::Space;
use super::start::{Boot, LOADER, Start};
use crate::error::{Error, Result};
use crate::layout::{IMAGE_MIN, LOW_RAM_END};

/// What a header begins with, and what the image finds in `eax`.
const HEADER: u32 = 0x1bad_b002;
const ALIVE: u32 = 0x2bad_b002;
/// The header lies within so many bytes of the file.
const WITHIN: usize = 8192;
/// Flags of the header: those that must be known, of which page-aligned modules, the memory's size and a video mode are;
/// and that of the address fields. A video mode is preferred, no more.
const MUST_BE_KNOWN: u32 = 0xffff;
const KNOWN: u32 = 0b111;
const HAS_ADDRESSES: u32 = 1 << 16;

/// Flags of the information: size of memory, command line, modules, memory map, name of the loader.
const INFORMATION: u32 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9;
/// Words of the information, up to the last that is used.
mod information {
    pub(super) const FLAGS: usize = 0;
    pub(super) const MEM_LOWER: usize = 1;
    pub(super) const MEM_UPPER: usize = 2;
    pub(super) const CMDLINE: usize = 4;
    pub(super) const MODS_COUNT: usize = 5;
    pub(super) const MODS_ADDR: usize = 6;
    pub(super) const MMAP_LENGTH: usize = 11;
    pub(super) const MMAP_ADDR: usize = 12;
    pub(super) const BOOT_LOADER_NAME: usize = 16;
    pub(super) const WORDS: usize = 30;
}
/// The size of an entry of the memory map, without the word that says it.
const MAP_ENTRY: u32 = 20;

/// Makes the plan of an image that has a header.
pub(super) fn plan(image: &Input, elf: Option<&Elf>) -> Result<Option<Plan>> {
    let start = image.read_at(0, WITHIN)?;
    let Some(offset) = header(&start) else { return Ok(None) };
    let refuse = |reason: String| Error::Multiboot { path: image.path.clone(), reason };
    let word = |at: usize| start.get(offset + 4 * at..)?.first_chunk().copied().map(u32::from_le_bytes);
    let flags = word(1).unwrap_or_default();
    let unknown = flags & MUST_BE_KNOWN & !KNOWN;
    if unknown != 0 {
        return Err(refuse(format!("what it demands by the flags {unknown:#x} is unknown")));
    }
    let protocol = Protocol::Multiboot;
    if flags & HAS_ADDRESSES == 0 {
        let no_addresses = || refuse("it has no addresses, and the image is no ELF file".to_owned());
        let elf = elf.ok_or_else(no_addresses)?;
        return Ok(Some(Plan { segments: elf.segments.clone(), entry: elf.entry, protocol }));
    }
    let [Some(header), Some(load), Some(load_end), Some(bss_end), Some(entry)] = [3, 4, 5, 6, 7].map(word)
    else {
        return Err(image.damaged("it ends within its multiboot header"));
    };
    let addresses = Addresses { header, load, load_end, bss_end };
    let segment = flat::segment(image, offset as u64, addresses)?;
    Ok(Some(Plan { segments: vec![segment], entry: entry.into(), protocol }))
}

/// Returns the offset of the first header that adds up.
fn header(start: &[u8]) -> Option<usize> {
    let words: Vec<u32> = start.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let adds_up =
        |words: &[u32]| words[0] == HEADER && HEADER.wrapping_add(words[1]).wrapping_add(words[2]) == 0;
    words.windows(3).position(adds_up).map(|at| at * 4)
}

/// Tells the image what it is given.
pub(super) fn tell(space: &mut Space<'_>, boot: &Boot) -> Result<Start> {
    let mut info = [0; information::WORDS];
    info[information::FLAGS] = INFORMATION;
    info[information::MEM_LOWER] = (LOW_RAM_END >> 10) as u32;
    info[information::MEM_UPPER] = ((space.ram_end() - IMAGE_MIN) >> 10) as u32;
    info[information::CMDLINE] = space.text(&named(&boot.image, &boot.command_line))? as u32;
    let mut list = Vec::new();
    for module in boot.given() {
        let placed = space.file(&module.path, u64::MAX)?;
        let text = space.text(&named(&module.path, &module.command_line))?;
        list.extend([placed.start, placed.start + placed.size, text, 0].map(|word| word as u32));
    }
    info[information::MODS_COUNT] = list.len() as u32 / 4;
    info[information::MODS_ADDR] = space.put(list_bytes(&list).as_flattened())? as u32;
    let mut map = Vec::new();
    for range in space.map() {
        map.extend(MAP_ENTRY.to_le_bytes());
        map.extend([range.start, range.end - range.start].map(u64::to_le_bytes).as_flattened());
        map.extend((range.kind as u32).to_le_bytes());
    }
    info[information::MMAP_LENGTH] = map.len() as u32;
    info[information::MMAP_ADDR] = space.put(&map)? as u32;
    info[information::BOOT_LOADER_NAME] = space.text(LOADER)? as u32;
    let ebx = space.put(list_bytes(&info).as_flattened())?;
    Ok(Start { eax: ALIVE.into(), ebx, ..Start::default() })
}

fn list_bytes(words: &[u32]) -> Vec<[u8; 4]> {
    words.iter().map(|word| word.to_le_bytes()).collect()
}

/// Puts the name of the file in front of its command line, as one word: images expect their own name there.
fn named(file: &Path, command_line: &str) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy().replace(char::is_whitespace, "_");
    format!("{name} {command_line}").trim_end().to_owned()
}
