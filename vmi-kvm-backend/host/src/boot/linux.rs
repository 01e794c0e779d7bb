//! Linux's own boot protocol: a `bzImage` or `zImage`, entered in 32-bit protected mode.
//!
//! Source: Linux, `Documentation/arch/x86/boot.rst`, "32-bit Boot Protocol"; and for what kernels older than that do
//! there, their own `arch/i386/boot/compressed`.

use super::command_line;
use super::input::Input;
use super::linux_header::{self as header, Header};
use super::plan::{Plan, Protocol};
use super::segment::Segment;
use super::space::Space;
use super::start::{Boot, Start};
use crate::error::{Error, Result};
use crate::layout::IMAGE_MIN;

/// The first version with `cmd_line_ptr`, and the highest address of an initial RAM disk before there was a field for it.
const VERSION_MIN: u16 = 0x0202;
const INITRD_ADDR_MAX: u32 = 0x37ff_ffff;
/// The longest command line before there was a field for it.
const CMDLINE_MAX: u32 = 255;
/// How many sectors of setup code there are where the field says 0. Source: as above, "Details of Header Fields".
const SETUP_SECTS: u32 = 4;
const SECTOR: u64 = 512;
/// `type_of_loader`: one without a number of its own.
const UNKNOWN_LOADER: u8 = 0xff;
/// `loadflags`: the kernel belongs at 1 MiB.
const LOADED_HIGH: u32 = 1;
/// Where a kernel belongs that does not; and behind the memory in which it unpacks itself to 1 MiB.
const LOW: u64 = 0x1000;
const LOW_END: u64 = 0x9_0000;

/// The console that a kernel gets which is told of none.
const CONSOLE: &str = "console=ttyS0";

/// Fields of the zero page. Source: Linux, `Documentation/arch/x86/zero-page.rst`.
mod zero_page {
    pub(super) const EXT_MEM_K: usize = 0x002;
    pub(super) const ACPI_RSDP: usize = 0x070;
    pub(super) const ALT_MEM_K: usize = 0x1e0;
    pub(super) const E820_ENTRIES: usize = 0x1e8;
    pub(super) const TYPE_OF_LOADER: usize = 0x210;
    pub(super) const CODE32_START: usize = 0x214;
    pub(super) const RAMDISK_IMAGE: usize = 0x218;
    pub(super) const RAMDISK_SIZE: usize = 0x21c;
    pub(super) const CMD_LINE_PTR: usize = 0x228;
    pub(super) const E820_TABLE: usize = 0x2d0;
    pub(super) const E820_ENTRY: usize = 20;
    pub(super) const SIZE: usize = 0x1000;
}

/// A kernel whose header makes sense.
#[derive(Debug)]
pub(super) struct Kernel {
    header: Header,
    entry: u32,
}

/// Makes the plan of a file that begins like a Linux kernel.
pub(super) fn plan(image: &Input) -> Result<Option<Plan>> {
    let Some(header) = Header::read(image)? else { return Ok(None) };
    let refuse = |reason: String| Error::OldLinux { path: image.path.clone(), reason };
    if header.version < VERSION_MIN {
        let version = header.version;
        return Err(refuse(format!("its boot protocol is {version:#06x}, older than {VERSION_MIN:#06x}")));
    }
    if header.get(header::CODE32_START) == 0 {
        return Err(refuse(
            "it has no 32-bit entry (code32_start is 0), and takes a BIOS to start".to_owned(),
        ));
    }
    let sectors = header.given(header::SETUP_SECTS).unwrap_or(SETUP_SECTS);
    let offset = (u64::from(sectors) + 1) * SECTOR;
    let body = image.length.checked_sub(offset).filter(|body| *body != 0);
    let body = body.ok_or_else(|| image.damaged("it ends within its setup code"))?;
    // `syssize` counts units of 16 bytes; a file may be longer, for a signature, but not shorter.
    let promised = u64::from(header.get(header::SYSSIZE)) * 16;
    if body + 15 < promised {
        return Err(image.damaged(format_args!("it has {body} bytes of kernel, not {promised}")));
    }
    let (start, end) = if header.get(header::LOADFLAGS) & LOADED_HIGH == 0 {
        (LOW, LOW_END.max(LOW + body))
    } else {
        // It unpacks itself within `init_size` bytes from where it is loaded, if that is where it prefers to be.
        let needed = body.max(header.get(header::INIT_SIZE).into());
        let [low, high] = header::PREF_ADDRESS.map(|field| u64::from(header.get(field)));
        (IMAGE_MIN, (low | high << 32).max(IMAGE_MIN).saturating_add(needed))
    };
    let segments = vec![Segment { start, in_memory: end - start, offset, in_file: body }];
    let kernel = Kernel { header, entry: start as u32 };
    Ok(Some(Plan { segments, entry: start, protocol: Protocol::Linux(Box::new(kernel)) }))
}

/// Tells the kernel what it is given.
pub(super) fn tell(space: &mut Space<'_>, boot: &Boot, kernel: &Kernel, rsdp: Option<u64>) -> Result<Start> {
    if let Some(module) = boot.modules.first() {
        let reason = format!("it takes no modules, and `{}` would be one", module.path.display());
        return Err(Error::OldLinux { path: boot.image.clone(), reason });
    }
    let Kernel { header, entry } = kernel;
    let mut page = [0; zero_page::SIZE];
    page[header::START..][..header.bytes.len()].copy_from_slice(&header.bytes);
    // It lies below everything else, because old kernels use what is below it while they unpack themselves.
    let esi = space.put(&page)?;
    let most = header.given(header::CMDLINE_SIZE).unwrap_or(CMDLINE_MAX);
    let line = command_line::bytes(&with_console(&boot.command_line), most as usize)?;
    let line = space.put(&line)?;
    let mut put = |at: usize, value: u64| page[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    put(zero_page::CODE32_START, (*entry).into());
    put(zero_page::CMD_LINE_PTR, line);
    if let Some(initrd) = &boot.initrd {
        let limit = u64::from(header.given(header::INITRD_ADDR_MAX).unwrap_or(INITRD_ADDR_MAX)) + 1;
        let placed = space.file(initrd, limit)?;
        put(zero_page::RAMDISK_IMAGE, placed.start);
        put(zero_page::RAMDISK_SIZE, placed.size);
    }
    let behind = (space.ram_end() - IMAGE_MIN) >> 10;
    put(zero_page::ALT_MEM_K, behind);
    page[zero_page::EXT_MEM_K..][..2].copy_from_slice(&(behind.min(0xffff) as u16).to_le_bytes());
    page[zero_page::TYPE_OF_LOADER] = UNKNOWN_LOADER;
    let map = space.map();
    page[zero_page::E820_ENTRIES] = map.len() as u8;
    for (range, at) in map.iter().zip((zero_page::E820_TABLE..).step_by(zero_page::E820_ENTRY)) {
        page[at..at + 8].copy_from_slice(&range.start.to_le_bytes());
        page[at + 8..at + 16].copy_from_slice(&(range.end - range.start).to_le_bytes());
        page[at + 16..at + 20].copy_from_slice(&(range.kind as u32).to_le_bytes());
    }
    page[zero_page::ACPI_RSDP..][..8].copy_from_slice(&rsdp.unwrap_or(0).to_le_bytes());
    space.write(esi, &page)?;
    Ok(Start { esi, ..Start::default() })
}

/// Names COM1 as the console, unless the command line names one itself.
fn with_console(line: &str) -> String {
    if line.split_whitespace().any(|word| word.starts_with("console=")) {
        return line.to_owned();
    }
    format!("{CONSOLE} {line}").trim_end().to_owned()
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
