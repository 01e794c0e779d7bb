//! What `enable` was told, for the replacements that run later.

// UNSAFETY: hands out a reference that was stored as a pointer.
#![expect(unsafe_code)]

use core::{
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use vmi_abi::Table;

use crate::msr::ClockMsrs;

/// The table below, the clock's MSRs, and where the wall clock's page is.
#[derive(Debug)]
pub(crate) struct Enabled {
    below: AtomicPtr<Table>,
    system_time: AtomicU32,
    wall_clock: AtomicU32,
    wall_address: AtomicU64,
}

impl Enabled {
    pub(crate) const fn new() -> Self {
        Self {
            below: AtomicPtr::new(ptr::null_mut()),
            system_time: AtomicU32::new(0),
            wall_clock: AtomicU32::new(0),
            wall_address: AtomicU64::new(0),
        }
    }

    /// Remembers the table below.
    pub(crate) fn set_below(&self, below: &'static Table) {
        self.below.store(ptr::from_ref(below).cast_mut(), Release);
    }

    /// Returns the table below, or `None` before the first `enable`.
    pub(crate) fn below(&self) -> Option<&'static Table> {
        // SAFETY: null, or what `set_below` made from a shared reference that lives for ever; nobody writes through it.
        unsafe { self.below.load(Acquire).as_ref() }
    }

    /// Remembers the MSRs of the clock and the physical address of the wall clock's page.
    pub(crate) fn set_clock(&self, msrs: ClockMsrs, wall_address: u64) {
        self.system_time.store(msrs.system_time, Relaxed);
        self.wall_address.store(wall_address, Relaxed);
        self.wall_clock.store(msrs.wall_clock, Release);
    }

    /// Returns the MSRs of the clock and the physical address of the wall clock's page, or `None` where there is no
    /// clock.
    pub(crate) fn clock(&self) -> Option<(ClockMsrs, u64)> {
        let wall_clock = self.wall_clock.load(Acquire);
        let msrs = ClockMsrs { system_time: self.system_time.load(Relaxed), wall_clock };
        (wall_clock != 0).then(|| (msrs, self.wall_address.load(Relaxed)))
    }
}
