//! PVH: an ELF file that is entered in 32-bit protected mode, with a start info.
//!
//! Source: Xen, `docs/misc/pvh.pandoc` and `public/arch-x86/hvm/start_info.h`.

use linux_loader::loader::elf::start_info::hvm_start_info;

use super::elf::Elf;
use super::input::Input;
use super::plan::{Plan, Protocol};
use super::space::Space;
use super::start::{Boot, Start};
use crate::error::Result;

/// `hvm_start_info.magic`: "xEn3", with the highest bit of the E set.
const MAGIC: u32 = 0x336e_c578;
/// The version of the structure that has a memory map.
const VERSION: u32 = 1;

/// Makes the plan of an image that has the note.
pub(super) fn plan(_: &Input, elf: Option<&Elf>) -> Result<Option<Plan>> {
    let noted = elf.and_then(|elf| Some((elf, elf.note?)));
    Ok(noted.map(|(elf, entry)| Plan { segments: elf.segments.clone(), entry, protocol: Protocol::Pvh }))
}

/// Tells the image what it is given.
pub(super) fn tell(space: &mut Space<'_>, boot: &Boot, rsdp: Option<u64>) -> Result<Start> {
    let cmdline_paddr = space.text(&boot.command_line)?;
    let map = space.map();
    let entry = |range: &crate::memory::Range| [range.start, range.end - range.start, range.kind as u64];
    let memmap_paddr = space.put(&words(&map.iter().flat_map(entry).collect::<Vec<_>>()))?;
    let mut list = Vec::new();
    for module in boot.given() {
        let placed = space.file(&module.path, u64::MAX)?;
        let text = if module.command_line.is_empty() { 0 } else { space.text(&module.command_line)? };
        list.push([placed.start, placed.size, text, 0]);
    }
    let info = hvm_start_info {
        magic: MAGIC,
        version: VERSION,
        flags: 0,
        nr_modules: list.len() as u32,
        modlist_paddr: if list.is_empty() { 0 } else { space.put(&words(list.as_flattened()))? },
        cmdline_paddr,
        rsdp_paddr: rsdp.unwrap_or(0),
        memmap_paddr,
        memmap_entries: map.len() as u32,
        reserved: 0,
    };
    let ebx = space.put(&start_info(&info))?;
    Ok(Start { ebx, ..Start::default() })
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn start_info(info: &hvm_start_info) -> Vec<u8> {
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    words(&[
        pair(info.magic, info.version),
        pair(info.flags, info.nr_modules),
        info.modlist_paddr,
        info.cmdline_paddr,
        info.rsdp_paddr,
        info.memmap_paddr,
        pair(info.memmap_entries, info.reserved),
    ])
}
