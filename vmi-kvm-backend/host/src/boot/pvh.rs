//! PVH: an ELF file that is entered in 32-bit protected mode, with a start info.
//!
//! Source: Xen, `docs/misc/pvh.pandoc` and `public/arch-x86/hvm/start_info.h`.

use std::fs::File;

use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use linux_loader::loader::{KernelLoader, elf::Elf};

use super::modules::Room;
use super::start::{Boot, Start};
use super::{command_line, elf};
use crate::error::{Error, Result};
use crate::layout::{COMMAND_LINE, MEMORY_MAP, MODULE_LIST, START_INFO};
use crate::memory::{self, Memory};

/// `hvm_start_info.magic`: "xEn3", with the highest bit of the E set.
const MAGIC: u32 = 0x336e_c578;
/// The version of the structure that has a memory map.
const VERSION: u32 = 1;
/// No limit but that of 32 bits.
const MODULES_LIMIT: u64 = u32::MAX as u64;

/// Loads the image with all it is given.
pub(super) fn load(
    memory: &Memory,
    bytes: u64,
    boot: &Boot,
    image: &mut File,
    rsdp: Option<u64>,
) -> Result<Start> {
    let checked = elf::check(&boot.image, image, bytes)?;
    let loaded = Elf::load(memory, None, image, None);
    loaded.map_err(|error| Error::Damaged { path: boot.image.clone(), reason: error.to_string() })?;
    command_line::write(memory, &boot.command_line, usize::MAX)?;
    let map = memory::map(bytes);
    for (entry, at) in map.iter().zip((MEMORY_MAP..).step_by(size_of::<hvm_memmap_table_entry>())) {
        let entry = [entry.start, entry.end - entry.start, u64::from(entry.kind as u32)];
        memory::write(memory, at, &words(&entry))?;
    }
    let modules = modules(memory, bytes, boot, checked.end)?;
    let info = hvm_start_info {
        magic: MAGIC,
        version: VERSION,
        flags: 0,
        nr_modules: modules,
        modlist_paddr: if modules == 0 { 0 } else { MODULE_LIST.start },
        cmdline_paddr: COMMAND_LINE.start,
        rsdp_paddr: rsdp.unwrap_or(0),
        memmap_paddr: MEMORY_MAP,
        memmap_entries: map.len() as u32,
        reserved: 0,
    };
    memory::write(memory, START_INFO, &start_info(&info))?;
    Ok(Start { entry: checked.entry, ebx: START_INFO, esi: 0 })
}

/// Places the modules and lists them; returns how many there are.
fn modules(memory: &Memory, bytes: u64, boot: &Boot, image_end: u64) -> Result<u32> {
    const ENTRY: u64 = size_of::<hvm_modlist_entry>() as u64;
    const MOST: usize = ((MODULE_LIST.end - MODULE_LIST.start) / ENTRY) as usize;
    let mut room = Room::new(image_end, bytes, MODULES_LIMIT);
    let files: Vec<_> = boot.initrd.iter().chain(&boot.modules).collect();
    if files.len() > MOST {
        return Err(Error::TooManyModules(files.len(), MOST));
    }
    for (file, at) in files.iter().zip((MODULE_LIST.start..).step_by(ENTRY as usize)) {
        let placed = room.place(memory, file)?;
        memory::write(memory, at, &words(&[placed.start, placed.size, 0, 0]))?;
    }
    Ok(files.len() as u32)
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
