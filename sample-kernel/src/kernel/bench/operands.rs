//! What ops are done with: values with which they change nothing that matters, the same in every way of doing an op.

// UNSAFETY: places that nobody reads.
#![expect(unsafe_code)]

use core::cell::UnsafeCell;

use vmi::irq::Flags;
use x86_64::{
    VirtAddr,
    registers::control::{Cr0Flags, Cr4Flags},
};

/// IA32_KERNEL_GS_BASE: any canonical value, and nothing happens before `swapgs`.
pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// COM1's scratch register, which only keeps a byte.
pub const SCRATCH: u16 = 0x3ff;

/// Registers of the local APIC: one that is only read, and one that holds no interrupt up while it is 0.
pub const APIC_VERSION: u32 = 0x30;
pub const TASK_PRIORITY: u32 = 0x80;
/// A CPU that there is not, and an interrupt that it does not get.
pub const NOBODY: u32 = 0xfe;
pub const FIXED: u32 = 0x40ff;

/// A word in the place of a page-table entry.
#[repr(transparent)]
pub struct Entry(UnsafeCell<u64>);

// SAFETY: its content is nobody's.
unsafe impl Sync for Entry {}

impl Entry {
    /// Returns its address.
    pub fn get(&self) -> *mut u64 {
        self.0.get()
    }
}

pub static ENTRY: Entry = Entry(UnsafeCell::new(0));

/// An operand as the front door takes it, which only there may be more than a number.
pub trait Operand {
    /// As the instruction takes it.
    type Raw;

    /// Returns it as the instruction takes it.
    fn raw(self) -> Self::Raw;
}

macro_rules! numbers {
    ($($type:ty)*) => { $(
        impl Operand for $type {
            type Raw = Self;

            #[inline(always)]
            fn raw(self) -> Self {
                self
            }
        }
    )* };
}
numbers!(u8 u16 u32 u64 *mut u64);

macro_rules! behind_the_door {
    ($($type:ty: $raw:ident)*) => { $(
        impl Operand for $type {
            type Raw = u64;

            #[inline(always)]
            fn raw(self) -> u64 {
                self.$raw()
            }
        }
    )* };
}
behind_the_door!(Flags: bits Cr0Flags: bits Cr4Flags: bits VirtAddr: as_u64);

/// The type of an operand at the front door.
macro_rules! operand_type {
    (restore flags $type:ty) => {
        ::vmi::irq::Flags
    };
    (write_cr0 value $type:ty) => {
        ::x86_64::registers::control::Cr0Flags
    };
    (write_cr4 value $type:ty) => {
        ::x86_64::registers::control::Cr4Flags
    };
    (flush_page address $type:ty) => {
        ::x86_64::VirtAddr
    };
    ($name:ident $argument:ident $type:ty) => {
        $type
    };
}

/// The value of an operand, 0 unless said here. Wide accesses to ports end at the scratch register, and leave a 0 in modem
/// control.
macro_rules! operand {
    (restore flags) => {
        ::vmi::irq::save()
    };
    (write_cr0 value) => {
        ::vmi::cpu::read_cr0()
    };
    (write_cr3 value) => {
        ::vmi::cpu::read_cr3()
    };
    (write_cr4 value) => {
        ::vmi::cpu::read_cr4()
    };
    ($name:ident msr) => {
        $crate::kernel::bench::operands::KERNEL_GS_BASE
    };
    (write_msr value) => {
        1
    };
    (try_write_msr value) => {
        1
    };
    (set_entry entry) => {
        $crate::kernel::bench::operands::ENTRY.get()
    };
    (flush_page address) => {
        ::x86_64::VirtAddr::new(0x1000)
    };
    (read register) => {
        $crate::kernel::bench::operands::APIC_VERSION
    };
    (write register) => {
        $crate::kernel::bench::operands::TASK_PRIORITY
    };
    (send destination) => {
        $crate::kernel::bench::operands::NOBODY
    };
    (send command) => {
        $crate::kernel::bench::operands::FIXED
    };
    (in8 port) => {
        $crate::kernel::bench::operands::SCRATCH
    };
    (in16 port) => {
        $crate::kernel::bench::operands::SCRATCH - 1
    };
    (in32 port) => {
        $crate::kernel::bench::operands::SCRATCH - 3
    };
    (out8 port) => {
        $crate::kernel::bench::operands::SCRATCH
    };
    (out16 port) => {
        $crate::kernel::bench::operands::SCRATCH - 1
    };
    (out32 port) => {
        $crate::kernel::bench::operands::SCRATCH - 3
    };
    ($name:ident $argument:ident) => {
        0
    };
}

pub(super) use operand;
pub(super) use operand_type;
