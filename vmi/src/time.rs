//! The one line of time.
//!
//! Whatever clock serves it, time never steps back: a backend's clock goes on where the native one stood, and the
//! native clock where the backend's stood.

use core::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use vmi_abi::{Operation, Override, Replacements};

use crate::sites;

#[allow(unused_imports, reason = "every op of the group may have a typed function below")]
pub use crate::sites::time::*;

/// What is added to the serving clock, in nanoseconds modulo 2⁶⁴.
static OFFSET: AtomicU64 = AtomicU64::new(0);

/// Returns nanoseconds since a fixed point of the past; never less than before.
#[inline(always)]
pub fn now_ns() -> u64 {
    sites::time::now_ns().wrapping_add(offset_ns())
}

/// Returns the time since a fixed point of the past; never less than before.
#[inline(always)]
pub fn now() -> Duration {
    Duration::from_nanos(now_ns())
}

/// Returns the time since 1970-01-01 00:00 UTC, or `None` where the machine has no calendar.
#[inline(always)]
pub fn wall_clock() -> Option<Duration> {
    NonZeroU64::new(sites::time::wall_clock()).map(|ns| Duration::from_nanos(ns.get()))
}

/// Returns the rate of [`cpu::cycles`](crate::cpu::cycles) in hertz, or `None` where nothing tells it.
#[inline(always)]
pub fn frequency() -> Option<NonZeroU64> {
    NonZeroU64::new(sites::time::frequency())
}

/// Returns what [`now_ns`] adds to the serving clock, in nanoseconds modulo 2⁶⁴: 0 unless one clock took over from
/// another that had been read.
#[inline(always)]
pub fn offset_ns() -> u64 {
    OFFSET.load(Ordering::Relaxed)
}

/// Tells the native clock the port of the ACPI power-management timer, one more thing to measure the counter by.
pub use vmi_native::set_pm_timer;

/// Returns the port of the ACPI power-management timer, if somebody told of one.
pub use vmi_native::pm_timer;

/// One clock taking over from another: where time stood.
#[must_use]
pub(crate) struct Continuity(Option<u64>);

impl Continuity {
    /// Remembers where the native clock stands, unless nobody ever read it: then a backend's clock starts as it is,
    /// and the native one need not be calibrated for a comparison. The same where no layer has a clock.
    pub(crate) fn of_native(replacements: &Replacements) -> Self {
        Self((is_replaced::<vmi_abi::time::now_ns>(replacements) && vmi_native::started()).then(now_ns))
    }

    /// Remembers where a backend's clock stands, and lets the native clock have its rate, if it tells one.
    pub(crate) fn of_backend(replacements: &Replacements) -> Self {
        if !is_replaced::<vmi_abi::time::now_ns>(replacements) {
            return Self(None);
        }
        if is_replaced::<vmi_abi::time::frequency>(replacements)
            && let Some(frequency) = frequency()
        {
            vmi_native::set_frequency(frequency.get());
        }
        Self(Some(now_ns()))
    }

    /// Has the clock that serves now go on from there.
    pub(crate) fn resume(self) {
        if let Some(last) = self.0 {
            OFFSET.store(last.wrapping_sub(sites::time::now_ns()), Ordering::Relaxed);
        }
    }
}

fn is_replaced<O: Operation>(replacements: &Replacements) -> bool {
    replacements.get(O::OP) != Override::Keep
}
