//! Time since 1970, without a real-time clock.
//!
//! The host fills a page with the wall-clock time at which system time was 0, at each write of an MSR and at no other
//! time. What the page held before is worth nothing: the host's own clock is set, and the guest migrates. So the page
//! is asked for anew at **every** call, one exit each; it is not kept.
//!
//! Source: KVM documentation, "KVM-specific MSRs" (`MSR_KVM_WALL_CLOCK_NEW`).

// UNSAFETY: writes the MSR that makes the host fill the page.
#![expect(unsafe_code)]

use core::{
    mem::offset_of,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, SeqCst},
        compiler_fence,
    },
};

use vmi_abi::{cpu, time};

use crate::{
    BACKEND, Kvm, insn,
    pvclock::{Source, Tries, nanoseconds},
};

const NS_PER_SECOND: u32 = 1_000_000_000;

/// How often the page is asked for, if another flow asks at the same time.
const TRIES: u32 = 8;

/// The wall-clock time at which system time was 0; `pvclock_wall_clock` in the manual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WallClock {
    /// Odd while the host writes.
    pub version: u32,
    /// Seconds since 1970-01-01 00:00 UTC.
    pub sec: u32,
    /// Nanoseconds on top, below 10^9.
    pub nsec: u32,
}

const _: () = {
    assert!(size_of::<WallClock>() == 12 && align_of::<WallClock>() == 4);
    assert!(offset_of!(WallClock, version) == 0);
    assert!(offset_of!(WallClock, sec) == 4);
    assert!(offset_of!(WallClock, nsec) == 8);
};

impl WallClock {
    /// Returns nanoseconds since 1970-01-01 00:00 UTC at the system time `system_ns`, or `None` where the page was
    /// not filled (second 0), is being filled (an odd version) or holds no time (10^9 ns or more).
    pub fn since_1970_ns(&self, system_ns: u64) -> Option<u64> {
        if !self.version.is_multiple_of(2) || self.sec == 0 || self.nsec >= NS_PER_SECOND {
            return None;
        }
        let boot = u64::from(self.sec) * u64::from(NS_PER_SECOND) + u64::from(self.nsec);
        boot.checked_add(system_ns)
    }
}

/// The page that the host fills: [`WallClock`], every field of it an atomic. Aligned so that it lies inside one page
/// of memory.
#[derive(Debug)]
#[repr(C, align(16))]
pub(crate) struct WallPage {
    version: AtomicU32,
    sec: AtomicU32,
    nsec: AtomicU32,
}

const _: () = {
    assert!(offset_of!(WallPage, version) == offset_of!(WallClock, version));
    assert!(offset_of!(WallPage, sec) == offset_of!(WallClock, sec));
    assert!(offset_of!(WallPage, nsec) == offset_of!(WallClock, nsec));
};

impl WallPage {
    pub(crate) const fn new() -> Self {
        Self { version: AtomicU32::new(0), sec: AtomicU32::new(0), nsec: AtomicU32::new(0) }
    }

    /// Has the page filled by `fill`, which returns `None` where that cannot be done, and returns what it holds then.
    /// The seconds are taken out before, so that a page that was not filled is known.
    fn ask(&self, fill: impl Fn() -> Option<()>) -> Option<WallClock> {
        (0..TRIES).find_map(|_| {
            self.sec.store(0, Relaxed);
            compiler_fence(SeqCst);
            fill()?;
            let version = self.version.load(Acquire);
            let (sec, nsec) = (self.sec.load(Acquire), self.nsec.load(Acquire));
            let steady = version == self.version.load(Acquire) && version.is_multiple_of(2) && sec != 0;
            steady.then_some(WallClock { version, sec, nsec })
        })
    }
}

/// Returns nanoseconds since 1970-01-01 00:00 UTC as the host tells them by the page, or what the table below says.
pub(crate) extern "sysv64" fn now() -> u64 {
    by_page().unwrap_or_else(|| BACKEND.enabled.below().map_or(0, |table| table.get::<time::wall_clock>()()))
}

fn by_page() -> Option<u64> {
    let Kvm { boot, wall_page, enabled, .. } = &BACKEND;
    let (msrs, address) = enabled.clock().filter(|_| boot.clock.is_started())?;
    let table = enabled.below()?;
    // SAFETY: ring 0, since this serves an op; the MSR is announced, since `enable` chose it by its feature bit; the
    // address is that of the page, which nothing else uses.
    let fill =
        || unsafe { insn::write_msr(table.get::<cpu::try_write_msr>(), msrs.wall_clock, address) }.ok();
    let wall_clock = wall_page.ask(fill)?;
    let (info, tsc) = boot.page.read(Tries::BOUNDED).ok()?;
    wall_clock.since_1970_ns(nanoseconds(&info, tsc).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(page: &WallPage, sec: u32, nsec: u32) -> Option<()> {
        let version = page.version.load(Relaxed);
        page.version.store(version.wrapping_add(2), Relaxed);
        page.sec.store(sec, Relaxed);
        page.nsec.store(nsec, Relaxed);
        Some(())
    }

    #[test]
    fn row_15_every_call_asks_again() {
        let page = WallPage::new();
        for sec in [1_700_000_000, 1_600_000_000] {
            let wall_clock = page.ask(|| fill(&page, sec, 5)).unwrap();
            assert_eq!((wall_clock.sec, wall_clock.nsec), (sec, 5));
        }
    }

    #[test]
    fn row_15_what_the_page_held_before_is_no_answer() {
        let page = WallPage::new();
        fill(&page, 1_700_000_000, 5).unwrap();
        assert_eq!(page.ask(|| Some(())), None, "the host took the write and did nothing");
        fill(&page, 1_700_000_000, 5).unwrap();
        assert_eq!(page.ask(|| None), None, "the MSR faults");
    }

    #[test]
    fn row_15_a_page_that_is_never_finished_is_given_up() {
        let page = WallPage::new();
        let tries = core::cell::Cell::new(0);
        let unfinished = || {
            tries.set(tries.get() + 1);
            page.version.store(3, Relaxed);
            page.sec.store(1_700_000_000, Relaxed);
            Some(())
        };
        assert_eq!(page.ask(unfinished), None);
        assert!((1..=16).contains(&tries.get()), "{} tries", tries.get());
    }

    #[test]
    fn the_sum_is_checked() {
        let page = WallClock { version: 2, sec: u32::MAX, nsec: 999_999_999 };
        assert_eq!(page.since_1970_ns(1), Some(u64::from(u32::MAX) * 1_000_000_000 + 1_000_000_000));
        assert_eq!(page.since_1970_ns(u64::MAX), None);
        assert_eq!(WallClock { version: 3, ..page }.since_1970_ns(1), None);
        assert_eq!(WallClock { sec: 0, ..page }.since_1970_ns(1), None);
        assert_eq!(WallClock { nsec: 1_000_000_000, ..page }.since_1970_ns(1), None);
    }
}
