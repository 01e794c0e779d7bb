//! Registers that the tables tell of: ACPI specification, "Generic Address Structure".

// UNSAFETY: accesses the registers.
#![expect(unsafe_code)]

use crate::Native;
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};
use vmi_abi::Io;

/// A register as the tables tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    /// An I/O port, not 0.
    Port(u16),
    /// A physical address, not 0.
    Memory(u64),
}

impl Register {
    /// Returns the register of a port field of the first version of a table, if there is one.
    pub(super) fn from_port(port: u32) -> Option<Self> {
        u16::try_from(port).ok().filter(|port| *port != 0).map(Self::Port)
    }

    /// Returns the register of a generic address, if there is one. Those in PCI configuration space and
    /// behind embedded controllers are not supported.
    pub(super) fn from_generic(bytes: [u8; 12]) -> Option<Self> {
        let [space, _, _, _, address @ ..] = bytes;
        match (space, u64::from_le_bytes(address)) {
            (_, 0) => None,
            (0, address) => Some(Self::Memory(address)),
            (1, port) => Self::from_port(u32::try_from(port).ok()?),
            _ => None,
        }
    }

    /// Returns what a [`Place`] keeps, or 0 if the register is not mapped.
    pub(super) fn place(self, bytes: usize, map: fn(u64, usize) -> Option<NonNull<u8>>) -> u64 {
        match self {
            Self::Port(port) => port.into(),
            Self::Memory(address) => map(address, bytes)
                .map(|mapped| mapped.as_ptr() as u64)
                .filter(|mapped| *mapped > MAX_PORT && mapped.is_multiple_of(bytes as u64))
                .unwrap_or(0),
        }
    }
}

const MAX_PORT: u64 = u16::MAX as u64;

/// Where a register is accessed: 0 nowhere, up to [`MAX_PORT`] at a port, else at a virtual address.
pub(super) struct Place(AtomicU64);

impl Place {
    pub(super) const fn unknown() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn store(&self, place: u64) {
        self.0.store(place, Ordering::Release);
    }

    pub(super) fn is_known(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    pub(super) fn write8(&self, value: u8) {
        match self.0.load(Ordering::Acquire) {
            0 => {}
            // SAFETY: a register of the machine by the tables that the kernel vouched for.
            port @ 1..=MAX_PORT => unsafe { Native::out8(port as u16, value) },
            // SAFETY: as above, and mapped as the caller of `use_acpi` ensured.
            address => unsafe { (address as *mut u8).write_volatile(value) },
        }
    }

    pub(super) fn write16(&self, value: u16) {
        match self.0.load(Ordering::Acquire) {
            0 => {}
            // SAFETY: a register of the machine by the tables that the kernel vouched for.
            port @ 1..=MAX_PORT => unsafe { Native::out16(port as u16, value) },
            // SAFETY: as above, aligned by `Register::place`, and mapped as the caller of `use_acpi` ensured.
            address => unsafe { (address as *mut u16).write_volatile(value) },
        }
    }

    pub(super) fn read16(&self) -> u16 {
        match self.0.load(Ordering::Acquire) {
            0 => 0,
            // SAFETY: a register of the machine by the tables that the kernel vouched for.
            port @ 1..=MAX_PORT => unsafe { Native::in16(port as u16) },
            // SAFETY: as above, aligned by `Register::place`, and mapped as the caller of `use_acpi` ensured.
            address => unsafe { (address as *const u16).read_volatile() },
        }
    }
}
