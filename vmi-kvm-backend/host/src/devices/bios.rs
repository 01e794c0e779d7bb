//! What is left of a BIOS: the reset vector, the word of its data area that tells a reset from a crash, and interrupts
//! that say in real mode that there is no service.
//!
//! A kernel that knows nothing better resets by a jump to F000:FFF0, where a PC's BIOS begins. Here that is a few
//! instructions that write the reset register. They lie at the end of the first MiB in RAM, as the copy does that a PC
//! makes of its ROM, and at the end of the first 4 GiB in ROM, where a CPU begins that is sent an INIT.
//!
//! Kernels that were started in protected mode go back to real mode to ask a BIOS what their boot loader has not told, as
//! Xen asks for disks and video modes. They bear a refusal; without a table of vectors they would run wild.

// UNSAFETY: hands a page of this program's constants to the guest, to be read.
#![expect(unsafe_code)]

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, VmFd};

use crate::acpi::RESET;
use crate::error::{Error, Result};
use crate::layout::{self, PAGE};
use crate::memory::{self, Memory};
use crate::port_call::GuestRam;

/// Writes the reset register; where there is none, nothing more happens. Instructions that mean the same in 16, 32 and
/// 64 bits: `mov dh, 0xc`, `mov dl, 0xf9`, `mov al, RESET`, `out dx, al`, and again and again `cli`, `hlt`.
const CODE: [u8; 11] = {
    let [low, high] = layout::RESET.start.to_le_bytes();
    [0xb6, high, 0xb2, low, 0xb0, RESET, 0xee, 0xfa, 0xf4, 0xeb, 0xfc]
};
/// Where it begins in its page.
const VECTOR: usize = (layout::RESET_VECTOR % PAGE) as usize;

/// What interrupts begin with, from the start of the page on. Source: IBM Personal Computer AT Technical Reference, "ROM
/// BIOS", and its functions that do not exist.
///
/// A service is refused by a code and two flags, of which ZF is "no key": `mov ah, 0x86`, `push bp`, `mov bp, sp`,
/// `or byte ptr [bp + 6], CF | ZF`, `pop bp`, `iret`. Exceptions and devices begin with that `iret`. The last two tell a
/// word of the data area, and cannot be refused: `push ds`, `xor ax, ax`, `mov ds, ax`, `mov ax, [WORD]`, `pop ds`, `iret`.
const REFUSE: [u8; 11] = [0xb4, 0x86, 0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x41, 0x5d, 0xcf];
const RETURN: usize = REFUSE.len() - 1;
const EQUIPMENT: usize = REFUSE.len();
const MEMORY: usize = EQUIPMENT + tell(0).len();

const fn tell(word: u64) -> [u8; 10] {
    let [low, high, ..] = word.to_le_bytes();
    [0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0xa1, low, high, 0x1f, 0xcf]
}

/// Where the interrupt of that number begins in its page.
const fn interrupt(number: usize) -> usize {
    match number {
        0x11 => EQUIPMENT,
        0x12 => MEMORY,
        // To start from a disk anew is all that is left when no disk can be started from.
        0x18 | 0x19 => VECTOR,
        0x10..=0x1a => 0,
        _ => RETURN,
    }
}
/// The number of its slot among those of memory; RAM has the lowest.
const SLOT: u32 = 31;

#[repr(align(4096))]
struct Page([u8; PAGE as usize]);

static ROM: Page = {
    let page = put([0; PAGE as usize], 0, &REFUSE);
    let page = put(page, EQUIPMENT, &tell(layout::EQUIPMENT));
    let page = put(page, MEMORY, &tell(layout::BASE_MEMORY));
    Page(put(page, VECTOR, &CODE))
};

const fn put(mut page: [u8; PAGE as usize], start: usize, bytes: &[u8]) -> [u8; PAGE as usize] {
    let mut at = 0;
    while at < bytes.len() {
        page[start + at] = bytes[at];
        at += 1;
    }
    page
}

/// The soft-reset flag with two bytes before it and four behind, as they are at the start: a value that is neither the
/// flag's nor what memory is cleared to. Source: IBM Personal Computer AT Technical Reference, "ROM BIOS", RESET_FLAG.
const UNTOUCHED: [u8; 8] = [0x5a; 8];
const FLAG_AT: usize = 2;
/// What the flag is set to: for a reset with all tests, and without the test of memory.
const COLD: u16 = 0;
const WARM: u16 = 0x1234;

/// Writes what lies in RAM.
///
/// # Errors
///
/// Fails where the guest's memory does.
pub(crate) fn write(memory: &Memory) -> Result<()> {
    let page = layout::RESET_VECTOR - VECTOR as u64;
    memory::write(memory, page, &ROM.0)?;
    // In the segment of the reset vector, F000.
    let start = page as u16;
    let vectors: Vec<_> = (0..=0xff).map(|number| [start + interrupt(number) as u16, 0xf000]).collect();
    let vectors: Vec<_> = vectors.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
    memory::write(memory, layout::BIOS_DATA.start, &vectors)?;
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
    fn the_vector_is_where_a_cpu_begins_and_fits() {
        assert_eq!(layout::RESET_VECTOR, 0xf_0000 + 0xfff0);
        assert_eq!(ROM.0[0xff0..][..CODE.len()], CODE);
        assert!(ROM.0.as_ptr().addr().is_multiple_of(PAGE as usize));
        assert_eq!(CODE[..7], [0xb6, 0x0c, 0xb2, 0xf9, 0xb0, 0x0e, 0xee]);
        // The jump leads back to `cli`.
        let jump = CODE.len() as i8 + CODE[10] as i8;
        assert_eq!(CODE[jump as usize], 0xfa);
    }

    #[test]
    fn a_reset_is_announced_by_the_flag_alone() {
        let memory = memory::allocate(2 << 20).unwrap();
        let flag = layout::SOFT_RESET;
        assert!(!reset_is_announced(&memory), "there is no BIOS yet");
        write(&memory).unwrap();
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
