//! Linux's own boot protocol: a `bzImage` or `zImage`, entered in 32-bit protected mode; or in real mode, if it has an entry
//! there alone, as iPXE and others that look like Linux.
//!
//! Source: Linux, `Documentation/arch/x86/boot.rst`, "32-bit Boot Protocol", "Sample Boot Configuration" and "Running the
//! Kernel"; and for what kernels older than that do there, their own `arch/i386/boot/compressed`.

use super::command_line;
use super::input::Input;
use super::linux_header::{self as header, Header};
use super::plan::{Plan, Protocol};
use super::segment::Segment;
use super::space::Space;
use super::start::{Boot, Mode, Start};
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
/// `loadflags`: `heap_end_ptr` is set, in the setup's segment; it is this much lower than the end.
const CAN_USE_HEAP: u8 = 1 << 7;
const HEAP_END: u64 = 0x200;
/// Where the setup is entered behind its start, and where it lies: with heap and stack, below what it may take of low memory.
const SETUP_ENTRY: u64 = 0x200;
const SETUP: u64 = 0x1_0000;
const SETUP_SIZE: u64 = 0xe000;
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
    pub(super) const LOADFLAGS: usize = 0x211;
    pub(super) const HEAP_END_PTR: usize = 0x224;
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
    mode: Mode,
}

/// Makes the plan of a file that begins like a Linux kernel.
pub(super) fn plan(image: &Input) -> Result<Option<Plan>> {
    let Some(header) = Header::read(image)? else { return Ok(None) };
    let refuse = |reason: String| Error::OldLinux { path: image.path.clone(), reason };
    if header.version < VERSION_MIN {
        let version = header.version;
        return Err(refuse(format!("its boot protocol is {version:#06x}, older than {VERSION_MIN:#06x}")));
    }
    let is_high = header.get(header::LOADFLAGS) & LOADED_HIGH != 0;
    let is_real = header.get(header::CODE32_START) == 0;
    if is_real && !is_high {
        return Err(refuse("it has no 32-bit entry (code32_start is 0), and lies in low memory".to_owned()));
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
    if is_real {
        if offset > SETUP_SIZE - HEAP_END {
            return Err(refuse(format!(
                "its setup code has {offset} bytes, and there is room for {SETUP_SIZE}"
            )));
        }
        let segments = vec![
            Segment { start: SETUP, in_memory: SETUP_SIZE, offset: 0, in_file: offset },
            Segment { start: IMAGE_MIN, in_memory: body, offset, in_file: body },
        ];
        let entry = SETUP + SETUP_ENTRY;
        let kernel = Kernel { header, entry: entry as u32, mode: Mode::Real };
        return Ok(Some(Plan { segments, entry, protocol: Protocol::Linux(Box::new(kernel)) }));
    }
    let (start, end) = if !is_high {
        (LOW, LOW_END.max(LOW + body))
    } else {
        // It unpacks itself within `init_size` bytes from where it is loaded, if that is where it prefers to be.
        let needed = body.max(header.get(header::INIT_SIZE).into());
        let [low, high] = header::PREF_ADDRESS.map(|field| u64::from(header.get(field)));
        (IMAGE_MIN, (low | high << 32).max(IMAGE_MIN).saturating_add(needed))
    };
    let segments = vec![Segment { start, in_memory: end - start, offset, in_file: body }];
    let kernel = Kernel { header, entry: start as u32, mode: Mode::Protected };
    Ok(Some(Plan { segments, entry: start, protocol: Protocol::Linux(Box::new(kernel)) }))
}

/// Tells the kernel what it is given.
pub(super) fn tell(space: &mut Space<'_>, boot: &Boot, kernel: &Kernel, rsdp: Option<u64>) -> Result<Start> {
    if let Some(module) = boot.modules.first() {
        let reason = format!("it takes no modules, and `{}` would be one", module.path.display());
        return Err(Error::OldLinux { path: boot.image.clone(), reason });
    }
    let Kernel { header, entry, mode } = kernel;
    let (mut page, esi) = if *mode == Mode::Real {
        (space.read(SETUP, zero_page::SIZE)?, SETUP)
    } else {
        let mut page = vec![0; zero_page::SIZE];
        page[header::START..][..header.bytes.len()].copy_from_slice(&header.bytes);
        // It lies below everything else, because old kernels use what is below it while they unpack themselves.
        let esi = space.put(&page)?;
        (page, esi)
    };
    let most = header.given(header::CMDLINE_SIZE).unwrap_or(CMDLINE_MAX);
    let line = match mode {
        Mode::Protected => with_console(&boot.command_line),
        Mode::Real => boot.command_line.clone(),
    };
    let line = space.put(&command_line::bytes(&line, most as usize)?)?;
    let mut put = |at: usize, value: u64| page[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    put(zero_page::CMD_LINE_PTR, line);
    if let Some(initrd) = &boot.initrd {
        let limit = u64::from(header.given(header::INITRD_ADDR_MAX).unwrap_or(INITRD_ADDR_MAX)) + 1;
        let placed = space.file(initrd, limit)?;
        put(zero_page::RAMDISK_IMAGE, placed.start);
        put(zero_page::RAMDISK_SIZE, placed.size);
    }
    page[zero_page::TYPE_OF_LOADER] = UNKNOWN_LOADER;
    match mode {
        Mode::Real => {
            page[zero_page::LOADFLAGS] |= CAN_USE_HEAP;
            let heap_end = (SETUP_SIZE - HEAP_END) as u16;
            page[zero_page::HEAP_END_PTR..][..2].copy_from_slice(&heap_end.to_le_bytes());
        }
        Mode::Protected => describe(space, &mut page, *entry, rsdp),
    }
    space.write(esi, &page)?;
    Ok(Start { esi, mode: *mode, stack: SETUP_SIZE, ..Start::default() })
}

/// Describes the machine in the zero page.
fn describe(space: &Space<'_>, page: &mut [u8], entry: u32, rsdp: Option<u64>) {
    let behind = (space.ram_end() - IMAGE_MIN) >> 10;
    page[zero_page::CODE32_START..][..4].copy_from_slice(&entry.to_le_bytes());
    page[zero_page::ALT_MEM_K..][..4].copy_from_slice(&(behind as u32).to_le_bytes());
    page[zero_page::EXT_MEM_K..][..2].copy_from_slice(&(behind.min(0xffff) as u16).to_le_bytes());
    let map = space.map();
    page[zero_page::E820_ENTRIES] = map.len() as u8;
    for (range, at) in map.iter().zip((zero_page::E820_TABLE..).step_by(zero_page::E820_ENTRY)) {
        page[at..at + 8].copy_from_slice(&range.start.to_le_bytes());
        page[at + 8..at + 16].copy_from_slice(&(range.end - range.start).to_le_bytes());
        page[at + 16..at + 20].copy_from_slice(&(range.kind as u32).to_le_bytes());
    }
    page[zero_page::ACPI_RSDP..][..8].copy_from_slice(&rsdp.unwrap_or(0).to_le_bytes());
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
