//! What every CPU has of its own.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::pvclock::{Clock, Page};

/// One CPU's shared page and clock.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct PerCpu {
    /// Written by the host while it is registered.
    pub page: Page,
    /// Read beside the page.
    pub clock: Clock,
    /// What the registration MSR held before this library first wrote it.
    inherited: AtomicU64,
}

impl PerCpu {
    pub(crate) const fn new() -> Self {
        Self { page: Page::new(), clock: Clock::new(), inherited: AtomicU64::new(0) }
    }

    /// Remembers what firmware left in the registration MSR.
    pub(crate) fn inherit(&self, value: u64) {
        self.inherited.store(value, Relaxed);
    }

    /// Returns what firmware left in the registration MSR.
    pub(crate) fn inherited(&self) -> u64 {
        self.inherited.load(Relaxed)
    }
}
