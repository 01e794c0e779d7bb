//! What there is of a BIOS: the reset vector, the word of its data area that tells a reset from a crash, and for kernels in
//! real mode a few services, and refusals of the others. The code is in `bios.s`.
//!
//! A kernel that knows nothing better resets by a jump to F000:FFF0, where a PC's BIOS begins. Here that is a few
//! instructions that write the reset register. They lie at the end of the first MiB in RAM, as the copy does that a PC
//! makes of its ROM, and at the end of the first 4 GiB in ROM, where a CPU begins that is sent an INIT.
//!
//! Kernels that were started in protected mode go back to real mode to ask a BIOS what their boot loader has not told, as
//! Xen asks for disks and video modes. They bear a refusal; without a table of vectors they would run wild. Those that
//! are started in real mode, as iPXE, cannot do without a memory map, a clock, and a keyboard and a screen, which are COM1.

// UNSAFETY: has a page of code for the guest, which is handed to it, to be read.
#![expect(unsafe_code)]

use std::arch::global_asm;

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, VmFd};

use crate::acpi::RESET;
use crate::error::{Error, Result};
use crate::layout::{self, PAGE};
use crate::memory::{self, Memory};
use crate::port_call::GuestRam;

/// Where the reset vector begins in its page.
const VECTOR: usize = (layout::RESET_VECTOR % PAGE) as usize;

/// Where a kernel is started in real mode.
pub(crate) const START: u64 = layout::RESET_VECTOR - VECTOR as u64 + STARTS_AT as u64;
const STARTS_AT: usize = 0x600;
/// Bytes of the memory map, with which the page begins and behind which there are the vectors; of a range of it, and of all
/// vectors.
const MEMORY_MAP: usize = 8 * RANGE;
const RANGE: usize = 20;
const VECTORS: usize = 0x400;

global_asm!(
    include_str!("bios.s"),
    MEMORY_MAP_BYTES = const MEMORY_MAP,
    START = const STARTS_AT,
    VECTOR = const VECTOR,
    KEY = const layout::KEY,
    TICKS = const layout::TICKS,
    EQUIPMENT = const layout::EQUIPMENT,
    BASE_MEMORY = const layout::BASE_MEMORY,
    COM1 = const layout::SERIAL.start,
    RESET_PORT = const layout::RESET.start,
    RESET = const RESET,
);

unsafe extern "C" {
    /// The page that the assembler made.
    #[link_name = "vmi_run_bios"]
    safe static ROM: Page;
}

/// The number of its slot among those of memory; RAM has the lowest.
const SLOT: u32 = 31;

#[repr(C, align(4096))]
struct Page([u8; PAGE as usize]);

/// The soft-reset flag with two bytes before it and four behind, as they are at the start: a value that is neither the
/// flag's nor what memory is cleared to. Source: IBM Personal Computer AT Technical Reference, "ROM BIOS", RESET_FLAG.
const UNTOUCHED: [u8; 8] = [0x5a; 8];
const FLAG_AT: usize = 2;
/// What the flag is set to: for a reset with all tests, and without the test of memory.
const COLD: u16 = 0;
const WARM: u16 = 0x1234;

/// Writes what lies in RAM, of which there are so many bytes.
///
/// # Errors
///
/// Fails where the guest's memory does.
pub(crate) fn write(memory: &Memory, ram_bytes: u64) -> Result<()> {
    let page = layout::RESET_VECTOR - VECTOR as u64;
    let mut map = Vec::new();
    for range in memory::map(ram_bytes) {
        map.extend([range.start, range.end - range.start].map(u64::to_le_bytes).as_flattened());
        map.extend((range.kind as u32).to_le_bytes());
    }
    memory::write(memory, page, &ROM.0)?;
    memory::write(memory, page, &map)?;
    memory::write(memory, layout::BIOS_DATA.start, &ROM.0[MEMORY_MAP..][..VECTORS])?;
    memory::write(memory, layout::SOFT_RESET - FLAG_AT as u64, &UNTOUCHED)
}

/// Gives the guest the ROM, on a KVM that can.
///
/// # Errors
///
/// Fails where KVM does.
pub(crate) fn register(vm: &VmFd) -> Result<()> {
    if !vm.check_extension(Cap::ReadonlyMem) {
        return Ok(());
    }
    let region = kvm_userspace_memory_region {
        slot: SLOT,
        guest_phys_addr: layout::HOLE.end - PAGE,
        memory_size: PAGE,
        userspace_addr: ROM.0.as_ptr().addr() as u64,
        flags: KVM_MEM_READONLY,
    };
    // SAFETY: the page lives as long as the program, and KVM only reads it.
    unsafe { vm.set_user_memory_region(region) }.map_err(Error::kvm("take the reset vector"))
}

/// Tells whether the guest set the soft-reset flag, and it alone: whoever clears or copies memory changes its
/// neighbours too.
pub(crate) fn reset_is_announced(memory: &Memory) -> bool {
    let mut now = UNTOUCHED;
    if memory.read(layout::SOFT_RESET - FLAG_AT as u64, &mut now).is_err() {
        return false;
    }
    [COLD, WARM].iter().any(|flag| {
        let mut set = UNTOUCHED;
        set[FLAG_AT..FLAG_AT + 2].copy_from_slice(&flag.to_le_bytes());
        now == set
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_is_where_a_cpu_begins_and_says_the_same_in_every_mode() {
        assert_eq!(layout::RESET_VECTOR, 0xf_0000 + 0xfff0);
        // `mov dh, 0xc`, `mov dl, 0xf9`, `mov al, 0xe`, `out dx, al`, and again and again `cli`, `hlt`.
        let code = [0xb6, 0x0c, 0xb2, 0xf9, 0xb0, 0x0e, 0xee, 0xfa, 0xf4, 0xeb, 0xfc];
        assert_eq!(ROM.0[0xff0..][..code.len()], code);
        assert!(ROM.0.as_ptr().addr().is_multiple_of(PAGE as usize));
    }

    #[test]
    fn the_memory_map_fits() {
        assert!(memory::map(8 << 30).len() * RANGE < MEMORY_MAP);
        assert_eq!(ROM.0[..MEMORY_MAP], [0; MEMORY_MAP]);
    }

    #[test]
    fn a_reset_is_announced_by_the_flag_alone() {
        let memory = memory::allocate(2 << 20).unwrap();
        let flag = layout::SOFT_RESET;
        assert!(!reset_is_announced(&memory), "there is no BIOS yet");
        write(&memory, 2 << 20).unwrap();
        assert!(!reset_is_announced(&memory), "nothing was set");
        for value in [COLD, WARM] {
            memory::write(&memory, flag, &value.to_le_bytes()).unwrap();
            assert!(reset_is_announced(&memory), "{value:#x}");
        }
        memory::write(&memory, flag, &[0x34, 0x13]).unwrap();
        assert!(!reset_is_announced(&memory), "another value");
        memory::write(&memory, flag - 2, &[0; 8]).unwrap();
        assert!(!reset_is_announced(&memory), "memory was cleared");
    }
}
