//! One CPU's clock: the page turned into a line of time that never goes back.

use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    compiler_fence,
};

use super::{
    Flags, Source, TimeInfo,
    line::Line,
    local::{Local, Word},
    nanoseconds,
    page::Tries,
    timeline::{Before, Timeline},
};

/// No version of a page: wider than any.
const NO_VERSION: u64 = u64::MAX;

/// How often a page is read anew because it was found paused, or because time was moved meanwhile.
const READINGS_MAX: u32 = 4;

/// One CPU's clock.
///
/// The fast path works on a [`Line`] that was prepared from a valid, stable page, and looks at the page for one thing
/// only: whether its version still is the line's. So everything that could be wrong with a page is checked when its
/// version changes, not at every read; and one look behind the counter is enough, since the line is of that version
/// however long ago it was made.
///
/// Every access is to this CPU's own memory, so what has to be survived is an interrupt between any two instructions:
/// the line is invalid (under [`NO_VERSION`]) while it is written, and only one flow writes it at a time.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Version of the page that the line was made from, or [`NO_VERSION`].
    version: Local,
    line: Line<Local>,
    /// The latest time that this CPU returned, in nanoseconds. An interrupt that reads the clock between the check and
    /// the store of the flow below it has its later time overwritten by that flow's earlier one, until the next read.
    last: Local,
    /// The latest time that this CPU's page gave in a full reading, in nanoseconds: where CPUs are not in step, `last` may be
    /// another's.
    own: Local,
    /// What the table below is behind this clock, in nanoseconds (wrapping), while `falling`.
    offset: Local,
    /// The last reading came from the table below.
    falling: AtomicBool,
    /// A flow is writing the line.
    writing: AtomicBool,
    /// The page is registered.
    registered: AtomicBool,
    /// CPUID gives the stable flag a meaning.
    stable_means: AtomicBool,
    /// How often the paused flag was found and cleared.
    pauses: AtomicU32,
}

impl Clock {
    /// Returns the clock of a CPU without a registered page.
    pub(crate) const fn new() -> Self {
        Self {
            version: Local::new(NO_VERSION),
            line: Line {
                tsc: Local::new(0),
                limit: Local::new(0),
                right: Local::new(0),
                factor: Local::new(0),
                ns: Local::new(0),
            },
            last: Local::new(0),
            own: Local::new(0),
            offset: Local::new(0),
            falling: AtomicBool::new(false),
            writing: AtomicBool::new(false),
            registered: AtomicBool::new(false),
            stable_means: AtomicBool::new(false),
            pauses: AtomicU32::new(0),
        }
    }

    /// Begins to read the page, which is registered now.
    pub(crate) fn start(&self, stability: Stability) {
        self.stable_means.store(stability == Stability::Announced, Relaxed);
        self.registered.store(true, Release);
    }

    /// Stops reading the page, which is about to be given up: all time comes from the table below.
    pub(crate) fn stop(&self) {
        self.registered.store(false, Relaxed);
        self.version.set(NO_VERSION);
    }

    /// Tells whether the page is registered.
    pub(crate) fn is_started(&self) -> bool {
        self.registered.load(Acquire)
    }

    /// Returns how often the host said that it had held the guest up.
    pub(crate) fn pauses(&self) -> u32 {
        self.pauses.load(Relaxed)
    }

    /// Returns nanoseconds by the line at hand, or `None` where [`refresh`](Self::refresh) has to look closer.
    #[inline(always)]
    pub(crate) fn fast(&self, source: &impl Source) -> Option<u64> {
        let version = self.version.get();
        let now = self.line.at(source.cycles())?;
        compiler_fence(SeqCst);
        if u64::from(source.version()) != version || now < self.last.get() {
            return None;
        }
        self.last.set(now);
        Some(now)
    }

    /// Returns nanoseconds by a full reading of the page, and prepares the line for the readings to come. `below` tells the
    /// time of the table below.
    pub(crate) fn refresh(&self, source: &impl Source, timeline: &Timeline, below: impl Fn() -> u64) -> u64 {
        let now = match self.read(source, timeline) {
            Some(now) => {
                self.falling.store(false, Relaxed);
                now
            }
            None => self.fall_back(timeline, below()),
        };
        let now = timeline.reach(now.max(self.last.get()));
        self.last.raise(now);
        now
    }

    /// Reads the page, if it tells a time, and takes its line where later readings may use it.
    fn read(&self, source: &impl Source, timeline: &Timeline) -> Option<u64> {
        if !self.is_started() {
            return None;
        }
        let tries = if self.falling.load(Relaxed) { Tries::ONCE } else { Tries::BOUNDED };
        let mut left = READINGS_MAX;
        loop {
            left -= 1;
            let (ahead, last) = (timeline.ahead(), self.last.get());
            let given = last.max(timeline.latest());
            let (info, tsc) = source.read(tries).ok()?;
            let page = nanoseconds(&info, tsc).ok()?;
            if info.flags().contains(Flags::PAUSED) {
                source.clear_paused();
                self.pauses.fetch_add(1, Relaxed);
                // What the host did meanwhile need not be in what was read before the flag was seen.
                if left > 0 {
                    continue;
                }
            }
            // An interrupt that finds its own flow in the part below goes without: otherwise the flow it interrupted would
            // go on to write an older line under its newer version.
            if self.writing.swap(true, Acquire) {
                return page.checked_add(timeline.ahead());
            }
            let stable = self.stable_means.load(Relaxed) && info.flags().contains(Flags::STABLE);
            let expected = self.line.at(tsc).map_or(given, |line| line.max(given));
            let own = if stable { last } else { self.own.get() };
            let placed = timeline.place(page, &Before { ahead, given, own, expected });
            let placed = placed.or_else(|| (left == 0).then(|| timeline.ahead()));
            let now = placed.and_then(|ahead| self.prepare(&info, tsc, ahead, timeline, stable));
            self.writing.store(false, Release);
            if placed.is_some() {
                return now;
            }
        }
    }

    /// Makes of the page, which time is `ahead` of, the line that is held against later pages, and that fast readings use if
    /// the page is `stable`. Returns its time at `tsc`, if that is one.
    fn prepare(
        &self,
        info: &TimeInfo,
        tsc: u64,
        ahead: u64,
        timeline: &Timeline,
        stable: bool,
    ) -> Option<u64> {
        self.version.set(NO_VERSION);
        let info = TimeInfo { system_time: info.system_time.checked_add(ahead)?, ..*info };
        let line = Line::new(&info).ok()?;
        let now = nanoseconds(&info, tsc).ok()?;
        self.line.tsc.set(line.tsc);
        self.line.limit.set(line.limit);
        self.line.right.set(line.right);
        self.line.factor.set(line.factor);
        self.line.ns.set(line.ns);
        self.own.set(now);
        if stable && timeline.is_settled(now) {
            self.version.set(info.version.into());
        }
        Some(now)
    }

    /// Returns the time of the table below, moved so that it goes on where this clock stopped.
    fn fall_back(&self, timeline: &Timeline, below: u64) -> u64 {
        if !self.falling.load(Relaxed) {
            let stopped = self.last.get().max(timeline.latest());
            let offset = if stopped == 0 { 0 } else { stopped.wrapping_sub(below) };
            self.offset.set(offset);
            self.falling.store(true, Relaxed);
        }
        below.wrapping_add(self.offset.get())
    }
}

/// Whether CPUID gives the page's stable flag a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stability {
    /// It does.
    Announced,
    /// It does not.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pvclock::Page;

    #[test]
    fn an_interrupt_leaves_the_line_to_the_flow_that_writes_it() {
        let (clock, page, timeline) = (Clock::new(), Page::new(), Timeline::new());
        page.store(&TimeInfo {
            version: 2,
            tsc_to_system_mul: 1,
            flags: Flags::STABLE.bits(),
            ..TimeInfo::default()
        });
        clock.start(Stability::Announced);
        clock.writing.store(true, Relaxed);
        clock.refresh(&page, &timeline, || 0);
        assert_eq!(clock.version.get(), NO_VERSION);
        clock.writing.store(false, Relaxed);
        clock.refresh(&page, &timeline, || 0);
        assert_eq!((clock.version.get(), clock.line.factor.get()), (2, 1));
        assert!(clock.fast(&page).is_some());
    }
}
