//! The right to call, and the opening of a block.

// UNSAFETY: vouches for a port and for an address.
#![expect(unsafe_code)]

use vmi_abi::{
    Machine,
    port_call::{Announcement, CALLS_MAX, Features, Hints, Implementation, PAGE_BYTES},
};

use super::{Block, Caller, Error, block::View};
use crate::insn;

/// A host that speaks VMI, in a version that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced(Announcement);

/// The instruction that writes to a port; a test puts a host of its own there.
pub(crate) type Out = unsafe fn(port: u16, value: u32);

impl Announced {
    /// Reads CPUID; `None` where no host speaks VMI, where it speaks another major version, or takes no call.
    pub fn detect(machine: &Machine<'_>) -> Option<Self> {
        let announcement = Announcement::find(machine)?;
        let speaks = announcement.version.is_known() && announcement.calls_max > 0;
        speaks.then_some(Self(announcement))
    }

    /// Returns what the host announces and this crate knows; nothing else is ever asked for.
    pub fn features(self) -> Features {
        self.0.features & Features::all()
    }

    /// Returns what the host advises, as far as this crate knows it.
    pub fn hints(self) -> Hints {
        self.0.hints & Hints::all()
    }

    /// Returns who serves.
    pub fn implementation(self) -> Implementation {
        self.0.implementation
    }

    /// Makes calls possible, from `block`, which lies at this physical address.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`] and [`Error::TooHigh`].
    ///
    /// # Safety
    ///
    /// - [`detect`](Self::detect) was given the CPUID of the machine that this runs on, and it runs in ring 0.
    /// - `physical` is where the hypervisor finds the first byte of `block`, all of it lies there in one piece, and
    ///   stays.
    pub unsafe fn open<const CALLS: usize>(
        self,
        block: &'static Block<CALLS>,
        physical: u64,
    ) -> Result<Caller, Error> {
        // SAFETY: the caller's promises, and this is the instruction.
        unsafe { self.open_through(block, physical, insn::out32) }
    }

    /// Makes calls possible, by `out` in place of the instruction.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    ///
    /// # Safety
    ///
    /// - `out` may be called, with the announced ports, wherever calls are made, and takes the block to be at
    ///   `physical`.
    #[doc(hidden)]
    pub unsafe fn open_through<const CALLS: usize>(
        self,
        block: &'static Block<CALLS>,
        physical: u64,
        out: unsafe fn(port: u16, value: u32),
    ) -> Result<Caller, Error> {
        if !physical.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned(physical));
        }
        let page = u32::try_from(physical / PAGE_BYTES).map_err(|_| Error::TooHigh(physical))?;
        Ok(Caller { announced: self, view: block.view(), page, out })
    }

    /// Returns how many calls a batch in `view` may have.
    pub(super) fn calls_max(self, view: &View) -> usize {
        view.slots.len().min(CALLS_MAX).min(self.0.calls_max as usize)
    }

    /// Tells whether the host may be asked for parts of a batch: from version 1.1 on.
    pub(super) fn knows_parts(self) -> bool {
        self.0.version.minor() >= 1
    }

    pub(super) fn call_port(self) -> u16 {
        self.0.call_port
    }

    pub(super) fn doorbell_port(self) -> u16 {
        self.0.doorbell_port
    }
}
