//! The first Rust code, called by `boot.s`, and the panic handler.

// UNSAFETY: reads what the boot loader left in memory, and sets up the machine.
#![expect(unsafe_code)]

use core::{arch::global_asm, panic::PanicInfo, ptr, ptr::NonNull, slice, str};

use super::{
    console::{self, line},
    descriptors,
    exit::{Code, exit},
    paging, platform, run, timer,
};
use crate::start_info::StartInfo;

#[cfg(vmi_freestanding)]
global_asm!(include_str!("memory.s"));
global_asm!(concat!(".set PVH_ENTRY, ", env!("PVH_ENTRY")), include_str!("boot.s"));

/// Bytes of command line that are read at most.
const COMMAND_LINE_MAX: usize = 4096;

/// Sets the machine up and runs what the command line asks for.
#[unsafe(no_mangle)]
extern "sysv64" fn kernel_main(start_info: u64, virtual_offset: u64) -> ! {
    console::enable();
    // SAFETY: `boot.s` passes the address that the boot loader gave.
    let start_info = unsafe { read_start_info(start_info) };
    let command_line = start_info.command_line.map_or("", |address| {
        // SAFETY: the boot loader put the string there, and nothing overwrites it.
        unsafe { read_string(address) }
    });
    // SAFETY: `boot.s` computed the offset; this is the only call.
    unsafe { platform::set(virtual_offset, command_line) };
    // SAFETY: interrupts are off since the entry; this is the only call.
    unsafe { descriptors::load() };
    // SAFETY: the page tables are those of `boot.s`; stack and data are in writable segments.
    unsafe { paging::protect() };
    timer::enable();
    if let Some(rsdp) = start_info.rsdp {
        // SAFETY: the boot loader names ACPI's root pointer, and what `mapped` returns is mapped.
        if let Err(error) = unsafe { vmi::power::use_acpi(rsdp, mapped) } {
            line!("acpi: {error}");
        }
    }
    run()
}

/// Returns where physical memory is mapped: everything below 4 GiB where it is.
fn mapped(physical: u64, len: usize) -> Option<NonNull<u8>> {
    let end = usize::try_from(physical).ok()?.checked_add(len)?;
    let start = NonNull::new(ptr::with_exposed_provenance_mut(physical as usize));
    start.filter(|_| end <= 1 << 32)
}

/// Reads the start info.
///
/// # Safety
///
/// - `address` is what the PVH entry had in `ebx`.
unsafe fn read_start_info(address: u64) -> StartInfo {
    let start: *const u8 = ptr::with_exposed_provenance(address as usize);
    // SAFETY: the structure starts with eight bytes in every version.
    let head = unsafe { &*start.cast::<[u8; 8]>() };
    let len = StartInfo::len(head).unwrap_or_else(|error| panic!("{error}"));
    // SAFETY: in the version that the head names, it has that many bytes.
    let bytes = unsafe { slice::from_raw_parts(start, len) };
    StartInfo::parse(bytes).unwrap_or_else(|error| panic!("{error}"))
}

/// Reads a string that a 0 byte ends.
///
/// # Safety
///
/// - At `address` there is such a string, mapped, and it stays.
unsafe fn read_string(address: u64) -> &'static str {
    let start: *const u8 = ptr::with_exposed_provenance(address as usize);
    let mut len = 0;
    // SAFETY: no byte up to the 0 has been passed.
    while len < COMMAND_LINE_MAX && unsafe { start.wrapping_add(len).read() } != 0 {
        len += 1;
    }
    // SAFETY: `len` bytes were just read.
    let bytes = unsafe { slice::from_raw_parts(start, len) };
    str::from_utf8(bytes).unwrap_or_else(|error| panic!("the command line: {error}"))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    line!("{info}");
    exit(Code::Failed)
}
