//! The block of this crate's own, from which the backend serves ops.

// UNSAFETY: opens the block, and keeps what that gave in a static that a state word guards.
#![expect(unsafe_code)]

use core::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
};

use vmi_abi::Platform;

use super::{Announced, Block, CALLS_OF_PAGE, Caller};
use crate::insn;

/// One for all CPUs: ops that use it are rare, and have another way where it is busy.
static BLOCK: Block<CALLS_OF_PAGE> = Block::new();

struct Opened {
    is_open: AtomicBool,
    caller: UnsafeCell<Option<Caller>>,
}

// SAFETY: the cell is written by `open` alone, while nobody reads: `is_open` is clear.
unsafe impl Sync for Opened {}

static OPENED: Opened = Opened { is_open: AtomicBool::new(false), caller: UnsafeCell::new(None) };

/// Opens the block, where the host speaks VMI; where it does not, or where it cannot reach the block,
/// [`caller`] stays `None`.
///
/// # Safety
///
/// - Called in ring 0, on the boot CPU, while no site is edited to a replacement of this crate.
/// - The platform's addresses are those at which the hypervisor reaches memory, and keep the block in one piece.
pub(crate) unsafe fn open(platform: &dyn Platform) {
    close();
    let Some(announced) = Announced::detect(&insn::cpuid) else { return };
    // SAFETY: CPUID is this machine's; the rest is the caller's promise.
    let opened = unsafe { announced.open(&BLOCK, platform.physical_address(BLOCK.address())) };
    // SAFETY: nobody reads the cell before `is_open` is set, and no other CPU opens.
    unsafe { *OPENED.caller.get() = opened.ok() };
    OPENED.is_open.store(true, Release);
}

/// Forgets the way to the host. The host knows nothing of the block between calls, so nothing is undone there.
pub(crate) fn close() {
    OPENED.is_open.store(false, Release);
}

/// Returns the way to the host, while it is open.
pub(crate) fn caller() -> Option<Caller> {
    // SAFETY: the cell was written before `is_open` was set, and is not written while replacements run.
    OPENED.is_open.load(Acquire).then(|| unsafe { *OPENED.caller.get() })?
}
