//! The one line of time of all CPUs, which goes on where the host's clock starts anew lower.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// The most that an honest page may lie behind the time that was given, in nanoseconds: less is waited for, more is a
/// clock that started anew.
///
/// The time given is looked at before the page is read, so a reader that is held up in between, or interrupted by another,
/// explains nothing. What remains is a host whose page and clock drift apart until it renews the page: every 300 s (Linux,
/// `KVMCLOCK_SYNC_PERIOD`), by at most the 500 ppm that `adjtimex(2)` lets a clock be slewed by.
pub(super) const BEHIND_MAX_NS: u64 = 300 * NS_PER_SECOND / 1_000_000 * 500;

/// How long after such a start every CPU reads in full, in nanoseconds: until all of them have seen the new page, each may
/// find that it had given a later time than the others.
pub(super) const SETTLING_NS: u64 = NS_PER_SECOND;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// What the CPUs' clocks share.
///
/// A clock starts anew where it lies behind what was given, not behind what the old page would have led to by now, because a
/// host that pauses a guest takes the pause out of the page.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The latest time that any CPU returned from a full reading, in nanoseconds.
    latest: AtomicU64,
    /// What time is ahead of the pages, in nanoseconds.
    ahead: AtomicU64,
    /// The time until which every CPU reads in full, in nanoseconds.
    settled: AtomicU64,
}

impl Timeline {
    /// Returns the line of time before the first reading.
    pub(crate) const fn new() -> Self {
        Self { latest: AtomicU64::new(0), ahead: AtomicU64::new(0), settled: AtomicU64::new(0) }
    }

    /// Returns the latest time that any CPU returned from a full reading, in nanoseconds.
    pub(super) fn latest(&self) -> u64 {
        self.latest.load(Relaxed)
    }

    /// Returns what time is ahead of the pages, in nanoseconds: 0 unless the host's clock started anew lower.
    pub(super) fn ahead(&self) -> u64 {
        self.ahead.load(Acquire)
    }

    /// Takes note of a time that a full reading gave; returns it, or the latest if that is later.
    pub(super) fn reach(&self, now: u64) -> u64 {
        now.max(self.latest.fetch_max(now, Relaxed))
    }

    /// Tells whether all CPUs have seen the page from which `now` was read, so that lines may be made of it.
    pub(super) fn is_settled(&self, now: u64) -> bool {
        now >= self.settled.load(Relaxed)
    }

    /// Finds where a page's time lies. Returns what time is ahead of the page now, or `None` where another flow or CPU
    /// moved that meanwhile, and the page has to be read again.
    pub(super) fn place(&self, page: u64, before: &Before) -> Option<u64> {
        let &Before { ahead, given, own, expected } = before;
        let lags = |page: u64, time: u64| page.saturating_add(BEHIND_MAX_NS) < time;
        let moved = page.saturating_add(ahead);
        let new = if lags(moved, own) {
            given.saturating_sub(page)
        } else if !lags(page, given) && page.abs_diff(expected) < moved.abs_diff(expected) {
            // The host's clock was set right again.
            0
        } else {
            ahead
        };
        if new != ahead {
            // First, so that who sees time moved also sees that it is not settled.
            self.settled.store(page.saturating_add(new).saturating_add(SETTLING_NS), Relaxed);
            self.ahead.compare_exchange(ahead, new, AcqRel, Relaxed).ok()?;
        }
        Some(new)
    }
}

/// What was known before a page was read; all in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// [`Timeline::ahead`].
    pub(super) ahead: u64,
    /// The latest time that was given, on any CPU.
    pub(super) given: u64,
    /// The latest time that this CPU's page gave.
    pub(super) own: u64,
    /// What this CPU's page would have led to by now, and at least `given`.
    pub(super) expected: u64,
}
