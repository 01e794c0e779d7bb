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

static BELOW: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());
static SYSTEM_TIME: AtomicU32 = AtomicU32::new(0);
static WALL_CLOCK: AtomicU32 = AtomicU32::new(0);
static WALL_ADDRESS: AtomicU64 = AtomicU64::new(0);

/// Remembers the table below.
pub(crate) fn set_below(below: &'static Table) {
    BELOW.store(ptr::from_ref(below).cast_mut(), Release);
}

/// Returns the table below, or `None` before the first `enable`.
pub(crate) fn below() -> Option<&'static Table> {
    // SAFETY: null, or what `set_below` made from a shared reference that lives for ever; nobody writes through it.
    unsafe { BELOW.load(Acquire).as_ref() }
}

/// Remembers the MSRs of the clock and the physical address of the wall clock's page.
pub(crate) fn set_clock(msrs: ClockMsrs, wall_address: u64) {
    SYSTEM_TIME.store(msrs.system_time, Relaxed);
    WALL_ADDRESS.store(wall_address, Relaxed);
    WALL_CLOCK.store(msrs.wall_clock, Release);
}

/// Returns the MSRs of the clock and the physical address of the wall clock's page, or `None` where there is no clock.
pub(crate) fn clock() -> Option<(ClockMsrs, u64)> {
    let wall_clock = WALL_CLOCK.load(Acquire);
    let msrs = ClockMsrs { system_time: SYSTEM_TIME.load(Relaxed), wall_clock };
    (wall_clock != 0).then(|| (msrs, WALL_ADDRESS.load(Relaxed)))
}
