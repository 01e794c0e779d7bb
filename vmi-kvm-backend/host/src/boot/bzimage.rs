//! Linux's own boot protocol: a `bzImage`, entered in 32-bit protected mode.
//!
//! Source: Linux, `Documentation/arch/x86/boot.rst`, "32-bit Boot Protocol" and "The Real-Mode Kernel Header".

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use linux_loader::loader::{KernelLoader, bzimage::BzImage};
use vm_memory::GuestAddress;

use super::command_line;
use super::modules::Room;
use super::start::{Boot, Start};
use crate::error::{Error, Result};
use crate::layout::{COMMAND_LINE, HOLE, IMAGE_MIN, ZERO_PAGE};
use crate::memory::{self, Memory};

/// Where the header begins, in the file and in the zero page, and where its magic number and its end are.
const HEADER: u64 = 0x1f1;
const MAGIC: u64 = 0x202;
const JUMP: u64 = 0x201;
/// The first version with `init_size`.
const VERSION_MIN: u16 = 0x020a;
/// `type_of_loader`: one without a number of its own.
const UNKNOWN_LOADER: u8 = 0xff;
/// `loadflags`: the kernel belongs at 1 MiB.
const LOADED_HIGH: u8 = 1;

/// The console that a kernel gets which is told of none.
const CONSOLE: &str = "console=ttyS0";

/// Fields of the zero page. Source: Linux, `Documentation/arch/x86/zero-page.rst`.
mod zero_page {
    pub(super) const ACPI_RSDP: usize = 0x070;
    pub(super) const E820_ENTRIES: usize = 0x1e8;
    pub(super) const SETUP_SECTS: usize = 0x1f1;
    pub(super) const SYSSIZE: usize = 0x1f4;
    pub(super) const VERSION: usize = 0x206;
    pub(super) const TYPE_OF_LOADER: usize = 0x210;
    pub(super) const LOADFLAGS: usize = 0x211;
    pub(super) const CODE32_START: usize = 0x214;
    pub(super) const RAMDISK_IMAGE: usize = 0x218;
    pub(super) const RAMDISK_SIZE: usize = 0x21c;
    pub(super) const CMD_LINE_PTR: usize = 0x228;
    pub(super) const INITRD_ADDR_MAX: usize = 0x22c;
    pub(super) const CMDLINE_SIZE: usize = 0x238;
    pub(super) const PREF_ADDRESS: usize = 0x258;
    pub(super) const INIT_SIZE: usize = 0x260;
    pub(super) const E820_TABLE: usize = 0x2d0;
    pub(super) const E820_ENTRY: usize = 20;
    pub(super) const SIZE: usize = 0x1000;
}

/// Tells whether the file begins like a Linux kernel.
pub(super) fn is_linux(image: &mut File) -> bool {
    let mut magic = [0; 4];
    let read = image.seek(SeekFrom::Start(MAGIC)).and_then(|_| image.read_exact(&mut magic));
    read.is_ok() && magic == *b"HdrS"
}

/// Loads the kernel with all it is given.
pub(super) fn load(
    memory: &Memory,
    bytes: u64,
    boot: &Boot,
    image: &mut File,
    rsdp: Option<u64>,
) -> Result<Start> {
    let refuse = |reason: String| Error::OldLinux { path: boot.image.clone(), reason };
    let get =
        |page: &[u8], at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    let mut page = header(boot, image)?;
    let version = get(&*page, zero_page::VERSION) as u16;
    if version < VERSION_MIN {
        return Err(refuse(format!("its boot protocol is {version:#06x}, older than {VERSION_MIN:#06x}")));
    }
    if page[zero_page::LOADFLAGS] & LOADED_HIGH == 0 {
        return Err(refuse("it is a zImage".to_owned()));
    }
    let length = image.metadata().map_err(|reason| Error::File { path: boot.image.clone(), reason })?.len();
    let sectors = if page[zero_page::SETUP_SECTS] == 0 { 4 } else { page[zero_page::SETUP_SECTS] };
    let setup = (u64::from(sectors) + 1) * 512;
    let body = length.checked_sub(setup).filter(|body| *body != 0);
    let body = body.ok_or_else(|| Error::Damaged {
        path: boot.image.clone(),
        reason: "it ends within its setup code".to_owned(),
    })?;
    // `syssize` counts units of 16 bytes; a file may be longer, for a signature, but not shorter.
    let promised = u64::from(get(&*page, zero_page::SYSSIZE)) * 16;
    if body + 15 < promised {
        let reason = format!("it has {body} bytes of kernel, not {promised}");
        return Err(Error::Damaged { path: boot.image.clone(), reason });
    }
    // It unpacks itself within `init_size` bytes from where it is loaded, if that is where it prefers to be.
    let needed = body.max(u64::from(get(&*page, zero_page::INIT_SIZE)));
    let preferred =
        u64::from_le_bytes(page[zero_page::PREF_ADDRESS..][..8].try_into().unwrap_or([0; 8])).max(IMAGE_MIN);
    let available = IMAGE_MIN..bytes.min(HOLE.start);
    let end = preferred.max(IMAGE_MIN).saturating_add(needed);
    if end > available.end {
        return Err(Error::OutsideMemory {
            path: boot.image.clone(),
            start: IMAGE_MIN,
            end,
            available: available.start,
            available_end: available.end,
        });
    }
    let loaded = BzImage::load(memory, Some(GuestAddress(IMAGE_MIN)), image, None);
    loaded.map_err(|error| Error::Damaged { path: boot.image.clone(), reason: error.to_string() })?;

    let mut put = |at: usize, value: u32| page[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(zero_page::CODE32_START, IMAGE_MIN as u32);
    put(zero_page::CMD_LINE_PTR, COMMAND_LINE.start as u32);
    page[zero_page::TYPE_OF_LOADER] = UNKNOWN_LOADER;
    let most = match get(&*page, zero_page::CMDLINE_SIZE) {
        0 => 255,
        most => most as usize,
    };
    command_line::write(memory, &with_console(&boot.command_line), most)?;
    if let Some(initrd) = &boot.initrd {
        let limit = u64::from(get(&*page, zero_page::INITRD_ADDR_MAX)) + 1;
        let placed = Room::new(end, bytes, limit).place(memory, initrd)?;
        let mut put = |at: usize, value: u64| page[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        put(zero_page::RAMDISK_IMAGE, placed.start);
        put(zero_page::RAMDISK_SIZE, placed.size);
    }
    if let Some(module) = boot.modules.first() {
        let reason = format!("it takes no modules, and `{}` would be one", module.display());
        return Err(refuse(reason));
    }
    let map = memory::map(bytes);
    page[zero_page::E820_ENTRIES] = map.len() as u8;
    for (range, at) in map.iter().zip((zero_page::E820_TABLE..).step_by(zero_page::E820_ENTRY)) {
        page[at..at + 8].copy_from_slice(&range.start.to_le_bytes());
        page[at + 8..at + 16].copy_from_slice(&(range.end - range.start).to_le_bytes());
        page[at + 16..at + 20].copy_from_slice(&(range.kind as u32).to_le_bytes());
    }
    let rsdp = rsdp.unwrap_or(0);
    page[zero_page::ACPI_RSDP..zero_page::ACPI_RSDP + 8].copy_from_slice(&rsdp.to_le_bytes());
    memory::write(memory, ZERO_PAGE, &page[..])?;
    Ok(Start { entry: IMAGE_MIN, ebx: 0, esi: ZERO_PAGE })
}

/// Names COM1 as the console, unless the command line names one itself.
fn with_console(line: &str) -> String {
    if line.split_whitespace().any(|word| word.starts_with("console=")) {
        return line.to_owned();
    }
    format!("{CONSOLE} {line}").trim_end().to_owned()
}

/// Returns a zero page that holds the kernel's header and nothing else.
fn header(boot: &Boot, image: &mut File) -> Result<Box<[u8; zero_page::SIZE]>> {
    let mut page = Box::new([0; zero_page::SIZE]);
    let cannot = |reason| Error::File { path: boot.image.clone(), reason };
    let damaged =
        || Error::Damaged { path: boot.image.clone(), reason: "it ends within its header".to_owned() };
    let mut start = [0; 0x300];
    image.rewind().map_err(cannot)?;
    image.read_exact(&mut start).map_err(|_| damaged())?;
    // The header ends where its jump goes to.
    let end = MAGIC as usize + usize::from(start[JUMP as usize]);
    let header = start.get(HEADER as usize..end.min(0x290)).ok_or_else(damaged)?;
    page[HEADER as usize..][..header.len()].copy_from_slice(header);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_named_once() {
        assert_eq!(with_console(""), "console=ttyS0");
        assert_eq!(with_console("quiet"), "console=ttyS0 quiet");
        assert_eq!(with_console("quiet console=tty0"), "quiet console=tty0");
        assert_eq!(with_console("netconsole=x"), "console=ttyS0 netconsole=x");
    }
}
