//! Access to a clock page that the host may write at any moment.

use core::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed},
};

use core::mem::offset_of;

use super::{Flags, PageError, TimeInfo};
use crate::insn;

/// How often a read is tried. KVM changes the page of a CPU only while that CPU is outside the guest, so a second try
/// is rare and a third would take two exits within some hundred nanoseconds.
const TRIES: u32 = 64;

/// Where time is read from: the page beside the CPU's counter, or what a test makes of them.
pub(crate) trait Source {
    /// Returns the version; later accesses stay behind it.
    fn version(&self) -> u32;
    /// Returns the page as it stands, torn if the host writes.
    fn load(&self) -> TimeInfo;
    /// Returns the time-stamp counter, read between the accesses before and behind.
    fn cycles(&self) -> u64;
    /// Clears the paused flag.
    fn clear_paused(&self);

    /// Returns the page as it stood under one even version, and the time-stamp counter at that time.
    ///
    /// # Errors
    ///
    /// [`PageError::Unfinished`] and [`PageError::Unsteady`] when `tries` were in vain.
    fn read(&self, tries: Tries) -> Result<(TimeInfo, u64), PageError> {
        let mut left = tries.0;
        loop {
            let before = self.version();
            let tsc = self.cycles();
            let info = self.load();
            let version = self.version();
            if before == version && version.is_multiple_of(2) {
                return Ok((TimeInfo { version, ..info }, tsc));
            }
            left -= 1;
            if left == 0 {
                let odd = !version.is_multiple_of(2);
                return Err(if odd { PageError::Unfinished(version) } else { PageError::Unsteady(version) });
            }
            core::hint::spin_loop();
        }
    }
}

/// How often a read is tried, at least once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries(u32);

impl Tries {
    /// As often as an honest host could make necessary.
    pub(crate) const BOUNDED: Self = Self(TRIES);
    /// Only to see whether the page has recovered.
    pub(crate) const ONCE: Self = Self(1);
}

/// A clock page in memory that the host writes: [`TimeInfo`], every field of it an atomic.
#[derive(Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Page {
    version: AtomicU32,
    pad0: AtomicU32,
    tsc_timestamp: AtomicU64,
    system_time: AtomicU64,
    tsc_to_system_mul: AtomicU32,
    tsc_shift: AtomicU8,
    flags: AtomicU8,
    pad1: [AtomicU8; 2],
}

// An alignment of its own size keeps the page inside one page of memory.
const _: () = {
    assert!(size_of::<Page>() == size_of::<TimeInfo>() && align_of::<Page>() == size_of::<Page>());
    assert!(offset_of!(Page, version) == offset_of!(TimeInfo, version));
    assert!(offset_of!(Page, tsc_timestamp) == offset_of!(TimeInfo, tsc_timestamp));
    assert!(offset_of!(Page, system_time) == offset_of!(TimeInfo, system_time));
    assert!(offset_of!(Page, tsc_to_system_mul) == offset_of!(TimeInfo, tsc_to_system_mul));
    assert!(offset_of!(Page, tsc_shift) == offset_of!(TimeInfo, tsc_shift));
    assert!(offset_of!(Page, flags) == offset_of!(TimeInfo, flags));
};

impl Page {
    /// Returns a page that was never filled.
    pub(crate) const fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            pad0: AtomicU32::new(0),
            tsc_timestamp: AtomicU64::new(0),
            system_time: AtomicU64::new(0),
            tsc_to_system_mul: AtomicU32::new(0),
            tsc_shift: AtomicU8::new(0),
            flags: AtomicU8::new(0),
            pad1: [const { AtomicU8::new(0) }; 2],
        }
    }

    /// Makes the page one that was never filled, so that a new registration can be seen to fill it.
    pub(crate) fn clear(&self) {
        self.store(&TimeInfo::default());
    }

    pub(crate) fn store(&self, info: &TimeInfo) {
        self.version.store(info.version, Relaxed);
        self.pad0.store(info.pad0, Relaxed);
        self.tsc_timestamp.store(info.tsc_timestamp, Relaxed);
        self.system_time.store(info.system_time, Relaxed);
        self.tsc_to_system_mul.store(info.tsc_to_system_mul, Relaxed);
        self.tsc_shift.store(info.tsc_shift.cast_unsigned(), Relaxed);
        self.flags.store(info.flags, Relaxed);
    }
}

impl Source for Page {
    #[inline(always)]
    fn version(&self) -> u32 {
        self.version.load(Acquire)
    }

    fn load(&self) -> TimeInfo {
        TimeInfo {
            version: self.version.load(Acquire),
            pad0: self.pad0.load(Acquire),
            tsc_timestamp: self.tsc_timestamp.load(Acquire),
            system_time: self.system_time.load(Acquire),
            tsc_to_system_mul: self.tsc_to_system_mul.load(Acquire),
            tsc_shift: self.tsc_shift.load(Acquire).cast_signed(),
            flags: self.flags.load(Acquire),
            pad1: [self.pad1[0].load(Acquire), self.pad1[1].load(Acquire)],
        }
    }

    #[inline(always)]
    fn cycles(&self) -> u64 {
        insn::cycles()
    }

    fn clear_paused(&self) {
        self.flags.fetch_and(!Flags::PAUSED.bits(), Relaxed);
    }
}
