//! Where everything lies in the guest's physical memory and among its ports, here and nowhere else.
//!
//! | from | to | what |
//! | --- | --- | --- |
//! | `0x0000_0000` | `0x0000_1000` | [`BIOS_DATA`]: vectors of real mode, and a few words |
//! | `0x0000_1000` | `0x0000_9000` | free; images start their other CPUs there |
//! | `0x0000_9000` | `0x0009_fc00` | [`BOOT_DATA`]: descriptors, command line, what a boot protocol hands over |
//! | `0x0009_fc00` | `0x000a_0000` | reserved, as on every PC ([`LOW_RAM_END`]) |
//! | `0x000e_0000` | `0x000f_f000` | [`ACPI`], found by a search too |
//! | `0x000f_f000` | `0x0010_0000` | the BIOS, of which there is [`RESET_VECTOR`]; again at the hole's end |
//! | `0x0010_0000` | end of RAM or hole | the image ([`IMAGE_MIN`]); modules at its upper end |
//! | `0xc000_0000` | `0x1_0000_0000` | the hole for devices ([`HOLE`]) |
//! | `0x1_0000_0000` | … | the rest of RAM |
//!
//! An image may also have segments below `0x0009_fc00`; what else would be there then lies around them.

use std::ops::Range;

/// Bytes of a page.
pub const PAGE: u64 = 0x1000;

/// What a BIOS keeps of its data. Source: "System BIOS for IBM PCs", "BIOS Data Area".
pub const BIOS_DATA: Range<u64> = 0..0x1000;
/// Its word for the segment behind the RAM below the legacy area.
pub const EBDA_SEGMENT: u64 = 0x40e;
/// Its word for the devices that are there; none that it has a bit for is.
pub const EQUIPMENT: u64 = 0x410;
/// Its word for the KiB of that RAM.
pub const BASE_MEMORY: u64 = 0x413;
/// Its byte for a key that nobody has fetched yet.
pub const KEY: u64 = 0x41e;
/// Its word of 32 bits that counts ticks of the timer.
pub const TICKS: u64 = 0x46c;
/// Where boot information begins, and where it ends at the latest.
pub const BOOT_DATA: Range<u64> = 0x9000..LOW_RAM_END;
/// Bytes of the longest command line, without the 0 byte behind it.
pub const COMMAND_LINE_MAX: usize = 0xffff;
/// Behind the RAM below the legacy area.
pub const LOW_RAM_END: u64 = 0x9_fc00;
/// The ACPI tables, the root pointer first: where it is searched for where no boot loader names it (ACPI
/// specification, "Finding the RSDP on IA-PC Systems").
pub const ACPI: Range<u64> = 0xe_0000..0xf_f000;
/// Where a CPU begins after a reset. Source: Intel SDM volume 3A, "First Instruction Executed".
pub const RESET_VECTOR: u64 = 0xf_fff0;
/// The word by which an operating system tells the BIOS what kind of reset comes.
pub const SOFT_RESET: u64 = 0x472;
/// The first byte that an image may use.
pub const IMAGE_MIN: u64 = 0x10_0000;

/// Where RAM makes room for devices.
pub const HOLE: Range<u64> = 0xc000_0000..0x1_0000_0000;
/// The I/O interrupt controller. Source: Intel 82093AA datasheet, "Register Description".
pub const IO_APIC: u32 = 0xfec0_0000;
/// The local interrupt controllers. Source: Intel SDM volume 3A, "Local APIC".
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// A page that KVM on VMX needs for itself: an identity-mapped page table.
pub const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;
/// Three pages that KVM on VMX needs for itself: a task state segment.
pub const KVM_TSS: usize = 0xfffb_d000;

/// COM1, eight ports. Source: PC16550D datasheet, and the PC's convention.
pub const SERIAL: Range<u16> = 0x3f8..0x400;
/// COM1's interrupt.
pub const SERIAL_IRQ: u32 = 4;
/// The interrupt of the power button.
pub const POWER_BUTTON_IRQ: u32 = 9;
/// Data, and status or command, of the keyboard controller.
pub const KEYBOARD_DATA: Range<u16> = 0x60..0x61;
/// See [`KEYBOARD_DATA`].
pub const KEYBOARD_COMMAND: Range<u16> = 0x64..0x65;
/// System control port A.
pub const PORT_92: Range<u16> = 0x92..0x93;
/// Index and data of the real-time clock.
pub const RTC: Range<u16> = 0x70..0x72;
/// The port that prints its bytes.
pub const DEBUG_CONSOLE: Range<u16> = 0xe9..0xea;
/// The exit port: a byte written there ends the run. QEMU's `isa-debug-exit` stands there too in all recipes.
pub const EXIT: Range<u16> = 0xf4..0xf8;
/// Where a guest tells that it panicked. Source: QEMU documentation, "PVPANIC DEVICE".
pub const PVPANIC: Range<u16> = 0x505..0x506;
/// Sleep control and sleep status of hardware-reduced ACPI.
pub const POWER: Range<u16> = 0x600..0x602;
/// Reset control of PC chipsets. Source: Intel ICH9 datasheet, "RST_CNT—Reset Control Register".
pub const RESET: Range<u16> = 0xcf9..0xcfa;
/// Takes the page number of a batch of VMI calls.
pub const CALL: Range<u16> = 0x5640..0x5644;
/// Has posted batches looked at.
pub const DOORBELL: Range<u16> = 0x5644..0x5648;
