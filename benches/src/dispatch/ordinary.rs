//! What a kernel without this library would have: ordinary functions, called directly, by a table, by a trait object.

// UNSAFETY: reads what the compiler must not see through, and stores through pointers.
#![expect(unsafe_code)]

use core::ptr;

use vmi_abi::Time;
use vmi_native::Native;

use crate::insn;

/// Stores a page-table entry.
///
/// # Safety
///
/// - `entry` is valid for a write of 8 bytes.
#[inline(never)]
pub(super) unsafe extern "sysv64" fn set_entry(entry: *mut u64, value: u64) {
    // SAFETY: the caller's promise is the store's.
    unsafe { insn::store(entry, value) }
}

#[inline(never)]
pub(super) extern "sysv64" fn relax() {
    insn::pause();
}

#[inline(never)]
pub(super) extern "sysv64" fn cycles() -> u64 {
    insn::rdtsc()
}

#[inline(never)]
pub(super) extern "sysv64" fn now_ns() -> u64 {
    <Native as Time>::now_ns()
}

/// A table of functions, as a kernel fills it in at boot.
pub(super) struct Table {
    pub(super) set_entry: unsafe extern "sysv64" fn(*mut u64, u64),
    pub(super) cycles: extern "sysv64" fn() -> u64,
    pub(super) now_ns: extern "sysv64" fn() -> u64,
}

/// The table. Read by [`now`].
pub(super) static TABLE: Table = Table { set_entry, cycles, now_ns };

/// The ops as a trait.
pub(super) trait Ops: Sync {
    /// Stores a page-table entry.
    ///
    /// # Safety
    ///
    /// - `entry` is valid for a write of 8 bytes.
    unsafe fn set_entry(&self, entry: *mut u64, value: u64);
    fn cycles(&self) -> u64;
    fn now_ns(&self) -> u64;
}

struct Bare;

impl Ops for Bare {
    unsafe fn set_entry(&self, entry: *mut u64, value: u64) {
        // SAFETY: the caller's promise is the store's.
        unsafe { insn::store(entry, value) }
    }

    fn cycles(&self) -> u64 {
        insn::rdtsc()
    }

    fn now_ns(&self) -> u64 {
        <Native as Time>::now_ns()
    }
}

/// The implementation that was chosen at boot. Read by [`now`].
pub(super) static OBJECT: &dyn Ops = &Bare;

/// Returns what stands there now. It could be anything, as far as the compiler knows: so it can neither call a function
/// directly nor read its address once for all turns of a loop.
#[inline(always)]
pub(super) fn now<T: Copy>(place: &T) -> T {
    // SAFETY: a reference is valid for a read, and the value is one that may be copied.
    unsafe { ptr::from_ref(place).read_volatile() }
}
